"""Bytes ⇄ events: HTTP/1.1, server-sent events and lenient JSON as pure machines. No sockets, no clock."""

from .bodies import Body, SizedBody, UnsizedBody
from .chunked import ChunkedReader, ChunkError, chunk
from .cut_json import close_json
from .fields import Fields
from .form import FormReader, boundary_of
from .heads import RequestHead, ResponseHead
from .http1 import END, RequestReader, read_request_head
from .json_members import Member, MemberScanner, ObjectReader, Path, decode_value
from .masking import MASK, is_telling, masked
from .request_fields import CALLER_KEYS, PRINCIPAL, bearer_of, key_in
from .responses import head_bytes, read_response_head, status_line
from .shapes import ResponseHeadReader
from .sse import UsageStripper, data_of, looks_like_events, split_events
from .structs import MemberPlace, Members
from .surrogates import decode_json, mend_json
from .websocket import CLOSE_WITHOUT_CODE, FrameReader, MessageReceiver, accept_of, close_frame, pong_frame, unmasked

__all__ = [
    "CALLER_KEYS",
    "CLOSE_WITHOUT_CODE",
    "END",
    "MASK",
    "PRINCIPAL",
    "Body",
    "ChunkError",
    "ChunkedReader",
    "Fields",
    "FormReader",
    "FrameReader",
    "Member",
    "MemberPlace",
    "MemberScanner",
    "Members",
    "MessageReceiver",
    "ObjectReader",
    "Path",
    "RequestHead",
    "RequestReader",
    "ResponseHead",
    "ResponseHeadReader",
    "SizedBody",
    "UnsizedBody",
    "UsageStripper",
    "accept_of",
    "bearer_of",
    "boundary_of",
    "chunk",
    "close_frame",
    "pong_frame",
    "close_json",
    "data_of",
    "decode_json",
    "decode_value",
    "head_bytes",
    "is_telling",
    "key_in",
    "looks_like_events",
    "masked",
    "mend_json",
    "read_request_head",
    "read_response_head",
    "split_events",
    "status_line",
    "unmasked",
]

"""Response heads: read from an upstream, and written to a client."""

import re
from http import HTTPStatus

import msgspec

from .fields import Fields, LineReader, without_options

__all__ = ["ResponseHead", "head_bytes", "read_response_head", "status_line"]

_HOP_BY_HOP = [
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
]

_LINES = LineReader(
    read=frozenset(
        [
            *_HOP_BY_HOP,
            b"apim-request-id",
            b"content-encoding",
            b"content-type",
            b"retry-after",
            b"x-ms-deployment-name",
            b"x-ms-is-spilled-over",
            b"x-ms-region",
            b"x-ms-served-model",
            b"x-request-id",
        ]
    ),
    stays=frozenset(_HOP_BY_HOP),
    forget=frozenset([b"apim-request-id", b"content-length", b"date", b"set-cookie", b"x-request-id", b"retry-after"]),
    strict=False,
)

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?")


class ResponseHead(msgspec.Struct, gc=False):
    """An answer's head: ``kept`` lines travel to the client as they came."""

    status: int
    line: bytes
    """The status line less its version: ``200 OK``."""
    fields: Fields
    kept: list[bytes]
    content_length: int | None
    """``None``: chunked, or until the connection closes."""
    is_followed: bool = False
    """Whether bytes of the body came with the head, so that both can be written at once."""

    @property
    def has_body(self) -> bool:
        return self.content_length != 0 and self.status not in (204, 304)

    @property
    def is_event_stream(self) -> bool:
        return self.fields.get(b"content-type", b"")[:17].lower() == b"text/event-stream"


def read_response_head(head: bytes) -> ResponseHead:
    """Reads a head that llhttp has admitted. Raises ``ValueError`` where we are stricter."""
    lines = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise ValueError("the status line is not HTTP/1.1's")
    fields, kept = _LINES.read_lines(lines[1:])
    connection = fields.get(b"connection")
    if connection is not None:
        kept = without_options(kept, connection.lower())
    length = fields.get(b"content-length")
    return ResponseHead(
        int(match[1]),
        lines[0][9:] if len(lines[0]) > 12 else lines[0][9:] + b" ",
        fields,
        kept,
        int(length) if length is not None else None,
    )


_STATUS_LINES = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}


def status_line(status: int) -> bytes:
    """``404 Not Found``, or the bare number where the standard has no phrase."""
    return _STATUS_LINES.get(status) or b"%d " % status


def head_bytes(line: bytes, fields: list[bytes]) -> bytes:
    """A head ready to be written: ``HTTP/1.1 200 OK``, the fields, the empty line."""
    return b"HTTP/1.1 " + line + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"

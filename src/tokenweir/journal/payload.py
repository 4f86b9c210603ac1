"""A record as bytes and back: msgpack by msgspec, made and read by one encoder and one decoder."""

import logging
from typing import Any

import msgspec

from ..records import CONTENTS, CallRecord

__all__ = ["bare_payload", "decode", "encode"]

logger = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(CallRecord).decode
"""msgspec.DecodeError (ValidationError is one) if the bytes are not a record. Unknown fields are skipped."""

# A record without contents takes one or two kilobytes. In a larger one, what an upstream said of itself is looked at
# more closely: it may be of any size.
_LARGE = 32 * 1024
_LARGEST_FIELD = 16 * 1024
_LONGEST_TEXT = 1024

_SAID_BY_UPSTREAM = (
    "usage",
    "tool_usage",
    "tool_calls",
    "response_model",
    "response_id",
    "error_code",
    "finish_reasons",
    "service_tier",
    "content_filter",
)

_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for half a surrogate pair, more than 64 bits, a foreign type, endless nesting."""


def encode(record: CallRecord) -> bytes:
    """The record, whatever is in it: what msgpack cannot carry is replaced or left out, and logged; so is what an
    upstream said out of all proportion."""
    try:
        payload = _encode(record)
    except _UNENCODABLE:
        record = _encodable(record)
        payload = _encode(record)
    return payload if len(payload) < _LARGE else _encode(_in_proportion(record))


def bare_payload(payload: bytes) -> bytes | None:
    """The record without its contents, None if it has none."""
    fields: dict[str, Any] = msgspec.msgpack.decode(payload)
    bare = {name: value for name, value in fields.items() if name not in CONTENTS}
    return _encode(bare) if len(bare) < len(fields) else None


def _in_proportion(record: CallRecord) -> CallRecord:
    """Long texts cut, and other fields that are too large back at their default."""
    kept = msgspec.structs.asdict(record)
    for name, value in msgspec.structs.asdict(record).items():
        if name not in _SAID_BY_UPSTREAM or len(_encode(value)) <= _LARGEST_FIELD:
            continue
        logger.error("record %s: %s is too large and was cut", record.call_id, name)
        if isinstance(value, str):
            kept[name] = value[:_LONGEST_TEXT]
        else:
            del kept[name]
    return CallRecord(**kept)


def _encodable(record: CallRecord) -> CallRecord:
    """Text with its odd characters replaced; other fields that cannot be encoded go back to their default."""
    kept = msgspec.structs.asdict(record)
    for name, value in msgspec.structs.asdict(record).items():
        try:
            _encode(value)
        except _UNENCODABLE as error:
            logger.error("record %s: %s cannot be written as it is: %s", record.call_id, name, error)
            if isinstance(value, str):
                kept[name] = value.encode("utf-8", "replace").decode()
            else:
                del kept[name]
    return CallRecord(**kept)

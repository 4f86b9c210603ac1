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

_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for half a surrogate pair, more than 64 bits, a foreign type, endless nesting."""


def encode(record: CallRecord) -> bytes:
    """The record, whatever is in it: what msgpack cannot carry is replaced or left out, and logged."""
    try:
        return _encode(record)
    except _UNENCODABLE:
        return _encode(_encodable(record))


def bare_payload(payload: bytes) -> bytes | None:
    """The record without its contents, None if it has none."""
    fields: dict[str, Any] = msgspec.msgpack.decode(payload)
    bare = {name: value for name, value in fields.items() if name not in CONTENTS}
    return _encode(bare) if len(bare) < len(fields) else None


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

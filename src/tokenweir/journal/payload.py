"""A record as bytes and back: msgpack by msgspec, made and read by one encoder and one decoder.

A record is an array, a field for each place; segments of format 1 have an object with the names of its columns instead.
New fields are appended, so an array that is shorter was written by an older version, and has defaults for the rest,
and of one that is longer what is known is read.
"""

import logging
from typing import Any

import msgspec

from ..records import (
    CONTENTS,
    CallRecord,
    FlatRecord,
    Quantity,
    Usage,
    exact_amount,
    flat_fields,
    from_fields,
    from_flat,
)

__all__ = ["bare_payload", "changed_fields", "decode", "encode"]

logger = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode
_decode_array = msgspec.msgpack.Decoder(CallRecord).decode
_decode_object = msgspec.msgpack.Decoder(FlatRecord).decode

# A record without contents takes less than a kilobyte. In a larger one, what an upstream said of itself is looked at
# more closely: it may be of any size.
_LARGE = 32 * 1024
_LARGEST_FIELD = 16 * 1024
_LONGEST_TEXT = 1024

_SAID_BY_UPSTREAM = (
    "usage",
    "tool_usage",
    "tool_calls",
    "job",
    "response_model",
    "response_id",
    "error_code",
    "finish_reasons",
    "service_tier",
    "content_filter",
)

_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for half a surrogate pair, more than 64 bits, a foreign type, endless nesting."""

_USAGE = CallRecord.__struct_fields__.index("usage")
_QUANTITIES = Usage.__struct_fields__.index("quantities")
_PLACES_OF_CONTENTS = [CallRecord.__struct_fields__.index(name) for name in CONTENTS]


def encode(record: CallRecord) -> bytes:
    """The record, whatever is in it: what msgpack cannot carry is replaced or left out, and logged; so is what an
    upstream said out of all proportion."""
    try:
        payload = _encode(record)
    except _UNENCODABLE:
        record = _encodable(record)
        payload = _encode(record)
    return payload if len(payload) < _LARGE else _encode(_in_proportion(record))


def decode(payload: bytes) -> CallRecord:
    """The record, whichever version has written it.

    Raises:
        msgspec.DecodeError: the bytes are no record (``ValidationError`` is one).
    """
    # Arrays begin with 0x90 to 0x9f, 0xdc or 0xdd; objects with 0x80 to 0x8f, 0xde or 0xdf.
    if payload[:1] < b"\x90" or payload[:1] > b"\xdd":
        return from_flat(_decode_object(payload))
    try:
        return _decode_array(payload)
    except msgspec.ValidationError:
        return _decode_array(_with_quantities(payload))


def _with_quantities(payload: bytes) -> bytes:
    """In the place of the quantities there were at first the seconds of audio, as a number."""
    fields = msgspec.msgpack.decode(payload)
    usage = fields[_USAGE] if isinstance(fields, list) and len(fields) > _USAGE else None
    if isinstance(usage, list) and len(usage) > _QUANTITIES and isinstance(usage[_QUANTITIES], float):
        heard = exact_amount(usage[_QUANTITIES])
        usage[_QUANTITIES] = {"input_audio_seconds": Quantity(heard)} if heard else {}
    return _encode(fields)


def bare_payload(payload: bytes) -> bytes | None:
    """What ``encode`` made, without the record's contents; None if it has none."""
    fields: list[Any] = msgspec.msgpack.decode(payload)
    if all(fields[place] is None for place in _PLACES_OF_CONTENTS):
        return None
    for place in _PLACES_OF_CONTENTS:
        fields[place] = None
    return _encode(fields)


_changed = 0


def changed_fields() -> int:
    """How many fields of records were cut, replaced or left out in this process."""
    return _changed


def _note(record: CallRecord, field: str, what: str) -> None:
    """Logs the first change, the second, the fourth, the eighth and so on: an upstream may say odd things always."""
    global _changed
    _changed += 1
    if _changed.bit_count() == 1:
        logger.error("record %s: %s %s (field %d that was changed)", record.call_id, field, what, _changed)


def _in_proportion(record: CallRecord) -> CallRecord:
    """Long texts cut, and other fields that are too large back at their default."""
    kept = flat_fields(record)
    for name in _SAID_BY_UPSTREAM:
        value = kept[name]
        if len(_encode(value)) <= _LARGEST_FIELD:
            continue
        _note(record, name, "is too large and was cut")
        if isinstance(value, str):
            kept[name] = value[:_LONGEST_TEXT]
        else:
            del kept[name]
    return from_fields(**kept)


def _encodable(record: CallRecord) -> CallRecord:
    """Text with its odd characters replaced; other fields that cannot be encoded go back to their default."""
    kept = flat_fields(record)
    for name, value in flat_fields(record).items():
        try:
            _encode(value)
        except _UNENCODABLE as error:
            _note(record, name, f"cannot be written as it is: {error}")
            if isinstance(value, str):
                kept[name] = value.encode("utf-8", "replace").decode()
            else:
                del kept[name]
    return from_fields(**kept)

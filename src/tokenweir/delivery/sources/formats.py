"""A message's bytes as a record: the whole `CallRecord` as JSON, as the sinks' shape ``tokenweir`` writes it.

It may come in a CloudEvents 1.0 envelope (structured mode), and it may be one part of a record that was too large
for a message. Nothing that is said about a message repeats what is in it.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ...errors import TokenweirError, quoted
from ...records import CallRecord, FlatRecord, from_flat
from ..base import BrokerMessage

__all__ = ["MessageFormat", "RecordPart", "Unreadable", "WholeRecords", "decode", "unwrap"]

# An id is 36 characters. What is much longer is none, and no index of a database takes it.
_LONGEST_ID = 200
# A record of a gigabyte in parts of 16 KB; more is a mistake, which should not be waited for.
_MOST_PARTS = 65_536

_SHAPE = "tokenweir"


class Unreadable(TokenweirError):
    """A message that holds no record, with the reason in words for a person."""


class RecordPart(msgspec.Struct, frozen=True):
    """A whole record's bytes, or those of one of its ``parts``, the first of which is 1. ``parts`` is 0 where nobody
    knows how many there will be: `MessageFormat.assembled` says when it is all of them."""

    data: bytes
    call_id: str = ""
    part: int = 1
    parts: int = 1
    problem: str | None = None
    """Why this one of several in a message is no record, nor a part of one."""


class MessageFormat(Protocol):
    """What senders write into their messages. Pure, but may take milliseconds: not for an event loop."""

    def unwrap(self, message: BrokerMessage) -> Sequence[RecordPart]:
        """What a message holds: records' bytes, or parts of them. `Unreadable` if that can be nothing of ours."""
        ...

    def assembled(self, parts: Sequence[bytes], *, is_last: bool) -> bytes | None:
        """A whole record's bytes, of parts whose number nobody knows; None if others have to come. ``is_last``: none
        will come, and None means that there is nothing in them."""
        ...

    def decode(self, data: bytes) -> CallRecord:
        """The record in a whole record's bytes. `Unreadable` if there is none."""
        ...

    def presentable(self, message: BrokerMessage) -> BrokerMessage:
        """The message as it may be written down when nothing could be made of it: without secrets."""
        ...


class WholeRecords:
    """Format ``tokenweir``: what the sinks write in the shape of the same name."""

    def unwrap(self, message: BrokerMessage) -> Sequence[RecordPart]:
        return [unwrap(message)]

    def assembled(self, parts: Sequence[bytes], *, is_last: bool) -> bytes | None:
        return b"".join(parts)  # the number is always known

    def decode(self, data: bytes) -> CallRecord:
        return decode(data)

    def presentable(self, message: BrokerMessage) -> BrokerMessage:
        return message


class _Envelope(msgspec.Struct, frozen=True):
    """What matters of a CloudEvents envelope; attributes have no underscores there."""

    specversion: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: str | msgspec.UnsetType = msgspec.UNSET
    callid: str = ""
    shape: str = _SHAPE
    part: str | int = "1"
    parts: str | int = "1"


_decode_record = msgspec.json.Decoder(FlatRecord).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def unwrap(message: BrokerMessage) -> RecordPart:
    """What a message holds, out of its envelope. `Unreadable` if that can be nothing of ours."""
    if not message.body:
        raise Unreadable("it is empty")
    if b'"specversion"' in message.body:
        try:
            envelope = _decode_envelope(message.body)
        except msgspec.DecodeError:
            pass  # a record in whose text the word stands
        else:
            attributes = {
                "call_id": envelope.callid,
                "shape": envelope.shape,
                "part": envelope.part,
                "parts": envelope.parts,
            }
            return _piece(_data(envelope), attributes)
    return _piece(message.body, message.properties)


def decode(data: bytes) -> CallRecord:
    """The record. `Unreadable` if it is none."""
    try:
        record = from_flat(_decode_record(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"it is no record: {_without_content(error)}") from None
    if not 0 < len(record.call_id) <= _LONGEST_ID:
        raise Unreadable(f"its call_id has {len(record.call_id)} characters; it must have 1 to {_LONGEST_ID}")
    if record.started_at.tzinfo is None:
        raise Unreadable("its started_at has no time zone")
    return record


def _data(envelope: _Envelope) -> bytes:
    if isinstance(envelope.data_base64, str):
        try:
            return b64decode(envelope.data_base64, validate=True)
        except ValueError:
            raise Unreadable("the data_base64 of its CloudEvents envelope is not base64") from None
    if isinstance(envelope.data, msgspec.Raw):
        return bytes(envelope.data)
    raise Unreadable("its CloudEvents envelope has no data")


def _piece(data: bytes, attributes: Mapping[str, str | int]) -> RecordPart:
    shape = attributes.get("shape", _SHAPE)
    if shape != _SHAPE:
        raise Unreadable(
            f"it is in the shape {quoted(str(shape)[:40])}, which does not hold the whole record; "
            'give the sink shape = "tokenweir"'
        )
    call_id = str(attributes.get("call_id", ""))
    part, parts = _number(attributes.get("part", 1)), _number(attributes.get("parts", 1))
    if parts == 1 == part:
        return RecordPart(data)
    if not (1 <= part <= parts <= _MOST_PARTS and call_id):
        raise Unreadable("its properties call_id, part and parts do not say which part of which record it is")
    return RecordPart(data, call_id, part, parts)


def _number(given: str | int) -> int:
    text = str(given)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _without_content(error: Exception) -> str:
    """The decoder quotes a value that is none of those allowed; where it stands says enough."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error)
    if text.startswith("Invalid enum value"):
        return f"a value that is not known{text[text.find(' - at') :]}"
    return text

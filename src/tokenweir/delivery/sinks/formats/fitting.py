"""A record becomes events that its sink takes: one, or several parts, or one without the bodies.

An event is never cut off: what is split can be put together again byte for byte, what is shed says so.
"""

import logging
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from ....errors import place_of
from ....records import CallRecord, flat, without_contents
from ...errors import Rejected
from ..application_insights import fit_custom_event
from ..event import Event
from ..otlp import fit_spans
from ..settings import SinkSettings
from . import CLOUD_EVENTS_TYPE, SHAPES, envelope

__all__ = ["SMALLEST_LIMIT", "fit"]

_log = logging.getLogger(__name__)

SMALLEST_LIMIT = 4096
"""With this many bytes an event, everything can be split: properties and envelope take half of it at most."""

_PART_TYPE = "application/octet-stream"  # a part is text, but no JSON by itself

# Event Hubs takes 128 characters. A longer name is none that somebody chose; its hash keeps its calls together, too.
_LONGEST_KEY = 128

# The part numbers with which the room around a part is measured.
_WIDEST = "9999999"

_encode = msgspec.json.Encoder(decimal_format="string").encode


def fit(record: CallRecord, settings: SinkSettings, limit: int) -> list[Event]:
    """The record's events in the sink's shape, none larger than ``limit``; of kind `otlp` its spans, if any, and
    of kind `application_insights` its custom event.

    `Rejected`, holding the event, if it cannot be made to fit. That happens only where bodies are shed and the rest
    is still too large, or below `SMALLEST_LIMIT`; and by a defect of ours, which must not hold up other records.
    """
    try:
        return _fit(record, settings, limit)
    except Rejected:
        raise
    except Exception as error:
        reason = f"no event could be made of it: {place_of(error)}"
        _log.error("sink %s: call %s: %s", settings.name, record.call_id, reason)
        raise Rejected(reason, [_as_it_is(record)]) from error


def _fit(record: CallRecord, settings: SinkSettings, limit: int) -> list[Event]:
    if settings.kind == "otlp":
        return fit_spans(record, settings, limit)
    if settings.kind == "application_insights":
        return fit_custom_event(record, limit)
    mould = _Mould(record, settings)
    data = _encode(SHAPES[settings.shape](record))
    whole = mould.event(data)
    if whole.size <= limit:
        return [whole]
    if settings.on_too_large == "split":
        return mould.parts(whole, data, limit)
    bare = without_contents(record)
    shed = mould.event(_encode(SHAPES[settings.shape](bare) | {"bodies_shed": True}))
    if shed.size <= limit:
        return [shed]
    raise Rejected(f"{shed.size} bytes without its bodies, and the sink takes {limit}", [shed])


def _as_it_is(record: CallRecord) -> Event:
    """A record of which no event can be made, for a dead letter: as JSON, or as Python shows it."""
    try:
        body = msgspec.json.encode(flat(record))
    except Exception:
        body = repr(record).encode(errors="replace")
    return Event(body=body, call_id=record.call_id, properties={})


class _Mould:
    """Makes events of one record's data."""

    def __init__(self, record: CallRecord, settings: SinkSettings) -> None:
        self._record = record
        self._in_envelope = settings.cloud_events
        self._key = _key(record, settings)
        self._properties = {
            "call_id": record.call_id,
            "replica": record.replica,
            "seq": str(record.seq),
            "shape": settings.shape,
        }

    def event(self, data: bytes, part: str | None = None, parts: str = "") -> Event:
        properties = self._properties if part is None else self._properties | {"part": part, "parts": parts}
        plain_type = "application/json" if part is None else _PART_TYPE
        return Event(
            body=envelope(self._record, properties, data) if self._in_envelope else data,
            key=self._key,
            call_id=self._record.call_id,
            properties=properties,
            content_type=CLOUD_EVENTS_TYPE if self._in_envelope else plain_type,
        )

    def parts(self, whole: Event, data: bytes, limit: int) -> list[Event]:
        room = limit - self.event(b"", _WIDEST, _WIDEST).size
        if self._in_envelope:
            room = room // 4 * 3  # base64
        if room < limit // 4:
            raise Rejected(f"of {limit} bytes that the sink takes, too few are left beside the properties", [whole])
        pieces = list(_pieces(data, room))
        return [self.event(piece, str(number), str(len(pieces))) for number, piece in enumerate(pieces, 1)]


def _pieces(data: bytes, room: int) -> Iterator[bytes]:
    """``data`` in pieces of at most ``room`` bytes, cut between characters: each is UTF-8 by itself."""
    start = 0
    while start < len(data):
        end = min(start + room, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


def _key(record: CallRecord, settings: SinkSettings) -> str | None:
    """What keeps events together and in order."""
    names = {"caller": record.caller, "deployment": record.deployment, "call_id": record.call_id}
    name = names.get(settings.partition_by)
    if name is None or len(name) <= _LONGEST_KEY:
        return name or None
    return "sha256-" + sha256(name.encode()).hexdigest()

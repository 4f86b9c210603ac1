"""A record becomes JSON events that its sink takes: one, or several parts, or one without the bodies.

An event is never cut off: what is split can be put together again byte for byte, what is shed says so.

An envelope is that of CloudEvents 1.0, structured mode: one JSON object around an event's data. The event's properties
are extension attributes, whose names may only have letters and digits: ``callid``, ``replica``, ``seq``, ``shape`` and,
where an event was split, ``part`` and ``parts``. A part is no JSON by itself and goes as ``data_base64``; the decoded
data of all parts, joined, is the event's data.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from ....records import CallRecord, flat, without_contents
from ...base import Rejected
from ..base import (
    EventFormat,
    JsonEvent,
    SinkSettings,
    WholeEvent,
    event_properties,
    json_event,
    on_too_large,
)
from .shapes import apim_event, ended_at, proxy_event

__all__ = ["CLOUD_EVENTS_TYPE", "JSON_EVENTS", "SHAPES", "SMALLEST_LIMIT", "envelope", "fit_json"]

CLOUD_EVENTS_TYPE = "application/cloudevents+json"

_TYPE = "tokenweir.call"
# Routers filter by the subject; one that is longer than this is no name that somebody chose.
_LONGEST_SUBJECT = 256


def envelope(record: CallRecord, properties: Mapping[str, str], data: bytes) -> bytes:
    """``data`` is the event's JSON text, or a part of it where ``properties`` say so."""
    part = properties.get("part")
    attributes: dict[str, object] = {
        "specversion": "1.0",
        # Receivers drop what has the same source and id, so each part has an id of its own.
        "id": record.call_id if part is None else f"{record.call_id}-{part}",
        "source": f"/tokenweir/{record.replica}",
        "type": _TYPE,
        "time": ended_at(record),
        "datacontenttype": "application/json",
    }
    if record.deployment and len(record.deployment) <= _LONGEST_SUBJECT:
        attributes["subject"] = record.deployment
    attributes |= {name.replace("_", ""): value for name, value in properties.items()}
    if part is None:
        attributes["data"] = msgspec.Raw(data)
    else:
        attributes["data_base64"] = b64encode(data).decode()
    return _encode(attributes)


SMALLEST_LIMIT = 4096
"""With this many bytes an event, everything can be split: properties and envelope take half of it at most."""

_PART_TYPE = "application/octet-stream"  # a part is text, but no JSON by itself

# Event Hubs takes 128 characters. A longer name is none that somebody chose; its hash keeps its calls together, too.
_LONGEST_KEY = 128

# The part numbers with which the room around a part is measured.
_WIDEST = "9999999"

_encode = msgspec.json.Encoder(decimal_format="string").encode


SHAPES: dict[str, Callable[[CallRecord], Any]] = {
    "tokenweir": flat,
    "sse-proxy": proxy_event,
    "apim": apim_event,
}
"""What an event can look like. Each shape is a pure function: a record → what its JSON says. ``tokenweir`` is the whole
record under the names of its columns; what has its default is left out, money is text, times are ISO 8601 in UTC."""


def fit_json(record: CallRecord, settings: SinkSettings, limit: int) -> list[JsonEvent]:
    """The record's events in the sink's shape, none larger than ``limit``.

    Raises: `Rejected`, holding the event, if it cannot be made to fit. That happens only where bodies are shed and
    the rest is still too large, or below `SMALLEST_LIMIT`.
    """
    shape = SHAPES[settings.shape]
    data = _encode(shape(record))
    properties = event_properties(record, settings.shape)
    whole = _event(record, settings, properties, data)
    if whole.size <= limit:
        return [whole]
    choice = on_too_large(settings)
    if choice == "split":
        return _parts(record, settings, whole, data, limit)
    if choice == "pointer" and settings.large_events is not None:
        return [_pointer(record, settings, whole, limit)]
    # What was answered is usually the smaller half, and the one that nobody can look up elsewhere.
    for less in (msgspec.structs.replace(record, request_body=None, trace=None), without_contents(record)):
        shed = _event(record, settings, properties, _encode(_members(less, settings) | {"bodies_shed": True}))
        if shed.size <= limit:
            return [shed]
    raise Rejected(f"{shed.size} bytes without its bodies, and the sink takes {limit}", [shed])


JSON_EVENTS = EventFormat(
    ("shape", "cloud_events", "partition_by", "on_too_large", "large_events"), fit_json, json_event
)


def _members(record: CallRecord, settings: SinkSettings) -> dict[str, Any]:
    said = SHAPES[settings.shape](record)
    return said if isinstance(said, dict) else msgspec.to_builtins(said)


def _pointer(record: CallRecord, settings: SinkSettings, whole: JsonEvent, limit: int) -> JsonEvent:
    """The event without bodies, which says where all of it is. Raises `Rejected`."""
    kept = WholeEvent(f"{record.call_id}.json", whole.body)
    place = f"{str(settings.large_events).rstrip('/')}/{kept.name}"
    members = _members(without_contents(record), settings) | {"bodies_shed": True, "event_at": place}
    pointer = _event(record, settings, whole.properties, _encode(members))
    if pointer.size > limit:
        raise Rejected(f"{pointer.size} bytes without its bodies, and the sink takes {limit}", [pointer])
    return msgspec.structs.replace(pointer, whole=kept)


def _event(record: CallRecord, settings: SinkSettings, properties: dict[str, str], data: bytes) -> JsonEvent:
    content_type = "application/json" if "part" not in properties else _PART_TYPE
    if settings.cloud_events:
        data, content_type = envelope(record, properties, data), CLOUD_EVENTS_TYPE
    return JsonEvent(
        body=data,
        key=_key(record, settings),
        call_id=record.call_id,
        properties=properties,
        content_type=content_type,
    )


def _parts(record: CallRecord, settings: SinkSettings, whole: JsonEvent, data: bytes, limit: int) -> list[JsonEvent]:
    def part(data: bytes, number: str, count: str) -> JsonEvent:
        return _event(record, settings, whole.properties | {"part": number, "parts": count}, data)

    room = limit - part(b"", _WIDEST, _WIDEST).size
    if settings.cloud_events:
        room = room // 4 * 3  # base64
    if room < limit // 4:
        raise Rejected(f"of {limit} bytes that the sink takes, too few are left beside the properties", [whole])
    pieces = list(_pieces(data, room))
    return [part(piece, str(number), str(len(pieces))) for number, piece in enumerate(pieces, 1)]


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
    match settings.partition_by:
        case "caller":
            name = record.caller
        case "deployment":
            name = record.deployment
        case "call_id":
            name = record.call_id
        case "none":
            name = None
    if name is None or len(name) <= _LONGEST_KEY:
        return name or None
    return "sha256-" + sha256(name.encode()).hexdigest()

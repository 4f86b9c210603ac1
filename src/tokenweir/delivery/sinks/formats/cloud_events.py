"""The envelope of CloudEvents 1.0, structured mode (the JSON event format): one JSON object around an event's data.

The event's properties are extension attributes, whose names may only have letters and digits: ``callid``, ``replica``,
``seq``, ``shape`` and, where an event was split, ``part`` and ``parts``. A part is no JSON by itself and goes as
``data_base64``; the decoded data of all parts, joined, is the event's data.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from ....records import CallRecord

__all__ = ["CONTENT_TYPE", "ended_at", "envelope"]

CONTENT_TYPE = "application/cloudevents+json"

_TYPE = "tokenweir.call"
# Routers filter by the subject; one that is longer than this is no name that somebody chose.
_LONGEST_SUBJECT = 256

_encode = msgspec.json.Encoder().encode


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


def ended_at(record: CallRecord) -> datetime:
    """Start and duration are what a record holds; the other systems' events carry the end."""
    return record.started_at.astimezone(UTC) + timedelta(milliseconds=record.latency_ms)

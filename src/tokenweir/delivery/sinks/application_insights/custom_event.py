"""A record becomes the custom event that Application Insights shows of its call.

Its properties are those of the ledger's view ``customEvents``, text for text, so that a query says the same over
both. It holds no prompt and no answer, whatever the journal keeps.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from math import floor
from operator import attrgetter
from typing import Any

import msgspec

from ....apis import surface_of
from ....records import (
    CALLS_EVENT,
    COLUMNS,
    CUSTOM_EVENT_PROPERTIES,
    TOKENS_EVENT,
    CallRecord,
    ChargeLine,
    Column,
    ColumnKind,
    Quantity,
)
from ...base import Rejected
from ...dead_letters import DeadLetter
from ..base import SinkSettings, event_properties

__all__ = ["CustomEvent", "InsightsEvent", "custom_event_of", "fit_custom_event", "insights_event", "taken_at"]

# As many places as the ledger keeps of money, and as it rounds what has more.
_PLACES = Decimal("1e-12")
_MONEY = Context(prec=80, rounding=ROUND_HALF_UP)

# Application Insights takes as many characters a property; its exporter cuts off what is longer.
_LONGEST_TEXT = 8192
# The tag that says which others are left out, and how much of their names it holds.
_LEFT_OUT = "tokenweir_left_out"
_LONGEST_NAMES = 500

# The service refuses what is older than two days ("older than the allowed min date. Expected: now - 172800000ms"), and
# for sending there have to be some minutes. A clock that is ahead of the service's is as good as now.
_OLDEST = timedelta(hours=47)
_MOST_AHEAD = timedelta(minutes=10)

# What an event needs beside its texts, and beside each of them.
_AROUND_EVENT = 300
_AROUND_TEXT = 6
# A character of JSON in bytes, at most: ``\\u001f``. So most events are known to fit without being encoded.
_LARGEST_CHARACTER = 6

_encode = msgspec.json.Encoder().encode


class CustomEvent(msgspec.Struct, frozen=True):
    """One event. A property without a value is not there."""

    name: str
    time: datetime
    properties: dict[str, str]
    traceparent: str | None = None
    """Of the call, so that it is found from the caller's own telemetry."""


def taken_at(now: datetime, event: CustomEvent) -> CustomEvent:
    """The event as the service takes it now: at the time of its sending, where its own is too long ago or yet to come.
    When the call began is in its property ``Timestamp`` either way."""
    return event if -_MOST_AHEAD < now - event.time < _OLDEST else msgspec.structs.replace(event, time=now)


def custom_event_of(record: CallRecord) -> CustomEvent:
    texts = {name: text(record) for name, text in _TEXTS.items()}
    return CustomEvent(
        name=CALLS_EVENT if record.usage.source == "none" else TOKENS_EVENT,
        time=record.started_at,
        properties={name: _readable(text) for name, text in texts.items() if text is not None},
        traceparent=record.traceparent,
    )


class InsightsEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `SinkEvent` that is a custom event."""

    call_id: str
    properties: dict[str, str]
    custom_event: CustomEvent
    size: int

    def letter(self) -> dict[str, Any]:
        return {"event": _encode(self.custom_event).decode(errors="replace")}


def insights_event(letter: DeadLetter) -> InsightsEvent:
    """The event of a letter, to be sent again. ValueError if it is none."""
    event = msgspec.json.decode(letter.event_bytes, type=CustomEvent)
    size = _AROUND_EVENT + len(letter.event_bytes)
    return InsightsEvent(call_id=letter.call_id, properties=letter.properties, custom_event=event, size=size)


def fit_custom_event(record: CallRecord, settings: SinkSettings, limit: int) -> list[InsightsEvent]:
    """Each record is exactly one event. `Rejected`, holding it, where it is larger than ``limit``."""
    event = custom_event_of(record)
    size = _AROUND_EVENT + sum(len(name) + len(text) + _AROUND_TEXT for name, text in event.properties.items())
    if size > limit // _LARGEST_CHARACTER:
        size = _AROUND_EVENT + len(_encode(event))
    properties = event_properties(record, "custom-event")
    fitting = InsightsEvent(call_id=record.call_id, properties=properties, custom_event=event, size=size)
    if size > limit:
        raise Rejected(f"an event of {size} bytes, and Application Insights takes {limit}", [fitting])
    return [fitting]


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_PLACES, context=_MONEY):f}"


def _milliseconds(value: float) -> str:
    return str(floor(value + 0.5))


def _readable(text: str) -> str:
    """What is too long ends in a mark that says so."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _tags(tags: dict[str, str]) -> str | None:
    """JSON in any case: where all tags are too long together, the longest are left out, and one more tag names them."""
    if not tags:
        return None
    text = _encode(tags).decode()
    if len(text) <= _LONGEST_TEXT:
        return text
    kept = dict(tags)
    left_out: list[str] = []
    for name in sorted(kept, key=lambda name: len(name) + len(kept[name]), reverse=True):
        del kept[name]
        left_out.append(name)
        names = ", ".join(left_out)
        told = names if len(names) <= _LONGEST_NAMES else f"{len(left_out)} tags"
        text = _encode(kept | {_LEFT_OUT: told}).decode()
        if len(text) <= _LONGEST_TEXT:
            break
    return text


def _quantities(quantities: dict[str, Quantity]) -> str | None:
    return _encode(quantities).decode() if quantities else None


def _charges(lines: list[ChargeLine]) -> str | None:
    """JSON in any case: where all lines are too long together, the last are left out."""
    for kept in range(len(lines), 0, -1):
        text = _encode(lines[:kept]).decode()
        if len(text) <= _LONGEST_TEXT:
            return text
    return None


_Text = Callable[[CallRecord], str | None]

_MADE: dict[str, _Text] = {
    "ApiOperation": lambda record: surface_of(record.api).event_operation or record.api,
    "AppKey": lambda record: record.caller if record.key_id is None else record.key_id,
    "Model": lambda record: record.requested_model if record.response_model is None else record.response_model,
}
_BY_KIND: dict[ColumnKind, Callable[[Any], str | None]] = {
    "text": str,
    "count": str,
    "flag": str,
    "moment": _moment,
    "milliseconds": _milliseconds,
    "money": _money,
    "labels": _tags,
    "quantities": _quantities,
    "charges": _charges,
}
_COLUMNS = {column.name: column for column in COLUMNS}


def _copy(column: Column) -> _Text:
    value_of, text_of = attrgetter(column.path), _BY_KIND[column.kind]

    def text(record: CallRecord) -> str | None:
        value = value_of(record)
        return None if value is None else text_of(value)

    return text


_TEXTS: dict[str, _Text] = {
    name: _MADE[name] if column is None else _copy(_COLUMNS[column]) for name, column in CUSTOM_EVENT_PROPERTIES.items()
}
"""Property → what it is of a record; see ``ledger/custom_events.py`` for the same in SQL."""

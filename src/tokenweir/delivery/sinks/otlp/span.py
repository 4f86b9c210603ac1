"""A span as OTLP's JSON encoding writes it: ids in hex, 64-bit numbers as text, names in camel case.

That is what an event holds until it is sent, so that a dead letter can be read, and be sent by hand as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

__all__ = [
    "CLIENT",
    "SERVER",
    "AnyValue",
    "ArrayValue",
    "Attribute",
    "KeyValue",
    "ScopeSpans",
    "Span",
    "SpanEvent",
    "SpanStatus",
    "key_values",
]

Attribute = str | bool | int | float | Sequence[str]

SERVER: Literal[2] = 2
CLIENT: Literal[3] = 3

_MOST = 2**63 - 1


class AnyValue(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One of these is set."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | None = None
    double_value: float | None = None
    array_value: "ArrayValue | None" = None


class ArrayValue(msgspec.Struct, frozen=True):
    values: list[AnyValue]


class KeyValue(msgspec.Struct, frozen=True):
    key: str
    value: AnyValue


class SpanEvent(msgspec.Struct, frozen=True, rename="camel"):
    time_unix_nano: str
    name: str


class SpanStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    code: Literal[0, 1, 2] = 0
    """Unset, ok, error."""


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    flags: int = 0
    name: str
    kind: Literal[2, 3]
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: list[KeyValue] = []
    events: list[SpanEvent] = []
    status: SpanStatus = SpanStatus()


class ScopeSpans(msgspec.Struct, frozen=True):
    """All spans of one call."""

    spans: list[Span]


def key_values(attributes: Mapping[str, Attribute | None]) -> list[KeyValue]:
    """Attributes as they travel; those that are ``None`` say nothing."""
    return [KeyValue(name, _any_value(value)) for name, value in attributes.items() if value is not None]


def _any_value(value: Attribute) -> AnyValue:
    match value:
        case str():
            return AnyValue(string_value=value)
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=str(min(value, _MOST)))
        case float():
            return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue([AnyValue(string_value=text) for text in value]))

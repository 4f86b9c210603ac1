"""The frozen nouns that rooms hand to each other. Imports nothing of ours but errors."""

from .call import CONTENTS, CallRecord, Outcome, has_contents, without_contents
from .clock import Clock, SystemClock
from .custom_event import CALLS_EVENT, CUSTOM_EVENT_PROPERTIES, TOKENS_EVENT
from .flat import COLUMNS, Column, FlatRecord, flat, flat_fields, from_fields, from_flat
from .ids import new_call_id
from .paths import ChosenBy, OneOf, PathMark, PathText
from .route import PathFamily, Route
from .trace import Trace, TracedAttempt, TracedTarget, TraceReason
from .units import Duration, Size
from .usage import NO_USAGE, Usage, UsageReason, UsageSource

__all__ = [
    "CALLS_EVENT",
    "COLUMNS",
    "CONTENTS",
    "CUSTOM_EVENT_PROPERTIES",
    "NO_USAGE",
    "TOKENS_EVENT",
    "CallRecord",
    "ChosenBy",
    "Clock",
    "Column",
    "Duration",
    "FlatRecord",
    "OneOf",
    "Outcome",
    "PathFamily",
    "PathMark",
    "PathText",
    "Route",
    "Size",
    "SystemClock",
    "Trace",
    "TraceReason",
    "TracedAttempt",
    "TracedTarget",
    "Usage",
    "UsageReason",
    "UsageSource",
    "flat",
    "flat_fields",
    "from_fields",
    "from_flat",
    "has_contents",
    "new_call_id",
    "without_contents",
]

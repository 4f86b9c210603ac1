"""The frozen nouns that rooms hand to each other. Imports nothing of ours but errors."""

from .call import CONTENTS, CallRecord, Outcome, has_contents, without_contents
from .clock import Clock, SystemClock
from .custom_event import CALLS_EVENT, CUSTOM_EVENT_PROPERTIES, TOKENS_EVENT
from .ids import new_call_id
from .paths import PathMark, PathText
from .route import PathFamily, Route
from .trace import Trace, TracedAttempt, TracedTarget, TraceReason
from .units import Duration, Size
from .usage import Usage, UsageReason, UsageSource, usage_fields

__all__ = [
    "CALLS_EVENT",
    "CONTENTS",
    "CUSTOM_EVENT_PROPERTIES",
    "TOKENS_EVENT",
    "CallRecord",
    "Clock",
    "Duration",
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
    "has_contents",
    "new_call_id",
    "usage_fields",
    "without_contents",
]

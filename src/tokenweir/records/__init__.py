"""The frozen nouns that rooms hand to each other. Imports nothing of ours but errors."""

from .call import CONTENTS, CallRecord, Outcome, has_contents, without_contents
from .clock import Clock, SystemClock
from .ids import new_call_id
from .route import Api, Route
from .trace import Trace, TracedAttempt, TracedTarget, TraceReason
from .units import Duration, Size
from .usage import Usage, UsageSource

__all__ = [
    "CONTENTS",
    "Api",
    "CallRecord",
    "Clock",
    "Duration",
    "Outcome",
    "Route",
    "Size",
    "SystemClock",
    "Trace",
    "TraceReason",
    "TracedAttempt",
    "TracedTarget",
    "Usage",
    "UsageSource",
    "has_contents",
    "new_call_id",
    "without_contents",
]

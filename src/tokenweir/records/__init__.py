"""The frozen nouns that rooms hand to each other. Imports nothing of ours but errors."""

from .call import CallRecord, Outcome
from .clock import Clock, SystemClock
from .ids import new_call_id
from .route import Api, Route
from .units import Duration, Size
from .usage import Usage, UsageSource

__all__ = [
    "Api",
    "CallRecord",
    "Clock",
    "Duration",
    "Outcome",
    "Route",
    "Size",
    "SystemClock",
    "Usage",
    "UsageSource",
    "new_call_id",
]

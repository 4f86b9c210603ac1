"""The frozen nouns that rooms hand to each other. Imports nothing of ours but errors."""

from .call import (
    CONTENTS,
    NO_USAGE,
    CallRecord,
    Outcome,
    Usage,
    UsageReason,
    UsageSource,
    has_contents,
    without_contents,
)
from .charge import ChargeLine
from .clock import Clock, ClockJumps, SystemClock
from .columns import (
    CALLS_EVENT,
    COLUMNS,
    CUSTOM_EVENT_PROPERTIES,
    TOKENS_EVENT,
    Column,
    ColumnKind,
    FlatRecord,
    flat,
    flat_fields,
    from_fields,
    from_flat,
)
from .ids import new_call_id
from .quantities import LARGEST_AMOUNT, QUANTITIES, Quantity, QuantityName, QuantitySource, exact_amount, plain_amount
from .route import PathFamily, Route
from .setting_types import ChosenBy, Duration, OneOf, PathMark, PathText, Size
from .trace import Trace, TracedAttempt, TracedTarget, TraceReason

__all__ = [
    "CALLS_EVENT",
    "COLUMNS",
    "CONTENTS",
    "CUSTOM_EVENT_PROPERTIES",
    "CallRecord",
    "ChargeLine",
    "ChosenBy",
    "Clock",
    "ClockJumps",
    "Column",
    "ColumnKind",
    "Duration",
    "FlatRecord",
    "LARGEST_AMOUNT",
    "NO_USAGE",
    "OneOf",
    "Outcome",
    "PathFamily",
    "PathMark",
    "PathText",
    "QUANTITIES",
    "Quantity",
    "QuantityName",
    "QuantitySource",
    "Route",
    "Size",
    "SystemClock",
    "TOKENS_EVENT",
    "Trace",
    "TraceReason",
    "TracedAttempt",
    "TracedTarget",
    "Usage",
    "UsageReason",
    "UsageSource",
    "exact_amount",
    "flat",
    "flat_fields",
    "from_fields",
    "from_flat",
    "has_contents",
    "new_call_id",
    "plain_amount",
    "without_contents",
]

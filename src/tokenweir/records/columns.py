"""The one table of a record's columns, and a record as one flat object with them.

That is how everybody but the journal has it: events, ledgers, the admin API, queries. The columns are the fields of
`CallRecord` in their order, with those of `Usage` in the place of ``usage``. What has its default is left out.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec.structs import astuple

from .call import DISTINCT, SUMMED, CallRecord, Since, Usage
from .charge import ChargeLine
from .quantities import Quantity
from .trace import Trace

__all__ = [
    "CALLS_EVENT",
    "COLUMNS",
    "CUSTOM_EVENT_PROPERTIES",
    "TOKENS_EVENT",
    "Column",
    "ColumnKind",
    "FlatRecord",
    "flat",
    "flat_fields",
    "from_fields",
    "from_flat",
]

ColumnKind = Literal[
    "text",
    "count",
    "milliseconds",
    "flag",
    "moment",
    "money",
    "labels",
    "counts",
    "quantities",
    "object",
    "texts",
    "charges",
    "trace",
]
"""What a column holds: ``labels`` are names with texts, ``counts`` names with whole numbers, ``quantities`` names with
amounts and their sources, ``charges`` a list of lines, an ``object`` is JSON as an upstream said it."""

_KINDS: Final[dict[Any, ColumnKind]] = {
    str: "text",
    int: "count",
    float: "milliseconds",
    bool: "flag",
    datetime: "moment",
    Decimal: "money",
    dict[str, str]: "labels",
    dict[str, int]: "counts",
    dict[str, Quantity]: "quantities",
    dict[str, Any]: "object",
    list[str]: "texts",
    list[ChargeLine]: "charges",
    Trace: "trace",
}


class Column(NamedTuple):
    """One column."""

    name: str
    path: str
    """Where a record has its value."""
    kind: ColumnKind
    is_optional: bool
    """Whether a record may have no value there, as it does by default."""
    is_distinct: bool
    """Whether nearly every record has another value."""
    is_summed: bool
    """Whether reports add it up."""
    since: int
    """The step of the ledgers' migrations that adds it."""
    field: msgspec.structs.FieldInfo

    @property
    def is_required(self) -> bool:
        return self.field.default is self.field.default_factory is msgspec.NODEFAULT

    @property
    def default(self) -> Any:
        """Where it is not required."""
        factory = self.field.default_factory
        return self.field.default if factory is msgspec.NODEFAULT else factory()


# What stands beside other columns says what it is about.
_NAMES_OF_USAGE: Final = {"source": "usage_source", "reason": "usage_reason", "raw": "usage"}


def _columns() -> Iterator[Column]:
    for field in msgspec.structs.fields(CallRecord):
        if field.name != "usage":
            yield _column(field.name, field.name, field)
            continue
        for part in msgspec.structs.fields(Usage):
            yield _column(_NAMES_OF_USAGE.get(part.name, part.name), f"usage.{part.name}", part)


def _column(name: str, path: str, field: msgspec.structs.FieldInfo) -> Column:
    kind, *marks = get_args(field.type) if get_origin(field.type) is Annotated else [field.type]
    is_optional = NoneType in get_args(kind)
    if is_optional:
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    return Column(
        name=name,
        path=path,
        kind="text" if get_origin(kind) is Literal else _KINDS[kind],
        is_optional=is_optional,
        is_distinct=DISTINCT in marks,
        is_summed=SUMMED in marks,
        since=next((mark.step for mark in marks if isinstance(mark, Since)), 1),
        field=field,
    )


COLUMNS: Final = tuple(_columns())


def _definition(column: Column) -> tuple[str, Any] | tuple[str, Any, Any]:
    if column.is_required:
        return column.name, column.field.type
    if column.field.default_factory is not msgspec.NODEFAULT:
        return column.name, column.field.type, msgspec.field(default_factory=column.field.default_factory)
    return column.name, column.field.type, column.field.default


# The name and the words are those of the admin API's description.
FlatRecord: Any = msgspec.defstruct(
    "CallRecord",
    [_definition(column) for column in COLUMNS],
    module=__name__,
    namespace={"__doc__": "One call. Tokens are whole numbers, money is text, times are UTC, durations milliseconds."},
    frozen=True,
    omit_defaults=True,
)
"""A struct with the columns as its fields."""

_NAMES = tuple(column.name for column in COLUMNS)
_USAGE = _NAMES.index(_NAMES_OF_USAGE["source"])
_AFTER = _USAGE + len(Usage.__struct_fields__)


def _values(record: CallRecord) -> tuple[Any, ...]:
    values = astuple(record)
    return (*values[:_USAGE], *astuple(record.usage), *values[_USAGE + 1 :])


def flat(record: CallRecord) -> msgspec.Struct:
    """The record as a `FlatRecord`."""
    made: msgspec.Struct = FlatRecord(*_values(record))
    return made


def from_flat(given: msgspec.Struct) -> CallRecord:
    """The record that a `FlatRecord` was made of."""
    values = astuple(given)
    return CallRecord(*(*values[:_USAGE], Usage(*values[_USAGE:_AFTER]), *values[_AFTER:]))


def flat_fields(record: CallRecord) -> dict[str, Any]:
    """Every column's value, by its name."""
    return dict(zip(_NAMES, _values(record), strict=True))


def from_fields(**fields: Any) -> CallRecord:
    """The record with these values in its columns, which are taken as they are; the others have their defaults.

    Raises:
        TypeError: ``call_id`` or ``started_at`` is missing, or a name is no column's.
    """
    return from_flat(FlatRecord(**fields))


# --- as Application Insights shows a call ---

TOKENS_EVENT: Final = "Azure OpenAI Tokens"
"""The event of a call that used something. Today's queries look for this name."""
CALLS_EVENT: Final = "Azure OpenAI Calls"
"""The event of a call that used nothing: refused, throttled, failed upstream. Today's queries pass over it."""

CUSTOM_EVENT_PROPERTIES: Final[dict[str, str | None]] = {
    # today's chargeback function
    "TokenInfoId": "call_id",
    "ApiOperation": None,
    "AppKey": None,
    "Timestamp": "started_at",
    "Stream": "stream",
    "PromptTokens": "input_tokens",
    "CompletionTokens": "output_tokens",
    "TotalTokens": "total_tokens",
    # who, where, and how it was counted
    "CallId": "call_id",
    "Caller": "caller",
    "Deployment": "deployment",
    "Model": None,
    "Backend": "backend",
    "Region": "region",
    "UsageSource": "usage_source",
    "CachedTokens": "cached_input_tokens",
    "ReasoningTokens": "reasoning_tokens",
    "Cost": "cost",
    "Currency": "currency",
    # how it went
    "Status": "status",
    "Outcome": "outcome",
    "ErrorCode": "error_code",
    "LatencyMs": "latency_ms",
    "FirstTokenMs": "first_token_ms",
    "Attempts": "attempts",
    # by what it is shared out
    "Sku": "sku",
    "PriceId": "price_id",
    "Tags": "tags",
    # what was used beside tokens
    "Quantities": "quantities",
    # what is not known
    "UsageReason": "usage_reason",
    "Path": "path",
    # who used the caller's access
    "Application": "application",
    "Subject": "subject",
    "IdentitySource": "identity_source",
    # what it cost, line by line, and what of it has no price
    "Charges": "charges",
    "CostReason": "cost_reason",
    # which records are no calls: `session` and `job`
    "Operation": "operation",
}
"""The event's properties, in their order, and the column that each is a copy of; ``None`` where it is made of several
or in another way, which the ledger's view ``customEvents`` and the sink of kind ``application_insights`` say, each in
its language. All are text; one that has no value is null in the view and left out of the event."""

"""The one table of a record's columns, and a record as one flat object with them.

That is how everybody but the journal has it: events, ledgers, the admin API, queries. The columns are the fields of
`CallRecord` in their order, with those of `Usage` in the place of ``usage``. What has its default is left out.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from .call import CallRecord
from .usage import Usage

__all__ = ["COLUMNS", "Column", "FlatRecord", "flat", "flat_fields", "from_fields", "from_flat"]


class Column(NamedTuple):
    """One column: its name, where a record has its value, and its type, default included."""

    name: str
    path: str
    field: msgspec.structs.FieldInfo

    @property
    def is_required(self) -> bool:
        return self.field.default is self.field.default_factory is msgspec.NODEFAULT

    @property
    def default(self) -> Any:
        """Where there is one."""
        factory = self.field.default_factory
        return self.field.default if factory is msgspec.NODEFAULT else factory()


# What stands beside other columns says what it is about.
_NAMES_OF_USAGE = {"source": "usage_source", "reason": "usage_reason", "raw": "usage"}


def _columns() -> Iterator[Column]:
    for field in msgspec.structs.fields(CallRecord):
        if field.name != "usage":
            yield Column(field.name, field.name, field)
            continue
        for part in msgspec.structs.fields(Usage):
            yield Column(_NAMES_OF_USAGE.get(part.name, part.name), f"usage.{part.name}", part)


COLUMNS: tuple[Column, ...] = tuple(_columns())


def _definition(column: Column) -> tuple[str, Any] | tuple[str, Any, Any]:
    if column.is_required:
        return column.name, column.field.type
    if column.field.default_factory is not msgspec.NODEFAULT:
        return column.name, column.field.type, msgspec.field(default_factory=column.field.default_factory)
    return column.name, column.field.type, column.field.default


# The name is the one that the admin API's description gives it.
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
_values = attrgetter(*(column.path for column in COLUMNS))
_USAGE = _NAMES.index(_NAMES_OF_USAGE["source"])
_AFTER = _USAGE + len(Usage.__struct_fields__)


def flat(record: CallRecord) -> msgspec.Struct:
    """The record as a `FlatRecord`."""
    made: msgspec.Struct = FlatRecord(*_values(record))
    return made


def from_flat(given: msgspec.Struct) -> CallRecord:
    """The record that a `FlatRecord` was made of."""
    values = msgspec.structs.astuple(given)
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

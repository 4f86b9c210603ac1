"""The table ``calls`` as every engine makes it: a record's columns, in the steps of the migrations that added them.

A ledger's format is the number of its migrations. Older ones are brought up to date, newer ones left alone.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import ConfigError
from ..records import COLUMNS, CONTENTS, Column
from .rows import DEFAULTS

__all__ = ["FIRST_COLUMNS", "column_steps", "columns_of_step", "default_of", "definitions", "refuse_newer"]

D = TypeVar("D")

TypeOf = Callable[[Column], str]
"""An engine's type for a column."""

FIRST_COLUMNS = [column for column in COLUMNS if column.since == 1 and column.name not in CONTENTS]
"""Those that the table began with."""


def definitions(columns: Sequence[Column], type_of: TypeOf) -> list[str]:
    """Each column's name and type."""
    return [f"{column.name} {type_of(column)}" for column in columns]


def default_of(column: Column) -> str:
    """What rows from before a column was added have in it; nothing where that is NULL."""
    if column.name not in DEFAULTS:
        return ""
    text = DEFAULTS[column.name]
    return f" DEFAULT {text}" if column.kind in ("count", "milliseconds", "flag") else f" DEFAULT '{text}'"


def column_steps(
    add: Callable[[D, Sequence[Column]], None], first: int, last: int | None = None
) -> list[Callable[[D], None]]:
    """The steps that only add columns, from number ``first`` to ``last`` or to the newest."""
    last = last or max(column.since for column in COLUMNS)
    return [_column_step(add, number) for number in range(first, last + 1)]


def columns_of_step(number: int) -> list[Column]:
    """Those that a step of the migrations adds."""
    return [column for column in COLUMNS if column.since == number]


def _column_step(add: Callable[[D, Sequence[Column]], None], number: int) -> Callable[[D], None]:
    def step(database: D) -> None:
        add(database, columns_of_step(number))

    step.__name__ = f"_{number}_columns"
    return step


def refuse_newer(applied: int, known: int) -> None:
    """`ConfigError` for a ledger that has seen more migrations than this program has."""
    if applied > known:
        raise ConfigError(
            f"this ledger has format {applied} and this program knows formats up to {known}: "
            "a newer Tokenweir wrote it; upgrade, or name another ledger in ledger.url"
        )

"""Closed months: the rows of their statements, kept for good, with who closed them and what they add up to.

The rows of a month's statement are those of its own calls (``of_month`` is the month itself), and adjustments of months
that were closed before: what has come late or was rated anew since. All that was ever stated of a month is therefore
the sum of the kept rows with its name in ``of_month``, and what is missing there is the difference to the ledger.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from ..records import Column
from .charge_lines import (
    CHARGE_SUM_COLUMNS,
    ChargeSum,
    LineDialect,
    creating_sums,
    creating_view,
    sum_definitions,
)
from .corrections import MakeTable, TypeNames, creating_corrections

__all__ = ["MONTH_COLUMNS", "ClosedMonth", "KeptSum", "creating_accounts", "digest_of"]


class KeptSum(msgspec.Struct, frozen=True):
    """A row of a closed month."""

    of_month: str
    """The month whose calls it is of."""
    sums: ChargeSum


class ClosedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """A month that was closed. Its calls began from ``since`` on and before ``until``."""

    month: str
    """Its name, which no second has: ``2026-10``, or one of a fiscal calendar."""
    since: datetime
    until: datetime
    timezone: str
    """Of its beginning and end."""
    closed_at: datetime
    closed_by: str
    closing_id: str
    calls: int
    """Its own, at that moment."""
    line_count: int
    """`Ledger.lines_between` at that moment: with another one, calls have come since."""
    corrections: int
    """Correcting entries of its own calls, at that moment."""
    runs: int
    """The number of the last re-rating that was booked by then."""
    row_count: int
    rates: str
    """The rates of currencies that held for it, as JSON."""
    digest: str
    """SHA-256 of its rows, in hexadecimal."""


MONTH_COLUMNS: Final = tuple(ClosedMonth.__struct_fields__)
"""Of the table, in the order of the fields."""


def digest_of(rows: Iterable[KeptSum]) -> str:
    """Of the rows as lines of JSON in their order; the same whatever order they come in."""
    lines = sorted(msgspec.json.encode(msgspec.to_builtins(row), order="deterministic") for row in rows)
    return sha256(b"\n".join(lines)).hexdigest()


def creating_accounts(
    type_of: Callable[[Column], str],
    types: TypeNames,
    make: MakeTable,
    rows_of: Callable[[str], str],
    lines: LineDialect,
    *,
    has_days: bool,
) -> Iterator[str]:
    """The statements that make the tables and views of corrections, lines and months. ``rows_of`` says how a table is
    read so that each row comes once."""
    yield from creating_corrections(type_of, types, make, rows_of)
    yield creating_view(lines)
    if has_days:
        yield from creating_sums(types, make)
    yield from _creating_months(types, make, rows_of)


def _creating_months(types: TypeNames, make: MakeTable, rows_of: Callable[[str], str]) -> Iterator[str]:
    """The rows of a closing are seen once its month is."""
    kinds = dict.fromkeys(("since", "until", "closed_at"), types.moment)
    kinds |= dict.fromkeys(("calls", "line_count", "corrections", "runs", "row_count"), types.whole)
    columns = [f"{name} {kinds.get(name, types.text)}" for name in MONTH_COLUMNS]
    rows = [f"closing_id {types.text}", f"of_month {types.text}", *sum_definitions(types)]
    shown = ", ".join(f"kept.{name} AS {name}" for name in CHARGE_SUM_COLUMNS)
    yield from make("posted_closed_months", columns, ["month"], is_small=True)
    yield from make("posted_statement_rows", rows, [], is_small=False)
    months = f"SELECT {', '.join(MONTH_COLUMNS)} FROM {rows_of('posted_closed_months')}"
    yield f"CREATE OR REPLACE VIEW closed_months AS {months}"
    yield (
        f"CREATE OR REPLACE VIEW statement_rows AS SELECT months.month AS month, kept.of_month AS of_month, {shown} "
        "FROM posted_statement_rows AS kept JOIN closed_months AS months ON months.closing_id = kept.closing_id"
    )

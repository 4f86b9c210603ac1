"""Correcting entries: what a re-rating found a call to cost instead. Nothing is ever overwritten.

A run of re-rating writes its entries first, and they count from the moment on at which its own row is in
``rating_runs``: that is one row, so a run that was killed half-way has left nothing that anybody sees, in an engine
without transactions, too. The views ``corrections`` and ``charge_lines`` show entries of such runs only.

An entry has both ratings. Every sum takes the call away as it was rated before and adds it as it is rated now, so that
sums after a re-rating are those of a ledger to which the calls had been posted with these prices.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from ..records import COLUMNS, CallRecord, Column
from .base import LedgerError
from .grouping import AMOUNTS
from .rows import json_encoder

__all__ = [
    "RATING",
    "SIGNS",
    "Correction",
    "MakeTable",
    "RatingRun",
    "TypeNames",
    "corrected",
    "creating_corrections",
    "signed_amounts",
    "staged",
    "take_number",
]

RATING: Final = ("cost", "currency", "price_id", "cost_reason", "charges")
"""The columns of a call that a rating says."""

Sign = Literal[-1, 1]
SIGNS: Final[tuple[Sign, Sign]] = (-1, 1)


class Correction(msgspec.Struct, frozen=True):
    """A call as it was rated, and as it is rated now."""

    before: CallRecord
    after: CallRecord

    def row(self, run_id: str) -> dict[str, Any]:
        """As the table has it."""
        return {
            "run_id": run_id,
            "call_id": self.after.call_id,
            "call_started_at": self.after.started_at,
            **{f"old_{name}": _cell(getattr(self.before, name)) for name in RATING},
            **{name: _cell(getattr(self.after, name)) for name in RATING},
        }


def _cell(value: Any) -> Any:
    return msgspec.Raw(json_encoder.encode(value)) if isinstance(value, list) else value


class RatingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A re-rating that was booked."""

    number: int
    """Counted from 1; one after the other."""
    run_id: str
    booked_at: datetime
    booked_by: str
    calls: int
    """How many it corrected."""
    what: str
    """Which calls were looked at, for a person."""


class MakeTable(Protocol):
    """How an engine makes a table. ``key`` is that of a row; of a table that is small, nobody can add a second row with
    the same, and of others the engine may leave that to those who write."""

    def __call__(self, name: str, columns: Sequence[str], key: Sequence[str], *, is_small: bool) -> list[str]: ...


class TypeNames(NamedTuple):
    """What an engine calls the types of columns that are no call's."""

    text: str
    optional_text: str
    moment: str
    whole: str
    money: str
    optional_money: str


def creating_corrections(
    type_of: Callable[[Column], str], types: TypeNames, make: MakeTable, rows_of: Callable[[str], str]
) -> list[str]:
    """The statements that make tables and views. ``rows_of`` says how a table is read so that each row comes once."""
    columns = {column.name: column for column in COLUMNS}
    rating = [(f"{old}{name}", type_of(columns[name])) for old in ("old_", "") for name in RATING]
    kept = [("run_id", types.text), ("call_id", types.text), ("call_started_at", types.moment), *rating]
    runs = [
        ("number", types.whole),
        ("run_id", types.text),
        ("booked_at", types.moment),
        ("booked_by", types.text),
        ("calls", types.whole),
        ("what", types.text),
    ]
    shown = ", ".join(f"entries.{name} AS {name}" for name, _ in kept)
    booked = f"SELECT {', '.join(name for name, _ in runs)} FROM {rows_of('posted_rating_runs')}"
    entries = (
        f"SELECT runs.number AS number, runs.booked_at AS booked_at, {shown} "
        f"FROM {rows_of('posted_corrections')} AS entries JOIN rating_runs AS runs ON runs.run_id = entries.run_id"
    )
    return [
        *make("posted_corrections", [" ".join(one) for one in kept], ["call_id", "run_id"], is_small=False),
        *make("posted_rating_runs", [" ".join(one) for one in runs], ["number"], is_small=True),
        f"CREATE OR REPLACE VIEW rating_runs AS {booked}",
        f"CREATE OR REPLACE VIEW corrections AS {entries}",
    ]


def staged(run_id: str) -> str:
    """The entries of a run that does not count yet, in the place of ``corrections``."""
    return f"(SELECT * FROM posted_corrections WHERE run_id = '{run_id}')"


def take_number(run: RatingRun, last: Sequence[Any] | None) -> None:
    """`LedgerError` unless the run is the one after the last: another one was booked since this one began, so its
    entries tell what calls had cost before that."""
    if last is None or run.number != int(last[0]) + 1:
        raise LedgerError("another re-rating was booked since this one began; run it again, nothing was changed")


def corrected(sign: Sign, columns: Iterable[str], entries: str = "corrections", condition: str = "") -> str:
    """A SELECT of corrected calls: with ``-1`` as they were rated, with ``1`` as they are now, which ``sign`` says."""
    old = "old_" if sign < 0 else ""
    cells = [f"corrections.{old}{name} AS {name}" if name in RATING else f"calls.{name} AS {name}" for name in columns]
    where = f" WHERE {condition}" if condition else ""
    return (
        f"SELECT {', '.join(cells)}, 'correction' AS entry, {sign} AS sign "
        f"FROM calls JOIN {entries} AS corrections ON corrections.call_id = calls.call_id{where}"
    )


def signed_amounts(sign: Sign, prefix: str = "") -> str:
    """The columns of `AMOUNTS`, of such a SELECT, with a prefix to their names."""
    return ", ".join(f"{sign} * ({what}) AS {prefix}{name}" for name, what in AMOUNTS.items())

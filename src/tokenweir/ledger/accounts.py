"""What finance asks of a ledger: sums of charge lines, months that are closed, and corrections.

The SQL that the engines have in common; how rows are written in bulk, and how a run of corrections comes to count, an
engine brings along.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from ..records import CallRecord
from .base import LedgerError
from .charge_lines import (
    CHARGE_SUM_COLUMNS,
    ChargeSum,
    calls_as_corrected,
    calls_as_rated,
    charge_sum_of,
    charge_sums,
    count_lines,
    lines_of,
)
from .corrections import RATING, Correction, RatingRun
from .months import MONTH_COLUMNS, ClosedMonth, KeptSum
from .parsing import UTC_ZONE, as_utc
from .person import Person
from .rollups import WholeDays, literal, whole_days
from .rows import CALL_COLUMNS, as_record, as_record_fields, json_encoder
from .upkeep import Upkeep

__all__ = ["Accounts"]

_RUN_COLUMNS = tuple(RatingRun.__struct_fields__)
_SUM_COLUMNS = ", ".join(CHARGE_SUM_COLUMNS)
_NOW = ("call_id", "number", "booked_at", *(f"old_{name}" for name in RATING), *RATING)

# Of calls at once, with all their columns: a hundred megabytes. Time is cut into minutes until so many are left.
_SLICE_CALLS = 25_000


class Accounts(Upkeep):
    """`Ledger.charge_sums`, months and corrections."""

    _tags_text: ClassVar[str] = "CAST(tags AS text)"
    _corrections_table: ClassVar[str] = "posted_corrections"
    """As `_change` knows it."""
    _statements_table: ClassVar[str] = "posted_statement_rows"

    @abstractmethod
    def book_run(self, run: RatingRun) -> None:
        """As `Ledger`."""

    # --- sums of lines ---

    def charge_sums(self, since: datetime, until: datetime) -> list[ChargeSum]:
        days, condition = self._days_and_calls(since, until)
        sources = [calls_as_rated(condition)]
        if self._is_corrected():
            sources += calls_as_corrected(condition=condition)
        lines = lines_of(sources, self)
        statement = charge_sums(lines, self._tags_text, None if days is None else days.whole())
        return [charge_sum_of(row) for row in self._read(statement, [])]

    def _days_and_calls(self, since: datetime, until: datetime) -> tuple[WholeDays | None, str]:
        """The days of which sums are read, and the condition for calls of the rest of the time."""
        days = whole_days(self._closed(), (), {}, UTC_ZONE, since, until)
        bounds = f"started_at >= {self._moment_literal(since)} AND started_at < {self._moment_literal(until)}"
        return days, bounds if days is None else days.edges()

    def _moment_literal(self, moment: datetime) -> str:
        return literal(as_utc(moment).replace(tzinfo=None))

    # --- months ---

    def closed_months(self) -> list[ClosedMonth]:
        rows = self._read(f"SELECT {', '.join(MONTH_COLUMNS)} FROM closed_months ORDER BY since, month", [])
        return [ClosedMonth(**_aware(zip(MONTH_COLUMNS, row, strict=True))) for row in rows]

    def close_month(self, month: ClosedMonth, rows: Sequence[KeptSum]) -> None:
        if rows:
            named = ({"closing_id": month.closing_id, "of_month": row.of_month} | _sum_row(row.sums) for row in rows)
            self._write("posted_statement_rows", list(named))
        try:
            self._write("posted_closed_months", [msgspec.structs.asdict(month)])
        except LedgerError:
            self._change(self._statements_table, None, f"closing_id = {self._mark}", [month.closing_id])
            raise

    def statement_rows(self, month: str) -> list[KeptSum]:
        return self._kept("month", month)

    def stated_of(self, month: str) -> list[KeptSum]:
        return self._kept("of_month", month)

    def _kept(self, column: str, month: str) -> list[KeptSum]:
        rows = self._read(f"SELECT of_month, {_SUM_COLUMNS} FROM statement_rows WHERE {column} = {self._mark}", [month])
        return [KeptSum(of_month, charge_sum_of(row)) for of_month, *row in rows]

    # --- corrections ---

    def rating_runs(self) -> list[RatingRun]:
        rows = self._read(f"SELECT {', '.join(_RUN_COLUMNS)} FROM rating_runs ORDER BY number", [])
        return [RatingRun(**_aware(zip(_RUN_COLUMNS, row, strict=True))) for row in rows]

    def lines_between(self, since: datetime, until: datetime) -> int:
        days, condition = self._days_and_calls(since, until)
        lines = lines_of([calls_as_rated(condition)], self)
        return int(self._read(count_lines(lines, None if days is None else days.whole()), [])[0][0])

    def corrections_between(self, since: datetime, until: datetime) -> int:
        condition = f"call_started_at >= {self._mark} AND call_started_at < {self._mark}"
        values = [as_utc(moment).replace(tzinfo=None) for moment in (since, until)]
        return int(self._read(f"SELECT count(*) FROM corrections WHERE {condition}", values)[0][0])

    def records_to_rate(self, since: datetime | None, until: datetime | None) -> Iterator[list[CallRecord]]:
        is_corrected = self._is_corrected()
        for first, end in self._slices(since, until):
            where, values = self._where(first, end, None)
            rows = self._read(f"SELECT {', '.join(CALL_COLUMNS)} FROM calls{where}", values)
            records = [as_record(CALL_COLUMNS, row) for row in rows]
            if is_corrected:
                now = self._rated_now(f"call_started_at >= {self._mark} AND call_started_at < {self._mark}", values)
                records = [
                    msgspec.structs.replace(one, **_rating(now[one.call_id])) if one.call_id in now else one
                    for one in records
                ]
            yield records

    def _slices(self, since: datetime | None, until: datetime | None) -> Iterator[tuple[datetime, datetime]]:
        """Stretches of time, one after the other, with some thousands of calls each, or those of a minute."""
        where, values = self._where(since, until, None)
        minutes = self._read(
            f"SELECT date_trunc('minute', started_at), count(*) FROM calls{where} GROUP BY 1 ORDER BY 1", values
        )
        first, count = None, 0
        for minute, calls in minutes:
            moment = max(minute.replace(tzinfo=UTC), as_utc(since)) if since else minute.replace(tzinfo=UTC)
            if first is not None and count + int(calls) > _SLICE_CALLS:
                yield first, moment
                first = None
            if first is None:
                first, count = moment, 0
            count += int(calls)
        if first is not None:
            last = datetime.max.replace(tzinfo=UTC) if until is None else as_utc(until)
            yield first, last

    def stage(self, run_id: str, corrections: Sequence[Correction]) -> None:
        if corrections:
            self._write("posted_corrections", [one.row(run_id) for one in corrections])

    def discard(self, run_id: str | None = None) -> None:
        unseen = "run_id NOT IN (SELECT run_id FROM rating_runs)"
        if run_id is not None:
            self._change(self._corrections_table, None, f"{unseen} AND run_id = {self._mark}", [run_id])
        elif self._read(f"SELECT 1 FROM posted_corrections WHERE {unseen} LIMIT 1", []):
            self._change(self._corrections_table, None, unseen, [])

    # --- calls, as they are rated now ---

    def calls(self, limit: int = 50, **among: Any) -> list[dict[str, Any]]:
        return self._as_rated_now(super().calls(limit, **among))

    def call(self, call_id: str) -> dict[str, Any] | None:
        found = super().call(call_id)
        return None if found is None else self._as_rated_now([found])[0]

    def _as_rated_now(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of those that were corrected, ``corrected`` says when, and what they had cost before."""
        if not calls or not self._is_corrected():
            return calls
        marks = ", ".join([self._mark] * len(calls))
        now = self._rated_now(f"call_id IN ({marks})", [call["call_id"] for call in calls])
        return [call | _shown(now[call["call_id"]]) if call["call_id"] in now else call for call in calls]

    def _rated_now(self, condition: str, values: list[Any]) -> dict[str, dict[str, Any]]:
        """The last correction of each call."""
        rows = self._read(f"SELECT {', '.join(_NOW)} FROM corrections WHERE {condition} ORDER BY number", values)
        return {row[0]: dict(zip(_NOW, row, strict=True)) for row in rows}

    # --- people ---

    def erase(self, person: Person) -> int:
        count = super().erase(person)
        if person.column == "caller":
            condition = f"caller IN ({', '.join([self._mark] * len(person.names))})"
            tables = [self._statements_table, *(["daily_charges"] if self._closed() is not None else [])]
            for table in tables:
                self._change(table, {"caller": person.pseudonym}, condition, [*person.names])
        return count


def _aware(cells: Any) -> dict[str, Any]:
    return {name: cell.replace(tzinfo=UTC) if isinstance(cell, datetime) else cell for name, cell in cells}


def _sum_row(sums: ChargeSum) -> dict[str, Any]:
    row = msgspec.structs.asdict(sums)
    return row | {"tags": json_encoder.encode(sums.tags).decode()}


def _rating(correction: Mapping[str, Any], old: str = "") -> dict[str, Any]:
    return as_record_fields(RATING, [correction[f"{old}{name}"] for name in RATING])


def _shown(correction: Mapping[str, Any]) -> dict[str, Any]:
    before = _rating(correction, "old_")
    told = {"at": correction["booked_at"].replace(tzinfo=UTC), "cost": before["cost"], "price_id": before["price_id"]}
    return _rating(correction) | {"corrected": told}

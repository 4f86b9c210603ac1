"""Sums of whole days, kept beside the calls: what makes a question about ten million of them one about thousands.

A day (UTC) is closed once calls come that are an hour younger than its end: its calls are summed up by everything that
usage can be asked by, but for what differs with nearly every call. From then on usage reads the sums of closed days,
and the calls of the others. Calls of a closed day that come late are added to its sums, in the transaction that posts
them, so that both ways always give the same. Whoever changes or removes calls of closed days has to see to that, too;
where they are removed for their age, the sums stay.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, Protocol

import msgspec

from ..records import COLUMNS, CallRecord, Column
from .charge_lines import LineDialect, calls_as_corrected, calls_as_rated, lines_of, sums_into_days
from .corrections import SIGNS, corrected, signed_amounts
from .grouping import AMOUNTS, GROUPINGS, TAG
from .parsing import UTC_ZONE, as_utc

__all__ = [
    "DAILY_TABLES",
    "DAY",
    "Closed",
    "DayDialect",
    "WholeDays",
    "also_by",
    "beginning",
    "close_day",
    "creating",
    "corrections_into_days",
    "first_open_day",
    "in_sums",
    "is_closed",
    "is_due",
    "late_additions",
    "literal",
    "rated_amounts",
    "rated_quantities",
    "whole_days",
]

DAY: Final = timedelta(days=1)
# Calls are posted when they have ended, and the longest ones take most of an hour.
_GRACE: Final = timedelta(hours=1)

_DIFFERENT: Final = ("hour", "subject", "path", "spillover_from")
"""Groupings that sums of days cannot answer, or that would be as many as calls."""

_NAMES: Final = (
    "caller",
    "key_id",
    "deployment",
    "requested_model",
    "response_model",
    "backend",
    "region",
    "sku",
    "service_tier",
    "price_id",
    "api",
    "operation",
    "status",
    "outcome",
    "error_code",
    "usage_source",
    "usage_reason",
    "cost_reason",
    "currency",
    "application",
)
_COLUMNS: Final = {column.name: column for column in COLUMNS}
_KEPT: Final = ", ".join(_NAMES)
_FIRST: Final = _NAMES[: _NAMES.index("application")]
"""Those that the tables began with; the others came later."""
_SUMMED: Final = ", ".join(AMOUNTS)
_OF_A_CALL: Final = ", ".join(f"{what} AS {name}" for name, what in AMOUNTS.items())
_OF_A_CORRECTION: Final = ", ".join(f"of_{name} AS {name}" for name in AMOUNTS)

_INSERT_USAGE: Final = f"INSERT INTO daily_usage (started_at, {_KEPT}, tags, {_SUMMED})"
_INSERT_QUANTITIES: Final = f"INSERT INTO daily_quantities (started_at, {_KEPT}, tags, quantity, amount)"

DAILY_TABLES: Final = ("daily_usage", "daily_quantities")
_TAGS: Final = "CAST(tags AS text)"
_READ: Final = (
    "started_at",
    "cost",
    *_NAMES,
    *_DIFFERENT[1:],
    "tags",
    "quantities",
    *(column.name for column in COLUMNS if column.is_summed),
)
"""The columns of a call that are summed, or summed by."""

Closed = datetime | None
"""Before when all days are closed, naive and in UTC; ``None``: there is no such day yet."""


def creating(type_of: Callable[[Column], str], *, text: str, moment: str, whole: str, money: str) -> list[str]:
    """The statements that make the tables, given the engine's types."""
    kept = [f"started_at {moment} NOT NULL", *(f"{name} {type_of(_COLUMNS[name])}" for name in _FIRST), f"tags {text}"]
    sums = [f"{name} {money if name == 'cost' else whole}" for name in AMOUNTS]
    return [
        f"CREATE TABLE daily_usage ({', '.join([*kept, *sums])})",
        f"CREATE TABLE daily_quantities ({', '.join([*kept, f'quantity {text}', f'amount {money}'])})",
        f"CREATE TABLE closed_days (until {moment})",
        "INSERT INTO closed_days VALUES (NULL)",
    ]


def also_by(name: str, type_of: Callable[[Column], str]) -> list[str]:
    """The statements that let sums be kept by one more column. Days since the first whose calls have something there
    are open again: they are summed up anew, one with each post."""
    first = f"(SELECT date_trunc('day', min(started_at)) FROM calls WHERE {name} IS NOT NULL)"
    return [
        *(f"ALTER TABLE {table} ADD COLUMN {name} {type_of(_COLUMNS[name])}" for table in DAILY_TABLES),
        *(f"DELETE FROM {table} WHERE started_at >= {first}" for table in DAILY_TABLES),
        f"UPDATE closed_days SET until = {first} WHERE until > {first}",
    ]


def in_sums(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Those of the values that the sums of days are kept by."""
    return {name: value for name, value in values.items() if name in _NAMES}


def is_closed(record: CallRecord, closed: Closed) -> bool:
    """Whether a call comes late."""
    return closed is not None and _naive(record.started_at) < closed


def is_due(records: Collection[CallRecord], closed: Closed) -> bool:
    """Whether a day could be closed after these were posted."""
    newest = max((record.started_at for record in records), default=None)
    return newest is not None and (closed is None or _naive(newest) >= closed + DAY + _GRACE)


def first_open_day(closed: Closed) -> str:
    """The SELECT for the first day with calls that is not closed."""
    since = "" if closed is None else f" WHERE started_at >= {literal(closed)}"
    return f"SELECT date_trunc('day', min(started_at)) FROM calls{since}"


def beginning(day: datetime) -> list[str]:
    """The statement that has days before this one closed, in which there are no calls."""
    return [f"UPDATE closed_days SET until = {literal(day)}"]


def close_day(day: datetime, dialect: "DayDialect") -> list[str]:
    """The statements that close a day."""
    within = f"started_at >= {literal(day)} AND started_at < {literal(day + DAY)}"
    groups = ", ".join(str(number) for number in range(1, len(_NAMES) + 3))
    kept = f"{literal(day)}, {_KEPT}, {_TAGS}"
    sums = ", ".join(f"sum({what})" for what in AMOUNTS.values())
    used = f"({dialect._quantities} WHERE {dialect._has_quantities} AND {within}) AS calls"
    return [
        f"{_INSERT_USAGE} SELECT {kept}, {sums} FROM calls WHERE {within} GROUP BY {groups}",
        f"{_INSERT_QUANTITIES} SELECT {kept}, quantity, sum(amount) FROM {used} GROUP BY {groups}, quantity",
        sums_into_days(lines_of([calls_as_rated(within)], dialect), _TAGS),
        *corrections_into_days("corrections", within, dialect),
        *beginning(day + DAY),
    ]


def late_additions(chosen: str, dialect: "DayDialect") -> list[str]:
    """The statements that add calls which came after their day was closed, each by itself: a sum may be too large."""
    kept = f"date_trunc('day', started_at), {_KEPT}, {_TAGS}"
    used = f"({dialect._quantities} WHERE {dialect._has_quantities} AND {chosen}) AS calls"
    return [
        f"{_INSERT_USAGE} SELECT {kept}, {_OF_A_CALL} FROM calls WHERE {chosen}",
        f"{_INSERT_QUANTITIES} SELECT {kept}, quantity, amount FROM {used}",
        sums_into_days(lines_of([calls_as_rated(chosen)], dialect), _TAGS),
    ]


def corrections_into_days(entries: str, condition: str, dialect: "DayDialect") -> list[str]:
    """The statements that take corrected calls of a condition out of the sums of their days as they were rated, and put
    them in as they are rated now."""
    kept = f"date_trunc('day', started_at), {_KEPT}, {_TAGS}"
    groups = ", ".join(str(number) for number in range(1, len(_NAMES) + 3))
    more = f"{groups}, quantity"
    statements: list[str] = []
    for sign in SIGNS:
        calls = corrected(sign, _READ, entries, condition)
        amounts = f"SELECT *, {signed_amounts(sign, 'of_')} FROM ({calls}) AS calls"
        summed = ", ".join(f"sum(of_{name})" for name in AMOUNTS)
        used = f"({quantities_in(calls, dialect)}) AS calls"
        statements += [
            f"{_INSERT_USAGE} SELECT {kept}, {summed} FROM ({amounts}) AS calls GROUP BY {groups}",
            f"{_INSERT_QUANTITIES} SELECT {kept}, quantity, {sign} * sum(amount) FROM {used} GROUP BY {more}",
        ]
    return [*statements, sums_into_days(lines_of(calls_as_corrected(entries, condition), dialect), _TAGS)]


class DayDialect(LineDialect, Protocol):
    """What engines write differently."""

    _quantities: ClassVar[str]
    """A SELECT, without a WHERE, that has each call of ``calls`` as often as it has quantities, with the name of one as
    ``quantity`` and its ``amount``."""
    _has_quantities: ClassVar[str]
    """The condition that a call has any, without its JSON being read."""


def quantities_in(calls: str, dialect: DayDialect) -> str:
    """The engine's SELECT of quantities, of the calls of another SELECT."""
    select = dialect._quantities.replace("FROM calls", f"FROM ({calls}) AS calls")
    return f"{select} WHERE {dialect._has_quantities}"


def rated_amounts(condition: str = "") -> str:
    """A SELECT of all calls with the columns of `AMOUNTS` to be summed: as they were posted, and what corrections took
    away and added."""
    where = f" WHERE {condition}" if condition else ""
    groups = f"started_at, {_KEPT}, tags, {', '.join(_DIFFERENT[1:])}"
    sources = [f"SELECT {groups}, {_OF_A_CALL} FROM calls{where}"]
    for sign in SIGNS:
        calls = corrected(sign, _READ, condition=condition)
        # Under other names first: an engine may take `cost` for what it is to become.
        amounts = f"SELECT *, {signed_amounts(sign, 'of_')} FROM ({calls}) AS calls"
        sources.append(f"SELECT {groups}, {_OF_A_CORRECTION} FROM ({amounts}) AS calls")
    return " UNION ALL ".join(sources)


def rated_quantities(dialect: DayDialect, condition: str = "") -> str:
    """A SELECT of all calls as often as they have quantities, with those of corrected calls taken away and added."""
    groups = f"started_at, {_KEPT}, tags, {', '.join(_DIFFERENT[1:])}, quantity"
    where = f" AND {condition}" if condition else ""
    sources = [f"SELECT {groups}, amount FROM ({dialect._quantities} WHERE {dialect._has_quantities}{where}) AS calls"]
    for sign in SIGNS:
        calls = corrected(sign, _READ, condition=condition)
        sources.append(f"SELECT {groups}, {sign} * amount AS amount FROM ({quantities_in(calls, dialect)}) AS calls")
    return " UNION ALL ".join(sources)


class WholeDays(msgspec.Struct, frozen=True):
    """The days of a question of which the sums are read: from ``first`` (``None``: from the beginning) to ``end``. Of
    the rest of the time the calls are."""

    first: datetime | None
    end: datetime
    since: datetime | None
    until: datetime | None

    def usage(self, *, is_corrected: bool) -> str:
        """What stands in the place of ``calls``, with the columns of `AMOUNTS` to be summed."""
        days = f"SELECT started_at, {_KEPT}, CAST(tags AS json) AS tags, {_SUMMED} FROM daily_usage"
        calls = f"SELECT started_at, {_KEPT}, tags, {_OF_A_CALL} FROM calls WHERE {self.edges()}"
        if is_corrected:
            calls = f"SELECT started_at, {_KEPT}, tags, {_SUMMED} FROM ({rated_amounts(self.edges())}) AS calls"
        return f"({days} WHERE {self.whole()} UNION ALL {calls}) AS calls"

    def quantities(self, dialect: DayDialect, *, is_corrected: bool) -> str:
        """A SELECT with each call's or day's ``quantity`` and ``amount``."""
        of_calls = f"{dialect._quantities} WHERE {dialect._has_quantities} AND {self.edges()}"
        if is_corrected:
            of_calls = rated_quantities(dialect, self.edges())
        return (
            f"SELECT started_at, {_KEPT}, CAST(tags AS json) AS tags, quantity, amount FROM daily_quantities "
            f"WHERE {self.whole()} UNION ALL SELECT started_at, {_KEPT}, tags, quantity, amount "
            f"FROM ({of_calls}) AS calls"
        )

    def whole(self) -> str:
        """The condition for the sums of days."""
        end = f"started_at < {literal(self.end)}"
        return end if self.first is None else f"started_at >= {literal(self.first)} AND {end}"

    def edges(self) -> str:
        """The condition for calls."""
        after = f"started_at >= {literal(self.end)}"
        if self.until is not None:
            after += f" AND started_at < {literal(self.until)}"
        if self.first is None or self.since is None or self.since == self.first:
            return f"({after})"
        return f"({after} OR started_at >= {literal(self.since)} AND started_at < {literal(self.first)})"


def whole_days(
    closed: Closed,
    by: Sequence[str],
    only: Mapping[str, str],
    timezone: str,
    since: datetime | None,
    until: datetime | None,
) -> WholeDays | None:
    """The closed days of a question; ``None`` if there are none, or it asks what their sums do not tell."""
    asked = [name for name in (*by, *only) if not name.startswith(TAG)]
    if closed is None or timezone != UTC_ZONE or any(name not in GROUPINGS or name in _DIFFERENT for name in asked):
        return None
    start, stop = (None if moment is None else _naive(moment) for moment in (since, until))
    first = None if start is None else _day_of(start + DAY - timedelta(microseconds=1))
    end = closed if stop is None else min(closed, _day_of(stop))
    return None if first is not None and first >= end else WholeDays(first, end, start, stop)


def _naive(moment: datetime) -> datetime:
    return as_utc(moment).replace(tzinfo=None)


def _day_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}'"

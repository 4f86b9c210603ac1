"""Sums of whole days, kept beside the calls: what makes a question about ten million of them one about thousands.

A day (UTC) is closed once calls come that are an hour younger than its end: its calls are summed up by everything that
usage can be asked by, but for what differs with nearly every call. From then on usage reads the sums of closed days,
and the calls of the others. Calls of a closed day that come late are added to its sums, in the transaction that posts
them, so that both ways always give the same. Whoever changes or removes calls of closed days has to see to that, too;
where they are removed for their age, the sums stay.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ..records import COLUMNS, CallRecord, Column
from .grouping import AMOUNTS, GROUPINGS, TAG
from .parsing import UTC_ZONE, as_utc

__all__ = [
    "DAILY_TABLES",
    "DAY",
    "Closed",
    "WholeDays",
    "also_by",
    "beginning",
    "close_day",
    "creating",
    "first_open_day",
    "in_sums",
    "is_closed",
    "is_due",
    "late_additions",
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

_INSERT_USAGE: Final = f"INSERT INTO daily_usage (started_at, {_KEPT}, tags, {_SUMMED})"
_INSERT_QUANTITIES: Final = f"INSERT INTO daily_quantities (started_at, {_KEPT}, tags, quantity, amount)"

DAILY_TABLES: Final = ("daily_usage", "daily_quantities")

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
    since = "" if closed is None else f" WHERE started_at >= {_literal(closed)}"
    return f"SELECT date_trunc('day', min(started_at)) FROM calls{since}"


def beginning(day: datetime) -> list[str]:
    """The statement that has days before this one closed, in which there are no calls."""
    return [f"UPDATE closed_days SET until = {_literal(day)}"]


def close_day(day: datetime, quantities: str) -> list[str]:
    """The statements that close a day. ``quantities`` is the engine's SELECT of calls with their quantities."""
    within = f"started_at >= {_literal(day)} AND started_at < {_literal(day + DAY)}"
    groups = ", ".join(str(number) for number in range(1, len(_NAMES) + 3))
    kept = f"{_literal(day)}, {_KEPT}, CAST(tags AS text)"
    sums = ", ".join(f"sum({what})" for what in AMOUNTS.values())
    used = f"({quantities} AND {within}) AS calls"
    return [
        f"{_INSERT_USAGE} SELECT {kept}, {sums} FROM calls WHERE {within} GROUP BY {groups}",
        f"{_INSERT_QUANTITIES} SELECT {kept}, quantity, sum(amount) FROM {used} GROUP BY {groups}, quantity",
        *beginning(day + DAY),
    ]


def late_additions(chosen: str, quantities: str) -> list[str]:
    """The statements that add calls which came after their day was closed, each by itself: a sum may be too large."""
    kept = f"date_trunc('day', started_at), {_KEPT}, CAST(tags AS text)"
    return [
        f"{_INSERT_USAGE} SELECT {kept}, {_OF_A_CALL} FROM calls WHERE {chosen}",
        f"{_INSERT_QUANTITIES} SELECT {kept}, quantity, amount FROM ({quantities} AND {chosen}) AS calls",
    ]


class WholeDays(msgspec.Struct, frozen=True):
    """The days of a question of which the sums are read: from ``first`` (``None``: from the beginning) to ``end``. Of
    the rest of the time the calls are."""

    first: datetime | None
    end: datetime
    since: datetime | None
    until: datetime | None

    def usage(self) -> str:
        """What stands in the place of ``calls``, with the columns of `AMOUNTS` to be summed."""
        days = f"SELECT started_at, {_KEPT}, CAST(tags AS json) AS tags, {_SUMMED} FROM daily_usage"
        calls = f"SELECT started_at, {_KEPT}, tags, {_OF_A_CALL} FROM calls"
        return f"({days} WHERE {self._whole()} UNION ALL {calls} WHERE {self._edges()}) AS calls"

    def quantities(self, quantities: str) -> str:
        """A SELECT with each call's or day's ``quantity`` and ``amount``, given the engine's."""
        return (
            f"SELECT started_at, {_KEPT}, CAST(tags AS json) AS tags, quantity, amount FROM daily_quantities "
            f"WHERE {self._whole()} UNION ALL SELECT started_at, {_KEPT}, tags, quantity, amount "
            f"FROM ({quantities} AND {self._edges()}) AS calls"
        )

    def _whole(self) -> str:
        end = f"started_at < {_literal(self.end)}"
        return end if self.first is None else f"started_at >= {_literal(self.first)} AND {end}"

    def _edges(self) -> str:
        after = f"started_at >= {_literal(self.end)}"
        if self.until is not None:
            after += f" AND started_at < {_literal(self.until)}"
        if self.first is None or self.since is None or self.since == self.first:
            return f"({after})"
        return f"({after} OR started_at >= {_literal(self.since)} AND started_at < {_literal(self.first)})"


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


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}'"

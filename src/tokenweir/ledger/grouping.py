"""What usage can be summed by, and the statement that does it. One table; docs and tests read it too.

The SQL here is what DuckDB, PostgreSQL and ClickHouse have in common; reaching into a JSON column and the time of a
zone are not, so the engine brings them along (`Dialect`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from ..errors import QueryError, quoted
from ..records import COLUMNS, NOT_CALLS, QUANTITIES, plain_amount
from .parsing import UTC_ZONE, unknown_name
from .rows import plain_money

__all__ = [
    "AMOUNTS",
    "FILTERS",
    "GROUPINGS",
    "SUMS",
    "TAG",
    "UsageDialect",
    "conditions",
    "quantities_statement",
    "usage_rows",
    "usage_statement",
]

TAG = "tag:"

GROUPINGS = {
    "caller": "caller",
    "deployment": "deployment",
    "model": "coalesce(response_model, requested_model)",
    "backend": "backend",
    "region": "region",
    "api": "api",
    "operation": "operation",
    "path": "path",
    "sku": "sku",
    "spillover_from": "spillover_from",
    "tier": "service_tier",
    "price_id": "price_id",
    "day": "date_trunc('day', {started_at})",
    "hour": "date_trunc('hour', {started_at})",
    "month": "date_trunc('month', {started_at})",
    "key_id": "key_id",
    "subject": "subject",
    "application": "application",
    "status": "status",
    "outcome": "outcome",
    "error_code": "error_code",
    "usage_source": "usage_source",
    "usage_reason": "usage_reason",
    "cost_reason": "cost_reason",
}
"""Name → what it is of a row in ``calls``. ``tag:<name>`` comes on top."""

_TIME_FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00:00", "month": "%Y-%m"}

FILTERS = [name for name in GROUPINGS if name not in _TIME_FORMATS]
"""The groupings by which calls can be chosen; ``tag:<name>`` comes on top. Times are chosen by bounds."""


class UsageDialect(Protocol):
    """What engines write differently."""

    def _tag(self, name: str) -> str:
        """SQL for one tag of a call as text; NULL where it has none."""
        ...

    _renamed: Mapping[str, str]
    """Callers' names of before → those of now."""

    def _literal(self, text: str) -> str:
        """SQL for a text."""
        ...

    def _local(self, moment: str, timezone: str) -> str:
        """SQL for what a clock in this zone showed at a moment in UTC, as a time without a zone."""
        ...


_NOT_CALLS = ", ".join(f"'{operation}'" for operation in NOT_CALLS)

AMOUNTS = {
    "calls": f"CASE WHEN operation IN ({_NOT_CALLS}) THEN 0 ELSE 1 END",
    **{column.name: column.name for column in COLUMNS if column.is_summed},
    "unpriced": "CASE WHEN usage_source <> 'none' AND (cost IS NULL OR cost_reason IS NOT NULL) THEN 1 ELSE 0 END",
    "cost": "cost",
}
"""What is added up, and what it is of a row in ``calls``."""

_ESTIMATED = "sum(CASE WHEN usage_source = 'estimated' THEN {calls} ELSE 0 END)"
SUMS = {
    **{name: f"sum({what})" for name, what in AMOUNTS.items()},
    "estimated": _ESTIMATED.format(calls=AMOUNTS["calls"]),
    "currency": "currency",
}
"""The columns after the groups. ``currency`` is one of the groups: amounts in two currencies never meet. A cost is a
floor where calls are ``unpriced``, wholly or in a part, or ``estimated``."""

_COUNTS = [name for name in SUMS if name not in ("cost", "currency")]


def usage_statement(
    by: Sequence[str], dialect: UsageDialect, where: str, timezone: str, sums_of_days: str | None = None
) -> str:
    """The SELECT for these groups, which are distinct, over ``calls`` or what takes their place."""
    sums = SUMS
    if sums_of_days is not None:
        sums = SUMS | {name: f"sum({name})" for name in AMOUNTS} | {"estimated": _ESTIMATED.format(calls="calls")}
    groups = [_group(name, dialect, timezone) for name in by]
    currency = len(groups) + len(SUMS)
    order = [str(number) for number in range(1, len(groups) + 1)] + [str(currency)]
    return (
        f"SELECT {', '.join([*groups, *sums.values()])} FROM {sums_of_days or 'calls'}{where} "
        f"GROUP BY {', '.join(order)} ORDER BY {', '.join(order)}"
    )


def quantities_statement(by: Sequence[str], dialect: UsageDialect, calls: str, timezone: str) -> str:
    """The SELECT for the same groups of the amounts of each quantity. ``calls`` is the engine's SELECT of calls that
    used some, a row for each ``quantity`` with its ``amount``."""
    groups = [*(_group(name, dialect, timezone) for name in by), "currency", "quantity"]
    grouped = ", ".join(str(number) for number in range(1, len(groups) + 1))
    return f"SELECT {', '.join(groups)}, sum(amount) FROM ({calls}) AS calls GROUP BY {grouped}"


def conditions(only: Mapping[str, str], dialect: UsageDialect, mark: str) -> Iterator[tuple[str, list[Any]]]:
    """Conditions that choose the calls of these groups, each with its values; an empty text chooses those that have
    nothing there."""
    for name, value in only.items():
        if name not in FILTERS and not name.startswith(TAG):
            raise QueryError(unknown_name("a filter by", name, [*FILTERS, f"{TAG}<name>"]))
        group = _group(name, dialect, UTC_ZONE)
        if not value:
            yield f"{group} IS NULL", []
        elif name == "caller":
            names = [value, *(old for old, new in dialect._renamed.items() if new == value)]
            yield f"caller IN ({', '.join([mark] * len(names))})", names
        elif name != "status":
            yield f"{group} = {mark}", [value]
        elif value.isdecimal() and len(value) < 10:
            yield f"{group} = {mark}", [int(value)]
        else:
            raise QueryError(f"status is a number like 429, not {quoted(value[:20])}")


def _group(name: str, dialect: UsageDialect, timezone: str) -> str:
    if name.startswith(TAG):
        return dialect._tag(name.removeprefix(TAG))
    if name not in GROUPINGS:
        raise QueryError(unknown_name("usage by", name, [*GROUPINGS, f"{TAG}<name>"]))
    if name == "caller" and dialect._renamed:
        whens = (f"WHEN {dialect._literal(old)} THEN {dialect._literal(new)}" for old, new in dialect._renamed.items())
        return f"CASE caller {' '.join(whens)} ELSE caller END"
    if name not in _TIME_FORMATS or timezone == UTC_ZONE:
        return GROUPINGS[name].format(started_at="started_at")
    return GROUPINGS[name].format(started_at=dialect._local("started_at", timezone))


def usage_rows(
    by: Sequence[str], rows: Sequence[Sequence[Any]], quantities: Sequence[Sequence[Any]], timezone: str
) -> list[dict[str, Any]]:
    """The rows of both statements' answers, put together. Names of quantities are in the order of their table."""
    order = {name: place for place, name in enumerate(QUANTITIES)}
    used: dict[tuple[Any, ...], dict[str, int | Decimal]] = defaultdict(dict)
    for *group, name, amount in sorted(quantities, key=lambda row: order.get(row[-2], len(order))):
        if amount is not None:
            used[tuple(group)][name] = plain_amount(Decimal(amount))
    currency = len(by) + list(SUMS).index("currency")
    names = [*by, *SUMS]
    moments = [name for name in by if name in _TIME_FORMATS]
    # Some engines add whole numbers up to decimals: then all of a column are.
    decimals = [name for name, cell in zip(names, rows[0], strict=True) if isinstance(cell, Decimal)] if rows else []
    counts = [name for name in decimals if name in _COUNTS]
    shown: dict[tuple[str, datetime], str] = {}
    found = []
    for row in rows:
        usage = dict(zip(names, row, strict=True))
        for name in moments:
            moment = usage[name]
            text = shown.get((name, moment))
            if text is None:
                text = shown[name, moment] = _moment_text(name, moment, timezone)
            usage[name] = text
        for name in counts:
            usage[name] = int(usage[name])
        if usage["cost"] is not None:
            usage["cost"] = plain_money(usage["cost"])
        usage["quantities"] = used[(*row[: len(by)], row[currency])]
        found.append(usage)
    return found


def _moment_text(name: str, moment: datetime, timezone: str) -> str:
    text = moment.strftime(_TIME_FORMATS[name])
    return f"{text}Z" if name == "hour" and timezone == UTC_ZONE else text

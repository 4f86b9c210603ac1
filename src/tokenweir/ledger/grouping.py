"""What usage can be summed by, and the statement that does it. One table; docs and tests read it too.

The SQL here is what DuckDB, PostgreSQL and ClickHouse have in common; reaching into a JSON column is not,
so the engine brings that along.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ..errors import QueryError
from ..records import COLUMNS
from .parsing import unknown_name
from .rows import plain_money

__all__ = ["GROUPINGS", "SUMS", "usage_row", "usage_statement"]

_TAG = "tag:"

GROUPINGS = {
    "caller": "caller",
    "deployment": "deployment",
    "model": "coalesce(response_model, requested_model)",
    "backend": "backend",
    "region": "region",
    "api": "api",
    "operation": "operation",
    "day": "date_trunc('day', started_at)",
    "hour": "date_trunc('hour', started_at)",
    "month": "date_trunc('month', started_at)",
    "key_id": "key_id",
    "subject": "subject",
    "status": "status",
    "outcome": "outcome",
    "error_code": "error_code",
    "usage_source": "usage_source",
    "usage_reason": "usage_reason",
}
"""Name → what it is of a row in ``calls``. ``tag:<name>`` comes on top."""

_TIME_FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00:00Z", "month": "%Y-%m"}

SUMS = {
    "calls": "count(*)",
    **{column.name: f"sum({column.name})" for column in COLUMNS if column.is_summed},
    "unpriced": "sum(CASE WHEN cost IS NULL AND usage_source <> 'none' THEN 1 ELSE 0 END)",
    "cost": "sum(cost)",
    "currency": "currency",
}
"""The columns after the groups. ``currency`` is one of the groups: amounts in two currencies never meet."""

_NO_COUNTS = {"cost", "currency"}


def usage_statement(by: Sequence[str], tag: Callable[[str], str], where: str) -> str:
    """The SELECT for these groups, which are distinct; ``tag(name)`` is the engine's SQL for one tag."""
    groups = [_group(name, tag) for name in by]
    currency = len(groups) + len(SUMS)
    order = [str(number) for number in range(1, len(groups) + 1)] + [str(currency)]
    return (
        f"SELECT {', '.join([*groups, *SUMS.values()])} FROM calls{where} "
        f"GROUP BY {', '.join(order)} ORDER BY {', '.join(order)}"
    )


def _group(name: str, tag: Callable[[str], str]) -> str:
    if name.startswith(_TAG):
        return tag(name.removeprefix(_TAG))
    if name not in GROUPINGS:
        raise QueryError(unknown_name("usage by", name, [*GROUPINGS, f"{_TAG}<name>"]))
    return GROUPINGS[name]


def usage_row(by: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """A row of the statement's answer under its names. Some engines add whole numbers up to decimals."""
    usage = dict(zip([*by, *SUMS], row, strict=True))
    for name in by:
        usage[name] = _group_cell(name, usage[name])
    for name in SUMS.keys() - _NO_COUNTS:
        usage[name] = int(usage[name])
    if usage["cost"] is not None:
        usage["cost"] = plain_money(usage["cost"])
    return usage


def _group_cell(name: str, value: Any) -> Any:
    """How a group is shown: days, hours and months as text, everything else as it is."""
    return value.strftime(_TIME_FORMATS[name]) if isinstance(value, datetime) else value

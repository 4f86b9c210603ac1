"""What stands under a table of usage, and how a cost that is not known is shown."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ..ledger import SUMS
from ..records import plain_amount
from .params import Format

__all__ = ["AT_LEAST", "UNPRICED", "shown_cost", "total_rows", "with_cost"]

UNPRICED = "unpriced"
"""In the place of a cost that nobody knows. Nothing at all stands where nothing was used."""

AT_LEAST = "≥ "
"""Before a cost that is a floor: something of it has no price, or was estimated."""

_NOT_ADDED = ("cost", "currency")


def shown_cost(row: dict[str, Any], format: Format) -> Any:
    """A cost for a table or a spreadsheet, in which nothing would look like nothing. JSON has ``null``. That it is a
    floor, programs are told by the columns beside it."""
    if row["cost"] is None:
        return UNPRICED if format != "json" and row["unpriced"] else None
    return f"{AT_LEAST}{row['cost']}" if format == "table" and (row["unpriced"] or row["estimated"]) else row["cost"]


def with_cost(call: dict[str, Any], format: Format) -> dict[str, Any]:
    """A call with something in the place of a cost that nobody knows, or before one that is a floor."""
    if call.get("cost") is None:
        return call | {"cost": UNPRICED} if call.get("usage_source", "none") != "none" else call
    is_floor = call.get("cost_reason") is not None or call.get("usage_source") == "estimated"
    return call | {"cost": f"{AT_LEAST}{call['cost']}"} if format == "table" and is_floor else call


def total_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sum of all rows, one for each currency: amounts in two of them never meet."""
    totals: dict[str | None, dict[str, Any]] = {}
    for row in rows:
        total = totals.setdefault(row["currency"], {"currency": row["currency"], "cost": None, "quantities": {}})
        for name in SUMS:
            if name not in _NOT_ADDED:
                total[name] = total.get(name, 0) + row[name]
        for name, amount in row["quantities"].items():
            total["quantities"][name] = plain_amount(Decimal(total["quantities"].get(name, 0)) + Decimal(amount))
        if row["cost"] is not None:
            total["cost"] = f"{Decimal(total['cost'] or 0) + Decimal(row['cost']):f}"
    return list(totals.values())

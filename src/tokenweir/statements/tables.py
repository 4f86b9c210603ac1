"""A statement as tables: one of groups, one of lines. CSV, pages and PDF show the same ones."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from .statement import Statement, StatementGroup, StatementLine, Total

__all__ = ["GROUP_COLUMNS", "LINE_COLUMNS", "group_rows", "line_rows", "money_text", "quantity_text", "share_text"]

GROUP_COLUMNS: Final = ("calls", "tokens", "estimated", "unpriced", "adjustments", "amount", "currency")
"""Behind the names of the groups."""

LINE_COLUMNS: Final = (
    "kind",
    "period",
    "model",
    "tier",
    "sku",
    "region",
    "meter",
    "quantity",
    "unit",
    "rate",
    "per",
    "rate_currency",
    "price_id",
    "calls",
    "estimated",
    "exact",
    "amount",
    "currency",
    "reason",
)
"""Behind the names of the groups."""


def group_rows(statement: Statement) -> Iterator[tuple[list[str | None], StatementGroup]]:
    """Each group with its cells, of which those that have no name are ``None``."""
    for group in statement.groups:
        yield [group.group[name] for name in statement.by], group


def line_rows(statement: Statement) -> Iterator[list[Any]]:
    """Every line with its group, for programs and spreadsheets: amounts as exact text, nothing where there is none."""
    for cells, group in group_rows(statement):
        for line in group.lines:
            yield [*cells, *_line_cells(line, group.currency)]


def _line_cells(line: StatementLine, currency: str | None) -> list[Any]:
    return [
        line.kind,
        line.of_period,
        line.model,
        line.tier,
        line.sku,
        line.region,
        line.meter,
        _plain(line.quantity),
        line.unit,
        _plain(line.rate),
        line.per,
        line.price_currency,
        line.price_id,
        line.calls,
        _plain(line.estimated),
        _plain(line.exact),
        _plain(line.amount),
        currency,
        line.reason,
    ]


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def money_text(amount: Decimal | None, *, is_floor: bool = False) -> str:
    """For a person: thousands set apart, and said where it is the least that it can be."""
    if amount is None:
        return "unpriced" if is_floor else ""
    return f"{'at least ' if is_floor else ''}{amount:,f}"


def quantity_text(quantity: Decimal) -> str:
    return f"{quantity:,f}".rstrip("0").rstrip(".") if quantity % 1 else f"{quantity:,.0f}"


def share_text(of: StatementGroup | Total) -> tuple[str, str]:
    """What part of the amount was estimated here, and what has no price, for a person."""
    estimated = f"{of.estimated / of.exact:.1%}" if of.exact and of.estimated else ""
    unpriced = []
    if of.unpriced_tokens > 0:
        share = f" ({of.unpriced_tokens / of.tokens:.1%})" if of.tokens > 0 else ""
        unpriced.append(f"{quantity_text(of.unpriced_tokens)} tokens{share}")
    if of.unpriced_calls > 0:
        unpriced.append(f"{of.unpriced_calls:,} calls")
    if of.is_floor and not unpriced:
        unpriced.append("some")
    return estimated, ", ".join(unpriced)

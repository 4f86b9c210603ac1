"""A statement: what each group is charged for a period, line by line. As it stands here it is answered as JSON."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

__all__ = ["LineKind", "RateUsed", "Statement", "StatementGroup", "StatementLine", "Total"]

LineKind = Literal["charge", "late", "re-rated"]
"""``charge``: of the period itself. The others adjust a period that was closed before: ``late`` calls that came after
that, and calls that were ``re-rated`` since."""


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity, a rate, and what that makes. Amounts are of the statement's currency."""

    kind: LineKind = "charge"
    of_period: str
    """Whose calls these are."""
    meter: str
    unit: str | None
    quantity: Decimal
    rate: Decimal | None
    """What ``per`` units cost, in the currency that they are priced in."""
    per: int | None
    price_currency: str | None
    model: str | None
    tier: str | None
    sku: str | None
    region: str | None
    price_id: str | None
    calls: int
    """Counted at the first line of each, so that they add up."""
    amount: Decimal | None
    """To the cent; the lines of a group add up to its amount. ``None``: there is no price."""
    exact: Decimal | None
    estimated: Decimal
    """The part of the exact amount whose quantities were counted here, as the upstream did not report them."""
    reason: str | None
    """Why there is no amount."""


class StatementGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What one group is charged in one currency."""

    group: dict[str, str | None]
    currency: str | None
    """``None`` where nothing has a price."""
    amount: Decimal | None
    """To the cent; the groups of a currency add up to its total. ``None`` where nothing has a price."""
    exact: Decimal | None
    adjustments: Decimal
    """The part of ``amount`` that is of periods that were closed before."""
    calls: int
    estimated: Decimal
    """The part of ``exact`` that was counted here."""
    tokens: Decimal
    unpriced_tokens: Decimal
    unpriced_calls: int
    """Calls without lines whose cost is not known."""
    is_floor: bool
    """The amount is the least that it can be: something has no price, or nobody knows what was used."""
    lines: list[StatementLine]


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of all groups of one currency."""

    currency: str | None
    amount: Decimal | None
    exact: Decimal | None
    adjustments: Decimal
    calls: int
    estimated: Decimal
    tokens: Decimal
    unpriced_tokens: Decimal
    unpriced_calls: int
    is_floor: bool


class RateUsed(msgspec.Struct, frozen=True):
    """By what amounts were converted."""

    currency: str
    into: str
    rate: Decimal
    of_period: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What was used in a period, and what it cost."""

    period: str
    fiscal: str | None
    since: datetime
    until: datetime
    timezone: str
    by: list[str]
    organisation: str | None
    is_closed: bool
    closed_at: datetime | None = None
    closed_by: str | None = None
    digest: str | None = None
    """SHA-256 of the rows that were kept when it was closed."""
    as_of: datetime
    """What had been posted by then is in it."""
    periods: dict[str, tuple[datetime, datetime]]
    """When each period begins and ends that a line is of."""
    rates: list[RateUsed]
    groups: list[StatementGroup]
    totals: list[Total]
    notes: list[str]
    """What a reader must know: that amounts are a floor, how they are rounded, what is adjusted."""
    check: str
    """A query whose sum is that of the exact amounts, before they are converted."""

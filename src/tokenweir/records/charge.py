"""What a call cost, line by line: a quantity, the price of one, and what that makes.

A line whose price is not known is there without an amount and with the reason, and never 0. What a call cost is the sum
of its lines that have one.
"""

from decimal import Decimal

import msgspec

__all__ = ["ChargeLine"]


class ChargeLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that a call used, and what it cost."""

    meter: str
    """By the name that it has in the table of meters: `input`, `cached_input`, `output`, `web_search`…"""
    quantity: int | Decimal
    """How much of it, in `unit`."""
    unit: str
    """In the plural: `tokens`, `seconds`, `searches`…"""
    rate: Decimal | None = None
    """What `per` units cost; absent where that is not known."""
    per: int = 1
    """How many units `rate` is the price of."""
    amount: Decimal | None = None
    """What the line cost: `quantity` × `rate` / `per`, with at most twelve decimals; absent where that is not known."""
    price_id: str | None = None
    """The row of prices that says so, or that lacks this price."""
    reason: str | None = None
    """Why the line has no amount: [the words](../guides/prices.md#what-has-no-price)."""
    currency: str | None = None
    """Of rate and amount."""

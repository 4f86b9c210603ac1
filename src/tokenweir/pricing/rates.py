"""What each meter costs for some calls, by the rows that fit them, and the lines that this makes."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final, NamedTuple

from ..records import ChargeLine
from .adjusting import Adjusted
from .meters import METERS
from .parts import Amount
from .settings import PriceSettings

__all__ = ["EXACT", "MeterPrice", "Rates", "money"]

EXACT: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)
"""No amount has so many digits."""
_SMALLEST: Final = Decimal("1E-12")
"""Ledgers keep twelve decimals of money."""
_ONE: Final = Decimal(1)
_OF_MODEL: Final = [name for name, meter in METERS.items() if meter.of_model]
LISTED: Final = "azure:"
"""How the names of listed rows begin."""


class MeterPrice(NamedTuple):
    """What a meter costs."""

    row: PriceSettings
    price: Decimal
    """Of as many units as a price of the meter is."""
    of_one: Decimal
    currency: str


class Rates:
    """Made once for all calls that the same rows fit."""

    def __init__(self, rows: Sequence[PriceSettings], reason: str, adjusted: Adjusted | None = None) -> None:
        """``rows`` fit the calls, the best first; ``reason`` says why none has a price of the model."""
        adjusted = adjusted or Adjusted()
        of_model = [row for row in rows if any(getattr(row, name) is not None for name in _OF_MODEL)]
        # A model's prices are those of one row; what that lacks is charged as listed, where it is.
        listed = [row for row in of_model if _is_listed(row)]
        models = of_model[:1] if not of_model or not listed or of_model[0] is listed[0] else [of_model[0], listed[0]]
        self.row = models[0] if models else None
        self.currency = None if self.row is None else adjusted.currency_of(self.row)
        self.reason = reason
        self.prices: dict[str, MeterPrice] = {}
        self._no_rate: dict[str, PriceSettings] = {}
        for name, meter in METERS.items():
            for row in models if meter.of_model else rows:
                if (price := _price_of(row, name)) is None:
                    continue
                if (currency := adjusted.currency_of(row)) is None:
                    self._no_rate[name] = row
                else:
                    with localcontext(EXACT):
                        made = adjusted.price(row, price, is_listed=_is_listed(row))
                        price = price if made == price else money(made)
                        self.prices[name] = MeterPrice(row, price, price / meter.per, currency)
                break
        self.priced = frozenset([*self.prices, *self._no_rate])

    def line(self, name: str, quantity: Amount) -> ChargeLine:
        """One line of a charge."""
        meter, found = METERS[name], self.prices.get(name)
        if found is None:
            if (row := self._no_rate.get(name)) is not None:
                return ChargeLine(name, quantity, meter.unit, None, meter.per, None, row.name, "no_exchange_rate")
            reason = self.reason if self.row is None and meter.of_model else f"no_{name}"
            by = None if self.row is None else self.row.name
            return ChargeLine(name, quantity, meter.unit, None, meter.per, None, by, reason)
        amount = money(EXACT.multiply(found.of_one, quantity))
        return ChargeLine(
            name, quantity, meter.unit, found.price, meter.per, amount, found.row.name, None, found.currency
        )


def _is_listed(row: PriceSettings) -> bool:
    return row.id is not None and row.id.startswith(LISTED)


def _price_of(row: PriceSettings, name: str) -> Decimal | None:
    price: Decimal | None = getattr(row, name)
    if price is None and (other := METERS[name].instead) is not None:
        price = getattr(row, other)
    return None if price is None else Decimal(price)


def money(amount: Decimal) -> Decimal:
    """With twelve decimals at most, and written without zeros at its end."""
    amount = EXACT.normalize(amount.quantize(_SMALLEST, context=EXACT))
    return amount.quantize(_ONE, context=EXACT) if amount >= _ONE and amount == amount.to_integral_value() else amount

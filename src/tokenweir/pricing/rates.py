"""What each meter costs for some calls, by the rows that fit them, and the lines that this makes."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from ..records import ChargeLine
from .meters import METERS
from .parts import Amount
from .settings import PriceSettings

__all__ = ["EXACT", "Rates", "money"]

EXACT: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)
"""No amount has so many digits."""
_SMALLEST: Final = Decimal("1E-12")
"""Ledgers keep twelve decimals of money."""
_ONE: Final = Decimal(1)


class Rates:
    """Made once for all calls that the same rows fit."""

    def __init__(self, rows: Sequence[PriceSettings], reason: str) -> None:
        """``rows`` fit the calls, the best first; ``reason`` says why none has a price of the model."""
        of_model = [name for name, meter in METERS.items() if meter.of_model]
        self.row = next((row for row in rows if any(getattr(row, name) is not None for name in of_model)), None)
        self.reason = reason
        self._prices: dict[str, tuple[PriceSettings, Decimal, Decimal]] = {}
        for name, meter in METERS.items():
            for row in () if self.row is None and meter.of_model else (self.row,) if meter.of_model else rows:
                if row is not None and (price := _price_of(row, name)) is not None:
                    self._prices[name] = row, price, EXACT.divide(price, meter.per)
                    break
        self.priced = frozenset(self._prices)

    def line(self, name: str, quantity: Amount) -> ChargeLine:
        """One line of a charge."""
        meter, found = METERS[name], self._prices.get(name)
        if found is None:
            reason = self.reason if self.row is None and meter.of_model else f"no_{name}"
            row = None if self.row is None else self.row.name
            return ChargeLine(name, quantity, meter.unit, None, meter.per, None, row, reason)
        row_of_it, price, of_one = found
        amount = money(EXACT.multiply(of_one, quantity))
        return ChargeLine(
            name, quantity, meter.unit, price, meter.per, amount, row_of_it.name, None, row_of_it.currency
        )


def _price_of(row: PriceSettings, name: str) -> Decimal | None:
    price: Decimal | None = getattr(row, name)
    if price is None and (other := METERS[name].instead) is not None:
        price = getattr(row, other)
    return None if price is None else Decimal(price)


def money(amount: Decimal) -> Decimal:
    """With twelve decimals at most, and written without zeros at its end."""
    amount = EXACT.normalize(amount.quantize(_SMALLEST, context=EXACT))
    return amount.quantize(_ONE, context=EXACT) if amount >= _ONE and amount == amount.to_integral_value() else amount

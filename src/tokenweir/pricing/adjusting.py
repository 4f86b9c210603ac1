"""Discounts, mark-ups and exchange rates: what is made of a price before it is charged."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from ..records import CallRecord
from .settings import AdjustmentSettings, ExchangeRateSettings, PriceSettings

__all__ = ["Adjusted", "Adjusting"]

_FIRST = datetime.min.replace(tzinfo=UTC)
_HUNDRED: Final = Decimal(100)


class Adjusting:
    """What the configuration says of it."""

    def __init__(
        self,
        currency: str | None = None,
        rates: Sequence[ExchangeRateSettings] = (),
        adjustments: Sequence[AdjustmentSettings] = (),
    ) -> None:
        """``currency`` is what is charged in, and ``rates`` are to it; without one, each row is charged in its own."""
        self._adjustments = adjustments
        self._rates = rates
        self._currency = currency
        given = [moment for one in self._adjustments for moment in (one.since, one.until)]
        given += [one.since for one in self._rates]
        self.moments = {moment for moment in given if moment is not None}

    def fitting(self, record: CallRecord) -> tuple[int, ...]:
        """Which adjustments are of such calls, at whatever time."""
        if not self._adjustments:
            return ()
        return tuple(number for number, one in enumerate(self._adjustments) if _is_of(one, record))

    def at(self, moment: datetime, numbers: Sequence[int]) -> "Adjusted":
        """What holds at a moment, of these adjustments."""
        adjustments = [one for one in map(self._adjustments.__getitem__, numbers) if _holds(one, moment)]
        begun = sorted(
            (one for one in self._rates if one.since is None or one.since <= moment),
            key=lambda one: one.since or _FIRST,
        )
        return Adjusted(self._currency, {one.currency: one for one in begun}, adjustments)


class Adjusted:
    """The same for all prices of some calls at some time."""

    def __init__(
        self,
        currency: str | None = None,
        rates: dict[str, ExchangeRateSettings] | None = None,
        adjustments: Sequence[AdjustmentSettings] = (),
    ) -> None:
        self._currency = currency
        self._rates = rates or {}
        self._adjustments = adjustments

    def currency_of(self, row: PriceSettings) -> str | None:
        """In which currency prices of a row are charged; ``None`` where there is no rate for it."""
        if self._currency in (None, row.currency):
            return row.currency
        return self._currency if row.currency in self._rates else None

    def price(self, row: PriceSettings, price: Decimal, *, is_listed: bool) -> Decimal:
        """In that currency, with what is taken off and added."""
        for one in self._adjustments:
            if one.of == "all" or (one.of == "list") == is_listed:
                price = price * (_HUNDRED - one.discount) / _HUNDRED * (_HUNDRED + one.markup) / _HUNDRED
        if self.currency_of(row) != row.currency:
            price *= self._rates[row.currency].rate
        return price


def _is_of(one: AdjustmentSettings, record: CallRecord) -> bool:
    model = record.response_model or record.requested_model or record.deployment or ""
    if one.caller is not None and one.caller != record.caller:
        return False
    for name, value in one.tags.items():
        if record.tags.get(name) != value:
            return False
    return one.model is None or (model.startswith(one.model[:-1]) if one.model.endswith("*") else model == one.model)


def _holds(one: AdjustmentSettings, moment: datetime) -> bool:
    return (one.since is None or one.since <= moment) and (one.until is None or moment < one.until)

"""What ``[statements]`` says: whose months are meant, and in which currency they are told."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal

import msgspec

from ..pricing import Moment
from ..records import FiscalCalendar

__all__ = ["RateSettings", "StatementSettings"]


class RateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[statements.rates]]`` table: what a currency is worth in another, from some day on."""

    currency: str
    """Of amounts as they were priced, like ``USD``."""
    into: str
    """The currency of the statement, like ``EUR``."""
    rate: str
    """How many of ``into`` one of ``currency`` is worth, like ``"0.92"``. It holds for a whole period."""
    since: Moment | None = None
    """For periods that begin then or later; of those that fit, the latest wins."""

    @property
    def value(self) -> Decimal:
        return Decimal(self.rate)


class StatementSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[statements]`` table."""

    timezone: str = "UTC"
    """Where months begin and end, like ``Europe/Berlin``."""
    fiscal_year_month: int = 1
    """The month that a fiscal year begins with, from 1 to 12; a year has the number of the one in which it ends."""
    fiscal_years: dict[str, str] = {}
    """The first day of each fiscal year that consists of weeks, like ``2027 = "2026-09-27"``."""
    fiscal_weeks: Literal["4-4-5", "4-5-4", "5-4-4"] = "4-4-5"
    """The weeks of the three periods of a quarter, where ``fiscal_years`` are given."""
    organisation: str | None = None
    """Who issues statements: stands at their head, and in FOCUS as the invoice's issuer."""
    billing_account: str | None = None
    """What FOCUS calls ``BillingAccountId``; default: ``tokenweir``."""
    rates: list[RateSettings] = []
    """For ``tokenweir statement --currency``."""

    def calendar(self) -> FiscalCalendar:
        return FiscalCalendar(self.timezone, self.fiscal_year_month, self.first_days(), self.fiscal_weeks)

    def first_days(self) -> dict[int, date]:
        """Of the fiscal years. `ValueError` where one is no year or no day."""
        return {int(year): date.fromisoformat(first) for year, first in self.fiscal_years.items()}

    def odd_years(self) -> list[str]:
        """Fiscal years that have neither 52 nor 53 weeks, where the next one is known."""
        ordered = sorted(self.first_days().items())
        return [
            str(year)
            for (year, first), (following, after) in pairwise(ordered)
            if following == year + 1 and (after - first) not in (timedelta(weeks=52), timedelta(weeks=53))
        ]

"""Accounting periods: months of a time zone, or the weeks of a retailer's year.

A fiscal year has the number of the year in which it ends. Where its first day is given for each year, its quarters have
13 weeks (4-4-5, 4-5-4 or 5-4-4), and a 53rd week, if it has one, belongs to its last period.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from ..errors import QueryError, quoted

__all__ = ["FiscalCalendar", "AccountingPeriod", "WeekPattern"]

WeekPattern = Literal["4-4-5", "4-5-4", "5-4-4"]

_MONTH: Final = re.compile(r"(\d{4})-(\d\d)")
_FISCAL: Final = re.compile(r"FY(\d{4})-P(\d\d)", re.IGNORECASE)
_WEEKS_OF_A_YEAR: Final = (52, 53)


class AccountingPeriod(msgspec.Struct, frozen=True):
    """One accounting period."""

    name: str
    """``2026-10``, or ``FY2027-P01`` where periods are weeks."""
    since: datetime
    """Its first moment, in UTC."""
    until: datetime
    """The first moment of the next one."""
    timezone: str
    fiscal: str | None = None
    """What a month is called in a fiscal year that does not begin in January."""


class FiscalCalendar:
    """The periods of one company.

    ``years`` has the first day of fiscal years that consist of weeks; without any, periods are calendar months, and
    ``first_month`` says which of them a fiscal year begins with.
    """

    def __init__(
        self,
        timezone: str = "UTC",
        first_month: int = 1,
        years: Mapping[int, date] | None = None,
        weeks: WeekPattern = "4-4-5",
    ) -> None:
        self.timezone = timezone
        self._zone = ZoneInfo(timezone)
        self._first_month = first_month
        self._years = dict(sorted((years or {}).items()))
        self._weeks = [int(part) for part in weeks.split("-")] * 4

    def __repr__(self) -> str:
        kind = "weeks" if self._years else f"months, years from {self._first_month}"
        return f"<FiscalCalendar of {kind}, {self.timezone}>"

    def period(self, text: str, now: datetime) -> AccountingPeriod:
        """The one of this name; ``this`` and ``last`` as ``now`` falls. `QueryError` says how names are written."""
        name = text.strip()
        if name in ("this", "last"):
            current = self.at(now)
            return current if name == "this" else self.before(current)
        if fiscal := _FISCAL.fullmatch(name):
            return self._of_year(int(fiscal[1]), int(fiscal[2]), text)
        month = _MONTH.fullmatch(name)
        if month is None or not 1 <= int(month[2]) <= 12 or not 1 < int(month[1]) < 9998:
            raise QueryError(f"{quoted(text[:20])} is not a period; write last, this, {self._example(now)}")
        if self._years:
            raise QueryError(f"periods are weeks here, not calendar months; write last, this, {self._example(now)}")
        return self._month(int(month[1]) * 12 + int(month[2]) - 1)

    def at(self, moment: datetime) -> AccountingPeriod:
        """The one that a moment is in."""
        day = moment.astimezone(self._zone).date()
        if not self._years:
            return self._month(day.year * 12 + day.month - 1)
        year = max((year for year, first in self._years.items() if first <= day), default=None)
        for number in range(1, 13) if year is not None else ():
            assert year is not None
            period = self._of_year(year, number, str(day))
            if period.since <= moment < period.until:
                return period
        raise QueryError(f"no fiscal year has the day {day}; add its first day to statements.fiscal_years")

    def after(self, period: AccountingPeriod) -> AccountingPeriod:
        """The next one."""
        return self.at(period.until)

    def before(self, period: AccountingPeriod) -> AccountingPeriod:
        """The one before it."""
        return self.at(period.since - timedelta(microseconds=1))

    def _example(self, now: datetime) -> str:
        if self._years:
            return f"or one like FY{max(self._years)}-P01"
        return f"or one like {now.astimezone(self._zone):%Y-%m}"

    def _month(self, number: int) -> AccountingPeriod:
        first, after = (date(count // 12, count % 12 + 1, 1) for count in (number, number + 1))
        fiscal = None
        if self._first_month != 1:
            months = number - (self._first_month - 1)
            fiscal = f"FY{months // 12 + 1}-P{months % 12 + 1:02}"
        return AccountingPeriod(f"{first:%Y-%m}", self._midnight(first), self._midnight(after), self.timezone, fiscal)

    def _of_year(self, year: int, number: int, text: str) -> AccountingPeriod:
        if not 1 <= number <= 12 or not 1 < year < 9998:
            raise QueryError(f"{quoted(text[:20])} is not a period; a fiscal year has P01 to P12")
        if not self._years:
            ends = year if self._first_month == 1 else year - 1
            return self._month(ends * 12 + self._first_month - 1 + number - 1)
        if year not in self._years:
            known = ", ".join(str(one) for one in self._years)
            raise QueryError(
                f"fiscal year {year} has no first day in statements.fiscal_years, which has {known}; add it"
            )
        first = self._years[year] + timedelta(weeks=sum(self._weeks[: number - 1]))
        after = first + timedelta(weeks=self._weeks[number - 1])
        if number == 12:
            after = self._years.get(year + 1, after)
        return AccountingPeriod(f"FY{year}-P{number:02}", self._midnight(first), self._midnight(after), self.timezone)

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)

"""The fixed windows of quotas: hours, days, weeks and months of a time zone.

A period is known by its first moment in UTC, so it is the same for everybody however the zone's offset changes, and an
hour that a clock shows twice is two periods.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["WINDOWS", "Calendar", "Period"]

WINDOWS = ("hour", "day", "week", "month")


class Period:
    """Seconds since 1970, UTC: from ``start`` until before ``end``."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


class Calendar:
    """Which period a moment is in. Remembers the one it was asked for last, of each kind."""

    def __init__(self, time_zone: str = "UTC", month_starts: int = 1, week_starts: str = "monday") -> None:
        self._zone = ZoneInfo(time_zone)
        self._month_starts = month_starts
        self._first_weekday = 0 if week_starts == "monday" else 6
        self._last: dict[str, Period] = {}

    def period(self, window: str, moment: float) -> Period:
        """``window`` is one of `WINDOWS`; ``moment`` is in seconds since 1970."""
        last = self._last.get(window)
        if last is None or not last.start <= moment < last.end:
            last = self._last[window] = self._period(window, moment)
        return last

    def _period(self, window: str, moment: float) -> Period:
        local = datetime.fromtimestamp(moment, self._zone)
        if window == "hour":
            start = int(moment) - local.minute * 60 - local.second
            return Period(start, start + 3600)
        day = local.date()
        if window == "day":
            first, after = day, day + timedelta(days=1)
        elif window == "week":
            first = day - timedelta(days=(day.weekday() - self._first_weekday) % 7)
            after = first + timedelta(days=7)
        else:
            first = _month(day.year, day.month - (day.day < self._month_starts), self._month_starts)
            after = _month(first.year, first.month + 1, self._month_starts)
        return Period(self._midnight(first), self._midnight(after))

    def _midnight(self, day: date) -> int:
        """The first moment of a day. Where clocks skip midnight, that is when they jump."""
        naive = datetime.combine(day, time())
        return int(naive.replace(tzinfo=self._zone).astimezone(UTC).timestamp())


def _month(year: int, month: int, day: int) -> date:
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, day)

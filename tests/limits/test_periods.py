"""Periods follow each other without gap or overlap, in any zone, also where its offset changes at midnight."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from tokenweir.limits.periods import WINDOWS, Calendar

ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo"]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def told(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%MZ}"


@given(st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]), st.integers(0, 2_000_000_000))
def test_a_period_holds_its_moment_and_the_next_begins_where_it_ends(zone: str, window: str, at: int) -> None:
    calendar = Calendar(zone, month_starts=7, week_starts="sunday")
    period = calendar.period(window, at)
    assert period.start <= at < period.end
    assert calendar.period(window, period.end).start == period.end
    assert Calendar(zone, 7, "sunday").period(window, period.end - 1).start == period.start


@pytest.mark.parametrize("window", WINDOWS)
def test_it_is_the_same_whoever_asks_and_whatever_was_asked_before(window: str) -> None:
    asked = Calendar("Europe/Berlin")
    for text in ("2026-10-25T00:30Z", "2026-03-29T00:59Z", "2026-10-25T01:30Z", "2026-11-30T23:30Z"):
        period = asked.period(window, moment(text))
        fresh = Calendar("Europe/Berlin").period(window, moment(text))
        assert (period.start, period.end) == (fresh.start, fresh.end)


def test_a_month_ends_at_midnight_of_its_zone_whose_offset_has_changed_since_it_began() -> None:
    march = Calendar("Europe/Berlin").period("month", moment("2026-03-15T12:00Z"))
    assert (told(march.start), told(march.end)) == ("2026-02-28T23:00Z", "2026-03-31T22:00Z")


def test_a_day_whose_midnight_is_skipped_begins_when_the_clocks_jump() -> None:
    day = Calendar("Africa/Cairo").period("day", moment("2026-04-24T12:00Z"))  # 00:00 is 01:00 there
    assert (told(day.start), told(day.end)) == ("2026-04-23T22:00Z", "2026-04-24T21:00Z")
    assert datetime.fromtimestamp(day.start, ZoneInfo("Africa/Cairo")).hour == 1


def test_an_hour_that_a_clock_shows_twice_is_two() -> None:
    calendar = Calendar("Europe/Berlin")
    first = calendar.period("hour", moment("2026-10-25T00:30Z"))
    second = calendar.period("hour", moment("2026-10-25T01:30Z"))
    assert first.end == second.start


def test_a_fiscal_month_begins_on_its_day() -> None:
    period = Calendar("UTC", month_starts=15).period("month", moment("2027-01-03T00:00Z"))
    assert (told(period.start), told(period.end)) == ("2026-12-15T00:00Z", "2027-01-15T00:00Z")


def test_a_week_begins_on_monday_or_sunday() -> None:
    thursday = moment("2026-10-29T12:00Z")
    assert told(Calendar().period("week", thursday).start) == "2026-10-26T00:00Z"
    assert told(Calendar(week_starts="sunday").period("week", thursday).start) == "2026-10-25T00:00Z"

"""Periods follow each other without a gap, whatever the calendar, and each is found by its name."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.errors import QueryError
from tokenweir.records import FiscalCalendar

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
WEEKS: dict[str, Any] = {"years": {2026: date(2025, 9, 28), 2027: date(2026, 9, 27), 2028: date(2027, 10, 3)}}

CALENDARS = st.builds(
    FiscalCalendar,
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns", "Asia/Kathmandu"]),
    first_month=st.integers(1, 12),
    years=st.sampled_from([None, WEEKS["years"]]),
    weeks=st.sampled_from(["4-4-5", "4-5-4", "5-4-4"]),
)
MOMENTS = st.datetimes(datetime(2025, 10, 1), datetime(2027, 9, 20), timezones=st.just(UTC))


@settings(max_examples=60)
@given(calendar=CALENDARS, moment=MOMENTS)
def test_every_moment_is_in_one_period_which_its_name_finds_and_the_next_begins_where_it_ends(
    calendar: FiscalCalendar, moment: datetime
) -> None:
    period = calendar.at(moment)
    assert period.since <= moment < period.until
    assert calendar.period(period.name, NOW) == period
    assert calendar.after(period).since == period.until
    assert calendar.before(calendar.after(period)) == period
    if period.fiscal:
        assert calendar.period(period.fiscal, NOW) == period


def test_a_month_begins_at_midnight_of_its_zone_also_where_clocks_were_put_back() -> None:
    october = FiscalCalendar("Europe/Berlin").period("2026-10", NOW)
    assert october.since == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert october.until == datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first_month", "month", "fiscal"),
    [(10, "2026-10", "FY2027-P01"), (7, "2026-06", "FY2026-P12"), (1, "2026-10", None)],
)
def test_a_month_has_its_name_in_the_fiscal_year_in_which_it_ends(first_month: int, month: str, fiscal: str) -> None:
    assert FiscalCalendar(first_month=first_month).period(month, NOW).fiscal == fiscal


def test_the_quarters_of_a_year_of_weeks_are_4_4_5_and_its_last_period_has_the_53rd_week() -> None:
    calendar = FiscalCalendar(**WEEKS)
    periods = [calendar.period(f"FY2027-P{number:02}", NOW) for number in range(1, 13)]
    assert [(one.until - one.since) // timedelta(weeks=1) for one in periods] == [4, 4, 5] * 3 + [4, 4, 6]
    assert (periods[0].since, periods[-1].until) == (
        datetime(2026, 9, 27, tzinfo=UTC),
        datetime(2027, 10, 3, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("years", "name", "words"),
    [
        ({}, "october", "not a period; write last, this, or one like 2026-11"),
        ({}, "2026-13", "not a period"),
        ({}, "FY2027-P13", "a fiscal year has P01 to P12"),
        (WEEKS, "2026-10", "periods are weeks here"),
        (WEEKS, "FY2031-P01", "fiscal year 2031 has no first day in statements.fiscal_years"),
    ],
)
def test_a_name_that_is_no_period_is_answered_with_how_they_are_written(
    years: dict[str, Any], name: str, words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        FiscalCalendar(**years).period(name, NOW)


def test_a_day_before_the_first_fiscal_year_says_what_to_add() -> None:
    with pytest.raises(QueryError, match="add its first day to statements.fiscal_years"):
        FiscalCalendar(**WEEKS).at(datetime(2024, 1, 1, tzinfo=UTC))


def test_this_and_last_are_as_the_clock_of_the_zone_shows() -> None:
    calendar = FiscalCalendar("Pacific/Auckland")
    eve = datetime(2026, 10, 31, 12, tzinfo=UTC)
    assert calendar.period("this", eve).name == "2026-11"
    assert calendar.period("last", eve).name == "2026-10"

"""Moments as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import QueryError, quoted
from tokenweir.ledger import parse_moment, parse_month, parse_timezone

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7d", datetime(2026, 3, 3, 12, tzinfo=UTC)),
        ("1h30m", datetime(2026, 3, 10, 10, 30, tzinfo=UTC)),
        ("0s", NOW),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        (" 2026-03-01T08:30 ", datetime(2026, 3, 1, 8, 30, tzinfo=UTC)),
        ("2026-03-01T08:30:00Z", datetime(2026, 3, 1, 8, 30, tzinfo=UTC)),
        ("2026-03-01T08:30:00+02:00", datetime(2026, 3, 1, 6, 30, tzinfo=UTC)),
    ],
)
def test_durations_count_back_and_times_are_utc(text: str, meant: datetime) -> None:
    assert parse_moment(text, NOW) == meant


def test_now_may_be_in_any_zone_and_the_answer_is_in_utc() -> None:
    moment = parse_moment("1d", NOW.astimezone(timezone(timedelta(hours=9))))
    assert (moment, moment.utcoffset()) == (NOW - timedelta(days=1), timedelta(0))


@given(st.datetimes(timezones=st.timezones() | st.just(UTC), min_value=datetime(2, 1, 1)))
def test_any_aware_time_means_itself(moment: datetime) -> None:
    assert parse_moment(moment.isoformat(), NOW) == datetime.fromisoformat(moment.isoformat())


@given(st.text())
def test_other_text_is_refused_with_a_hint(text: str) -> None:
    try:
        assert parse_moment(text, NOW).tzinfo is UTC
    except QueryError as error:
        assert quoted(text) in str(error)


@pytest.mark.parametrize("text", ["yesterday", "7", "-7d", "2026-13-01", "99999999d", "0001-01-01T00:00+05:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse_moment(text, NOW)


def test_a_date_begins_in_its_time_zone() -> None:
    berlin = parse_timezone("Europe/Berlin")
    assert parse_moment("2026-07-01", NOW, berlin) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert parse_moment("2026-07-01T00:00Z", NOW, berlin) == datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("last", datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 28, 23, tzinfo=UTC)),
        ("this", datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC)),
        ("2025-12", datetime(2025, 11, 30, 23, tzinfo=UTC), datetime(2025, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_month_is_that_of_the_time_zone(text: str, first: datetime, after: datetime) -> None:
    """At 23:30 UTC on the last of February it is March in Berlin, and last month is February."""
    for now in (NOW, datetime(2026, 2, 28, 23, 30, tzinfo=UTC)):
        assert parse_month(text, now, parse_timezone("Europe/Berlin")) == (first, after)


@pytest.mark.parametrize("text", ["", "2026-13", "2026-00", "0001-01", "9999-12", "next", "2026-1"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="is not a month; write last, this, or one like 2026-10"):
        parse_month(text, NOW)

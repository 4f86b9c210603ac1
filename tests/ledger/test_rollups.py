"""The sums of days that a ledger keeps always say what its calls say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from support.engines import TRANSACTIONAL, Engine, new_engine
from tokenweir.ledger import FILTERS, Ledger, LedgerError
from tokenweir.ledger.person import Person
from tokenweir.records import CallRecord, from_fields

START = datetime(2026, 3, 1, tzinfo=UTC)
# By its other name, the zone has the calls themselves read.
FROM_CALLS = "Etc/UTC"

CALLS = st.builds(
    lambda hours, number, tokens, cost, **fields: from_fields(
        call_id=f"call-{number:03}",
        started_at=START + timedelta(hours=hours),
        usage_source="reported" if tokens else "none",
        input_tokens=tokens,
        cost=None if cost is None else Decimal(cost) / 1000,
        currency=None if cost is None else "EUR",
        **fields,
    ),
    hours=st.integers(0, 200),
    number=st.integers(0, 999),
    tokens=st.integers(0, 5),
    cost=st.none() | st.integers(0, 9),
    caller=st.sampled_from(["ada", "bob", None]),
    response_model=st.sampled_from(["gpt-4o", None]),
    requested_model=st.sampled_from(["gpt-4o", "o3"]),
    operation=st.sampled_from(["chat", "realtime", "session", "job"]),
    status=st.sampled_from([200, 429, None]),
    application=st.sampled_from(["app-a", None]),
    tags=st.sampled_from([{}, {"team": "a"}, {"team": "b", "x": "y"}]),
    quantities=st.sampled_from([{}, {"images": {"amount": "2", "source": "reported"}}]),
)
MOMENTS = st.none() | st.integers(-30, 260).map(lambda hours: START + timedelta(hours=hours))


@pytest.fixture(params=TRANSACTIONAL)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


def late_days(ledger: Ledger, calls: int) -> None:
    """A call a day, each closing the day before."""
    ledger.post([make(f"day-{day}", START + timedelta(days=day, hours=2)) for day in range(calls)], "days", None)
    for day in range(calls):
        ledger.post([make(f"again-{day}", START + timedelta(days=calls, hours=day))], "days", None)


def make(call_id: str, moment: datetime, **fields: Any) -> CallRecord:
    return from_fields(call_id=call_id, started_at=moment, **fields)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(CALLS, max_size=20), min_size=1, max_size=8),
    by=st.lists(st.sampled_from([*FILTERS, "day", "month", "tag:team"]), max_size=3),
    since=MOMENTS,
    until=MOMENTS,
    only=st.sampled_from([{}, {"caller": "ada"}, {"tag:team": ""}, {"model": "gpt-4o", "status": "200"}]),
)
def test_sums_of_days_are_the_sums_of_their_calls(
    ledger: Ledger, batches: list[list[CallRecord]], by: list[str], since: Any, until: Any, only: dict[str, str]
) -> None:
    for batch in batches:
        ledger.post(batch, "source", None)
        asked = {"since": since, "until": until, "only": only}
        assert ledger.usage(by, **asked) == ledger.usage(by, **asked, timezone=FROM_CALLS)


def test_a_closed_day_is_read_from_its_sums_and_late_calls_are_in_them(ledger: Ledger, engine: Engine) -> None:
    late_days(ledger, 3)
    used = {"input_tokens": 5, "usage_source": "reported", "tags": {"a": "b"}}
    ledger.post([make("late", START + timedelta(hours=5), caller="eve", **used)], "late", None)
    ledger.post([make("late", START + timedelta(hours=5), caller="eve", **used)], "late", None)
    with engine.connect() as connection:
        rows = connection.execute("SELECT sum(calls), sum(input_tokens) FROM daily_usage").fetchall()
        assert [int(cell) for cell in rows[0]] == [4, 5]
        connection.execute("DELETE FROM calls WHERE call_id = 'late'")
    (row,) = [row for row in ledger.usage(["caller", "day", "tag:a"]) if row["caller"] == "eve"]
    assert (row["day"], row["tag:a"], row["calls"], row["input_tokens"]) == ("2026-03-01", "b", 1, 5)


def test_sums_are_there_after_the_ledger_was_opened_again(ledger: Ledger, engine: Engine) -> None:
    late_days(ledger, 4)
    before = ledger.usage(["day"])
    ledger.close()
    again = engine.open()
    again.post([make("late", START, caller="eve")], "late", None)
    assert sum(row["calls"] for row in again.usage(["day"])) == sum(row["calls"] for row in before) + 1
    assert again.usage(["day", "caller"]) == again.usage(["day", "caller"], timezone=FROM_CALLS)


def test_days_of_an_older_program_are_summed_by_application_from_the_first_that_has_one(
    ledger: Ledger, engine: Engine
) -> None:
    late_days(ledger, 5)
    used = [make(f"used-{day}", START + timedelta(days=day), application="app-a") for day in (2, 3)]
    ledger.post(used, "source", None)
    ledger.close()
    step = next(n for n, one in enumerate(engine.migrations, 1) if one.__name__.endswith("sums_by_application"))
    with engine.connect_alone() as older:
        older.execute(f"DELETE FROM migrations WHERE number >= {step}")
        for view in ("statement_rows", "closed_months", "charge_lines", "corrections", "rating_runs"):
            older.execute(f"DROP VIEW {view}")
        for table in ("corrections", "rating_runs", "statement_rows", "closed_months"):
            older.execute(f"DROP TABLE posted_{table}")
        older.execute("DROP TABLE daily_charges")
        for table in ("daily_usage", "daily_quantities"):
            older.execute(f"ALTER TABLE {table} DROP COLUMN application")
    ledger = engine.open()
    with engine.connect() as connection:
        days = "SELECT count(DISTINCT started_at), count(application) FROM daily_usage"
        assert connection.execute(days).fetchall() == [(2, 0)]
        for number in range(3):
            assert {row["application"]: row["calls"] for row in ledger.usage(["application"])} == {
                "app-a": 2,
                None: 10 + number,
            }
            ledger.post([make(f"later-{number}", START + timedelta(days=9, hours=number))], "source", None)
        assert connection.execute(days).fetchall() == [(5, 2)]
    ledger.close()


def test_who_is_erased_is_in_no_sum_and_the_sums_stay(ledger: Ledger) -> None:
    late_days(ledger, 3)
    ledger.post([make("late", START, caller="eve", key_id="k", input_tokens=7)], "late", None)
    ledger.erase(Person.of("caller", "eve"))
    rows = ledger.usage(["caller", "key_id", "day"])
    assert rows == ledger.usage(["caller", "key_id", "day"], timezone=FROM_CALLS)
    assert [(row["key_id"], row["input_tokens"]) for row in rows if row["caller"] is not None] == [(None, 7)]
    assert "eve" not in {row["caller"] for row in rows}


def test_amounts_that_are_too_large_to_be_summed_close_no_day_and_lose_no_call(ledger: Ledger) -> None:
    most = 10**26 - 1
    huge = [make(f"huge-{n}", START + timedelta(hours=n), cost=Decimal(most), currency="EUR") for n in range(3)]
    assert ledger.post(huge, "source", None) == 3
    assert ledger.post([make("next", START + timedelta(days=2))], "source", "9") == 1
    assert ledger.position("source") == "9"
    try:
        assert {row["calls"] for row in ledger.usage(["day"])} == {3, 1}
    except LedgerError:  # of an engine with 38 digits
        assert len(ledger.calls()) == 4

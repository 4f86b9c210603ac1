"""Sums by whatever people ask for."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import FILTERS, GROUPINGS, SUMS, Ledger
from tokenweir.records import CallRecord, Quantity

MakeCall = Callable[..., CallRecord]

START = datetime(2026, 3, 1, tzinfo=UTC)

OF_A_CALL: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{name: lambda call, name=name: call[name] for name in GROUPINGS},  # type: ignore[misc]
    "model": lambda call: call["response_model"] or call["requested_model"],
    "day": lambda call: f"{call['started_at']:%Y-%m-%d}",
    "hour": lambda call: f"{call['started_at']:%Y-%m-%dT%H}:00:00Z",
    "month": lambda call: f"{call['started_at']:%Y-%m}",
    "tier": lambda call: call["service_tier"],
    "tag:cost_centre": lambda call: call["tags"]["cost_centre"],
}


@pytest.mark.parametrize("name", [*GROUPINGS, "tag:cost_centre"])
def test_each_grouping_adds_up_the_calls_it_names(busy_ledger: Ledger, name: str) -> None:
    calls = busy_ledger.calls()
    expected = Counter((OF_A_CALL[name](call), call["currency"]) for call in calls)
    tokens: Counter[Any] = Counter()
    for call in calls:
        tokens[OF_A_CALL[name](call), call["currency"]] += call["total_tokens"]

    rows = busy_ledger.usage([name])
    assert {(row[name], row["currency"]): row["calls"] for row in rows} == expected
    assert {(row[name], row["currency"]): row["total_tokens"] for row in rows} == tokens


def test_a_row_has_the_groups_and_then_the_sums(busy_ledger: Ledger) -> None:
    rows = busy_ledger.usage(["caller", "deployment"])
    assert list(rows[0]) == ["caller", "deployment", *SUMS, "quantities"]
    groups = [(row["caller"], row["deployment"]) for row in rows]
    assert groups == sorted(groups)


def test_all_in_one_row_per_currency(busy_ledger: Ledger) -> None:
    calls = busy_ledger.calls()
    rows = {row["currency"]: row for row in busy_ledger.usage([])}
    assert set(rows) == {"EUR", "USD", None}
    for currency, row in rows.items():
        mine = [call for call in calls if call["currency"] == currency]
        for name in ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"):
            assert row[name] == sum(call[name] for call in mine)
    assert rows["EUR"]["cost"] == sum((call["cost"] for call in calls if call["currency"] == "EUR"), Decimal())
    assert rows[None]["cost"] is None


def test_a_grouping_asked_for_twice_is_one_column(busy_ledger: Ledger) -> None:
    assert busy_ledger.usage(["caller", "caller"]) == busy_ledger.usage(["caller"])


def test_usage_within_a_time(busy_ledger: Ledger) -> None:
    since, until = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
    rows = busy_ledger.usage(["day"], since, until)
    assert {row["day"] for row in rows} == {"2026-03-02"}
    assert sum(row["calls"] for row in rows) == len(busy_ledger.calls(since=since, until=until)) > 0


@pytest.mark.parametrize("tag", ["a/b", "c~d", "$e", "it's", 'say "x"', "ä b", "", "0", "~1"])
def test_a_tag_may_have_any_name(ledger: Ledger, make_call: MakeCall, tag: str) -> None:
    ledger.post([make_call(tags={tag: "yes", "other": "no"}), make_call()], "relay-1", "1")
    assert [(row[f"tag:{tag}"], row["calls"]) for row in ledger.usage([f"tag:{tag}"])] == [("yes", 1), (None, 1)]


def test_quantities_are_added_up_by_name_exactly(ledger: Ledger, make_call: MakeCall) -> None:
    used = [
        {"images": Quantity(3, "counted"), "input_audio_seconds": Quantity(Decimal("8.47"))},
        {"images": Quantity(2**53, "counted"), "pages": Quantity(None, "unknown")},
        {"input_audio_seconds": Quantity(Decimal("1E-7"), "derived"), "web_searches": Quantity(1)},
        {},
    ]
    ledger.post([make_call(caller="ada", quantities=one) for one in used] + [make_call(caller="bob")], "relay-1", "1")
    sums = {"input_audio_seconds": Decimal("8.4700001"), "images": 2**53 + 3, "web_searches": 1}
    assert {row["caller"]: row["quantities"] for row in ledger.usage(["caller"])} == {"ada": sums, "bob": {}}
    assert list(ledger.usage([])[0]["quantities"]) == [*sums]
    assert ledger.usage([], until=START)[:1] == []
    assert [call["quantities"] for call in reversed(ledger.calls())] == [*used, {}]


def test_sessions_and_jobs_are_no_calls_and_what_they_used_counts(ledger: Ledger, make_call: MakeCall) -> None:
    records = [
        make_call(operation="realtime", input_tokens=3),
        make_call(operation="session", quantities={"session_seconds": Quantity(60)}),
        make_call(operation="job", input_tokens=40),
    ]
    ledger.post(records, "relay-1", "1")
    (row,) = ledger.usage([])
    assert (row["calls"], row["input_tokens"], row["quantities"]) == (1, 43, {"session_seconds": 60})
    by_operation = {row["operation"]: row["calls"] for row in ledger.usage(["operation"])}
    assert by_operation == {"realtime": 1, "session": 0, "job": 0}


def test_an_unknown_grouping_names_the_nearest_and_all(ledger: Ledger) -> None:
    with pytest.raises(QueryError) as refused:
        ledger.usage(["caller", "deploymnt"])
    assert "did you mean 'deployment'?" in str(refused.value)
    for name in (*GROUPINGS, "tag:<name>"):
        assert name in str(refused.value)


def test_an_empty_ledger_has_no_usage(ledger: Ledger) -> None:
    assert ledger.usage(["caller"]) == []
    assert ledger.usage([]) == []


def test_days_and_months_are_those_of_the_time_zone_also_where_clocks_are_changed(
    ledger: Ledger, make_call: MakeCall
) -> None:
    moments = {
        datetime(2026, 2, 28, 22, 59, tzinfo=UTC): ("2026-02-28", "2026-02", "2026-02-28T23:00:00"),
        datetime(2026, 2, 28, 23, 0, tzinfo=UTC): ("2026-03-01", "2026-03", "2026-03-01T00:00:00"),
        datetime(2026, 3, 29, 0, 59, tzinfo=UTC): ("2026-03-29", "2026-03", "2026-03-29T01:00:00"),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC): ("2026-03-29", "2026-03", "2026-03-29T03:00:00"),
        datetime(2026, 3, 31, 22, 0, tzinfo=UTC): ("2026-04-01", "2026-04", "2026-04-01T00:00:00"),
        datetime(2026, 10, 31, 22, 59, tzinfo=UTC): ("2026-10-31", "2026-10", "2026-10-31T23:00:00"),
        datetime(2026, 10, 31, 23, 0, tzinfo=UTC): ("2026-11-01", "2026-11", "2026-11-01T00:00:00"),
    }
    ledger.post([make_call(started_at=moment) for moment in moments], "relay-1", "1")
    for place, name in enumerate(("day", "month", "hour")):
        rows = ledger.usage([name], timezone="Europe/Berlin")
        assert {row[name]: row["calls"] for row in rows} == Counter(shown[place] for shown in moments.values())


def test_a_zone_that_is_half_an_hour_off_has_hours_of_its_own(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post([make_call(started_at=datetime(2026, 3, 1, 18, 40, tzinfo=UTC))], "relay-1", "1")
    assert ledger.usage(["hour"], timezone="Asia/Kolkata")[0]["hour"] == "2026-03-02T00:00:00"


def test_an_unknown_time_zone_is_refused_and_reaches_no_engine(ledger: Ledger) -> None:
    with pytest.raises(QueryError, match=r"did you mean 'Europe/Berlin'\?"):
        ledger.usage(["day"], timezone="Europe/Belin")
    with pytest.raises(QueryError, match="time zone .* is unknown"):
        ledger.usage(["day"], timezone="UTC') --")


@pytest.mark.parametrize("name", [*FILTERS, "tag:cost_centre"])
def test_only_the_calls_of_a_group_are_summed(busy_ledger: Ledger, name: str) -> None:
    calls = busy_ledger.calls()
    for value, count in Counter(OF_A_CALL[name](call) for call in calls).items():
        rows = busy_ledger.usage(["caller"], only={name: "" if value is None else str(value)})
        assert sum(row["calls"] for row in rows) == count


def test_filters_hold_together_and_within_a_time(busy_ledger: Ledger) -> None:
    since = datetime(2026, 3, 2, tzinfo=UTC)
    rows = busy_ledger.usage(["day"], since, only={"caller": "ada", "tag:cost_centre": "4710"})
    wanted = [
        call
        for call in busy_ledger.calls(since=since)
        if call["caller"] == "ada" and call["tags"]["cost_centre"] == "4710"
    ]
    assert sum(row["calls"] for row in rows) == len(wanted) > 0


def test_a_filter_that_is_none_is_refused(ledger: Ledger) -> None:
    with pytest.raises(QueryError, match=r"did you mean 'caller'\?"):
        ledger.usage(["day"], only={"calller": "ada"})
    with pytest.raises(QueryError, match="status is a number"):
        ledger.usage(["day"], only={"status": "4xx"})
    with pytest.raises(QueryError, match="a filter by 'day' is unknown"):
        ledger.usage(["caller"], only={"day": "2026-03-01"})
    assert ledger.usage(["caller"], only={"caller": "' OR 1=1 --"}) == []


def test_a_caller_that_was_renamed_keeps_its_history(busy_ledger: Ledger) -> None:
    before = {row["caller"]: row["calls"] for row in busy_ledger.usage(["caller"], only={"api": "chat_completions"})}
    assert set(before) == {"ada"}
    busy_ledger.rename({"ada": "o'neil \\ 100%", "eve": "bob"})
    counts: Counter[str] = Counter()
    for row in busy_ledger.usage(["caller"]):
        counts[row["caller"]] += row["calls"]
    assert counts == {"o'neil \\ 100%": 10, "bob": 20}
    assert sum(row["calls"] for row in busy_ledger.usage(["caller"], only={"caller": "bob"})) == 20
    assert len(busy_ledger.calls(caller="o'neil \\ 100%")) == 10

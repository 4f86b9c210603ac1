"""Sums by whatever people ask for."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import GROUPINGS, SUMS, Ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

OF_A_CALL: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{name: lambda call, name=name: call[name] for name in GROUPINGS},  # type: ignore[misc]
    "model": lambda call: call["response_model"] or call["requested_model"],
    "day": lambda call: f"{call['started_at']:%Y-%m-%d}",
    "hour": lambda call: f"{call['started_at']:%Y-%m-%dT%H}:00:00Z",
    "month": lambda call: f"{call['started_at']:%Y-%m}",
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
    assert list(rows[0]) == ["caller", "deployment", *SUMS]
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


def test_an_unknown_grouping_names_the_nearest_and_all(ledger: Ledger) -> None:
    with pytest.raises(QueryError) as refused:
        ledger.usage(["caller", "deploymnt"])
    assert "did you mean 'deployment'?" in str(refused.value)
    for name in (*GROUPINGS, "tag:<name>"):
        assert name in str(refused.value)


def test_an_empty_ledger_has_no_usage(ledger: Ledger) -> None:
    assert ledger.usage(["caller"]) == []
    assert ledger.usage([]) == []

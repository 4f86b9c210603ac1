"""What is forgotten, and that all amounts stay: the same in each engine."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from support.engines import Engine
from tokenweir.delivery.pricer import FREE, bring
from tokenweir.ledger import Ledger, Person
from tokenweir.records import CallRecord, Trace

MakeCall = Callable[..., CallRecord]

START = datetime(2026, 3, 1, tzinfo=UTC)
PERSONAL = ("subject", "client_address", "user_agent", "traceparent")


@pytest.fixture
def filled(ledger: Ledger, make_call: MakeCall) -> Ledger:
    """Ten calls of two callers and three subjects, a minute apart, with bodies, every second one with a trace."""
    calls = [
        make_call(
            caller="ada's team" if number % 2 else "bob",
            subject=f"user-{number % 3}",
            key_id="key_1",
            client_address="192.0.2.7",
            user_agent="openai-python",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            tags={"cost_centre": "4711"},
            usage_source="reported",
            input_tokens=number,
            output_tokens=1,
            total_tokens=number + 1,
            cost=Decimal("0.1"),
            currency="EUR",
            request_body="What does a weir do?",
            response_body="It measures.",
            trace=Trace(reasons=["asked"]) if number % 2 else None,
        )
        for number in range(10)
    ]
    ledger.post(calls, "relay", "1")
    return ledger


def kept(ledger: Ledger, number: int) -> dict[str, Any]:
    found = ledger.call(f"call-{number:04}")
    assert found is not None
    return found


def test_contents_and_traces_have_terms_of_their_own(filled: Ledger) -> None:
    before = filled.usage(["caller", "subject", "day"])
    assert filled.expire(None, START + timedelta(minutes=4)) == 2
    assert kept(filled, 3)["trace"] is None
    assert kept(filled, 3)["request_body"] is not None
    assert kept(filled, 5)["trace"] is not None
    assert filled.expire(START + timedelta(minutes=6), START + timedelta(minutes=4)) == 6
    assert kept(filled, 5)["request_body"] is kept(filled, 5)["response_body"] is None
    assert kept(filled, 5)["trace"] is not None
    assert kept(filled, 6)["request_body"] is not None
    assert filled.expire(START + timedelta(minutes=6), START + timedelta(minutes=4)) == 0
    assert filled.usage(["caller", "subject", "day"]) == before


def test_of_an_erased_subject_the_amounts_are_left(filled: Ledger) -> None:
    before = filled.usage(["caller"])
    assert filled.erase(Person("subject", ["user-1", "hash of user-1"], "erased-1")) == 3
    gone = kept(filled, 1)
    assert [gone[name] for name in (*PERSONAL, "request_body", "response_body", "trace")] == [None] * 7
    assert (gone["caller"], gone["input_tokens"], gone["tags"]) == ("ada's team", 1, {"cost_centre": "4711"})
    assert kept(filled, 2)["subject"] == "user-2"
    assert kept(filled, 2)["request_body"] is not None
    assert filled.usage(["caller"]) == before
    assert filled.erase(Person("subject", ["user-1"], "erased-1")) == 0


def test_an_erased_caller_has_a_pseudonym(filled: Ledger) -> None:
    before = filled.usage(["tag:cost_centre"])
    assert filled.erase(Person("caller", ["ada's team"], "erased-77")) == 5
    gone = kept(filled, 1)
    assert [gone[name] for name in (*PERSONAL, "key_id", "request_body", "trace")] == [None] * 7
    assert [(row["caller"], row["calls"], row["input_tokens"]) for row in filled.usage(["caller"])] == [
        ("bob", 5, 20),
        ("erased-77", 5, 25),
    ]
    assert filled.usage(["tag:cost_centre"]) == before
    assert kept(filled, 0)["key_id"] == "key_1"


def test_calls_go_by_days_and_their_sums_stay(engine: Engine, ledger: Ledger, make_call: MakeCall) -> None:
    for day in range(5):
        calls = [
            make_call(
                started_at=START + timedelta(days=day, hours=number),
                caller=f"team-{number % 2}",
                subject=f"user-{number}",
                usage_source="reported",
                input_tokens=10,
                total_tokens=10,
                cost=Decimal("0.1"),
                currency="EUR",
                request_body="hello",
            )
            for number in range(4)
        ]
        ledger.post(calls, "relay", str(day))
    before = ledger.usage(["caller", "day"])
    removed = ledger.expire(None, None, START + timedelta(days=2, hours=7))
    if engine.name == "clickhouse":  # which keeps no sums
        assert removed == 0
        return
    assert removed == 8
    assert ledger.usage(["caller", "day"]) == before
    assert len(ledger.calls(100)) == 12
    assert ledger.call("call-0000") is None
    assert ledger.expired() == START + timedelta(days=2)
    assert ledger.expire(None, None, START + timedelta(days=2, hours=9)) == 0
    # One that was removed is brought again: it is in the sums.
    old = make_call(call_id="call-0000", started_at=START, caller="team-0", input_tokens=10)
    new = make_call(call_id="new", started_at=START + timedelta(days=4), caller="team-0", input_tokens=10)
    assert bring(ledger, [old, new], FREE) == 1
    total = sum(row["calls"] for row in ledger.usage(["caller", "day"]))
    assert total == sum(row["calls"] for row in before) + 1
    ledger.erase(Person("caller", ["team-1"], "erased-1"))
    assert {row["caller"] for row in ledger.usage(["caller"])} == {"erased-1", "team-0"}

"""Calls one by one: newest first, filtered, and with their bodies when asked for one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ids(ledger: Ledger, limit: int = 50, **filters: object) -> list[str]:
    return [call["call_id"] for call in ledger.calls(limit, **filters)]  # type: ignore[arg-type]


def test_the_newest_call_comes_first_however_they_were_posted(ledger: Ledger, make_call: MakeCall) -> None:
    first, second, third = make_call(), make_call(), make_call()
    ledger.post([second, third, first], "relay-1", "1")
    assert ids(ledger) == [third.call_id, second.call_id, first.call_id]
    assert ids(ledger, 2) == [third.call_id, second.call_id]


def test_calls_of_one_caller(ledger: Ledger, make_call: MakeCall) -> None:
    ada, other = make_call(caller="ada"), make_call(caller="ada'--")
    ledger.post([ada, other, make_call()], "relay-1", "1")
    assert ids(ledger, caller="ada") == [ada.call_id]
    assert ids(ledger, caller="ada'--") == [other.call_id]


def test_since_is_included_and_until_is_not(ledger: Ledger, make_call: MakeCall) -> None:
    calls = [make_call(started_at=NOON + timedelta(hours=hour)) for hour in range(3)]
    ledger.post(calls, "relay-1", "1")
    assert ids(ledger, since=NOON + timedelta(hours=1)) == [calls[2].call_id, calls[1].call_id]
    assert ids(ledger, until=NOON + timedelta(hours=1)) == [calls[0].call_id]
    in_tokyo = (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    assert ids(ledger, since=in_tokyo, until=NOON + timedelta(hours=2)) == [calls[1].call_id]


def test_a_moment_without_a_time_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(QueryError, match="no time zone"):
        ledger.calls(since=datetime(2026, 3, 1))


def test_bodies_come_with_the_one_call_only(ledger: Ledger, make_call: MakeCall) -> None:
    call = make_call(request_body='{"messages": []}')
    ledger.post([call, make_call()], "relay-1", "1")
    assert all("request_body" not in row for row in ledger.calls())
    found = ledger.call(call.call_id)
    assert found is not None
    assert (found["request_body"], found["response_body"]) == ('{"messages": []}', None)


def test_there_is_no_call_with_an_unknown_id(ledger: Ledger) -> None:
    assert ledger.call("01980000-0000-7000-8000-000000000000") is None


@pytest.mark.parametrize("cost", ["0", "100", "0.5", "-3.10", "0.000000000001", "98765432109876543210.123456789012"])
def test_money_comes_back_to_the_last_digit_and_without_padding(ledger: Ledger, make_call: MakeCall, cost: str) -> None:
    ledger.post([make_call(cost=Decimal(cost), currency="EUR")], "relay-1", "1")
    found = ledger.calls()[0]["cost"]
    assert found == Decimal(cost)
    assert f"{found:f}" == (cost.rstrip("0") if "." in cost else cost)

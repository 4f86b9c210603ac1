"""Several posters at once, and records that a table cannot hold as they are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain

import psycopg
import pytest

from support.engines import PostgresEngine
from tokenweir.ledger import Ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

HOLDS_UP = "INSERT INTO calls (call_id, started_at, caller) VALUES (%s, now(), 'the first')"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND %s = ANY(pg_blocking_pids(pid))"


def wait_until_somebody_waits_for(connection: "psycopg.Connection[tuple[int]]", watch: PostgresEngine) -> None:
    with watch.connect() as watcher:
        while watcher.execute(WAITING, [connection.info.backend_pid]).fetchone() == (0,):
            pass


@pytest.mark.parametrize(("end", "new", "caller"), [("COMMIT", 1, "the first"), ("ROLLBACK", 2, "the second")])
def test_of_two_that_post_the_same_call_at_once_one_has_it(
    ledger: Ledger, engine: PostgresEngine, make_call: MakeCall, end: str, new: int, caller: str
) -> None:
    same, other = make_call(caller="the second", request_body="mine"), make_call()
    with engine.connect() as first, ThreadPoolExecutor(1) as second:
        first.execute("BEGIN")
        first.execute(HOLDS_UP, [same.call_id])
        posted = second.submit(ledger.post, [other, same], "hub/1", "2")
        wait_until_somebody_waits_for(first, engine)
        assert ledger.calls() == []  # and nobody who reads waits for either
        first.execute(end)
        assert posted.result() == new
    found = ledger.call(same.call_id)
    assert found is not None
    assert (found["caller"], found["request_body"]) == (caller, "mine" if new == 2 else None)
    assert ledger.position("hub/1") == "2"


def test_many_posters_of_the_same_calls_in_any_order_never_lock_each_other_out(
    engine: PostgresEngine, make_call: MakeCall
) -> None:
    calls = [make_call(total_tokens=1) for _ in range(400)]
    orders = [calls, calls[::-1], calls[200:] + calls[:200], calls[::2] + calls[1::2]]
    ledgers = [engine.open() for _ in orders]

    def post_all(number: int) -> list[int]:
        order = orders[number]
        return [ledgers[number].post(order[at : at + 50], f"hub/{number}", str(at)) for at in range(0, 400, 50)]

    with ThreadPoolExecutor(len(orders)) as posters:
        new = list(posters.map(post_all, range(len(orders))))
    assert sum(chain.from_iterable(new)) == 400
    assert ledgers[0].usage([])[0]["total_tokens"] == 400
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"input_tokens": 2**63},
        {"cost": Decimal(10) ** 30},
        {"cost": Decimal("NaN")},
        {"subject": "a\0b", "tags": {"a\0": "\0"}, "usage": {"\0": ["\0"]}, "request_body": "\0"},
        {"request_body": "only\0here"},
    ],
)
def test_a_record_that_does_not_fit_is_mended_and_holds_up_nobody(
    ledger: Ledger, make_call: MakeCall, fields: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    odd = make_call(caller="ada", **fields)
    assert ledger.post([make_call(), odd, make_call()], "hub/0", "3") == 3
    found = ledger.call(odd.call_id)
    assert found is not None
    assert found["caller"] == "ada"
    assert odd.call_id in caplog.text
    for name in fields:
        assert name in caplog.text
    assert "\0" not in str(found)
    assert ledger.query_sql("SELECT count(*) FROM calls WHERE tags ->> 'a' IS NULL").rows == [[3]]


def test_an_escaped_backslash_before_zeros_is_no_zero(
    ledger: Ledger, make_call: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    call = make_call(subject="\\u0000")
    ledger.post([call], "hub/0", "1")
    assert ledger.calls()[0]["subject"] == "\\u0000"
    assert caplog.text == ""


def test_a_day_is_a_day_in_utc_whatever_the_session(engine: PostgresEngine, make_call: MakeCall) -> None:
    engine.url += "%20-ctimezone%3DAsia/Tokyo"
    ledger = engine.open()
    ledger.post([make_call(started_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))], "hub/0", "1")
    assert [row["day"] for row in ledger.usage(["day"])] == ["2026-03-01"]
    assert ledger.calls()[0]["started_at"] == datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert ledger.calls(since=datetime(2026, 3, 1, 23, 31, tzinfo=UTC)) == []
    ledger.close()

"""Rows that are there twice are counted once, whoever asks; and records that a table cannot hold as they are."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from support.clickhouse import ClickHouseServer
from support.engines import ClickHouseEngine
from tokenweir.ledger import Ledger, LedgerError
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


def test_rows_that_came_twice_are_counted_once_by_every_question_and_at_once(
    ledger: Ledger, engine: ClickHouseEngine, make_call: MakeCall
) -> None:
    calls = [make_call(caller="ada", total_tokens=7, usage_source="reported", request_body="{}") for _ in range(5)]
    ledger.post(calls, "relay-1", "5")
    with engine.connect() as connection:
        connection.execute("SYSTEM STOP MERGES posted_calls")
        # As of a killed poster whose inserts the server still had, while the next one posted them again.
        for table in ("posted_calls", "posted_contents"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM {table}")
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (10,)
    assert [(row["calls"], row["total_tokens"]) for row in ledger.usage(["caller"])] == [(5, 35)]
    assert len(ledger.calls()) == 5
    assert len(ledger.calls(caller="ada", since=calls[1].started_at, until=calls[4].started_at)) == 3
    found = ledger.call(calls[0].call_id)
    assert found is not None and found["request_body"] == "{}"
    for table in ("calls", "contents", '"customEvents"'):
        assert ledger.query_sql(f"SELECT count(*) FROM {table}").rows == [[5]]
    joined = "SELECT count(*), sum(total_tokens) FROM calls JOIN contents ON contents.call_id = calls.call_id"
    assert ledger.query_sql(joined).rows == [[5, 35]]
    assert ledger.query_kql("calls | summarize count(), sum(total_tokens)").rows == [[5, 35]]
    assert ledger.query_kql("customEvents | count").rows == [[5]]


def test_many_posters_of_the_same_calls_in_any_order_count_each_once(
    engine: ClickHouseEngine, make_call: MakeCall
) -> None:
    calls = [make_call(total_tokens=1, response_body="{}") for _ in range(400)]
    orders = [calls, calls[::-1], calls[200:] + calls[:200], calls[::2] + calls[1::2]]
    ledgers = [engine.open() for _ in orders]
    begin = threading.Barrier(len(orders))

    def post_all(number: int) -> None:
        begin.wait()
        for at in range(0, 400, 100):
            ledgers[number].post(orders[number][at : at + 100], f"hub/{number}", str(at))

    with ThreadPoolExecutor(len(orders)) as posters:
        list(posters.map(post_all, range(len(orders))))
    assert ledgers[0].usage([])[0]["total_tokens"] == 400
    assert ledgers[0].query_sql("SELECT count(*) FROM contents").rows == [[400]]
    for ledger in ledgers:
        ledger.close()


def test_of_two_that_say_something_else_of_a_call_the_first_is_believed(ledger: Ledger, make_call: MakeCall) -> None:
    first = make_call(caller="the first")
    assert ledger.post([first], "hub/0", "1") == 1
    assert ledger.post([make_call(call_id=first.call_id, caller="the second")], "hub/1", "1") == 0
    assert [call["caller"] for call in ledger.calls()] == ["the first"]


def test_a_position_may_be_the_same_as_one_before(ledger: Ledger) -> None:
    for position in ("5", "6", "5"):
        ledger.post([], "relay-1", position)
        assert ledger.position("relay-1") == position


def test_a_batch_may_be_large_and_its_ids_anything(ledger: Ledger, make_call: MakeCall) -> None:
    odd = [make_call(call_id=text) for text in ("", "'", "\\", "'); DROP TABLE calls --", "ä\n\0{x:String}", '"', "%s")]
    many = [make_call(call_id=f"019ab000-0000-7000-8000-{number:012x}") for number in range(20_000)]
    assert ledger.post(odd + many, "hub/0", "1") == len(odd) + len(many)
    assert ledger.post(many + odd, "hub/0", "2") == 0
    for call in odd:
        found = ledger.call(call.call_id)
        assert found is not None and found["started_at"] == call.started_at


@pytest.mark.parametrize(
    "fields",
    [
        {"input_tokens": 2**63},
        {"output_tokens": -(2**63) - 1},
        {"status": 2**64 + 200},
        {"cost": Decimal(10) ** 30},
        {"cost": Decimal("NaN")},
        {"cost": Decimal("-Infinity")},
    ],
)
def test_a_number_that_does_not_fit_is_left_out_and_holds_up_nobody(
    ledger: Ledger, make_call: MakeCall, fields: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    odd = make_call(caller="ada", **fields)
    assert ledger.post([make_call(), odd, make_call()], "hub/0", "3") == 3
    found = ledger.call(odd.call_id)
    assert found is not None
    assert found["caller"] == "ada"
    assert f"record {odd.call_id}: ClickHouse cannot hold its {next(iter(fields))}" in caplog.text
    for name in fields:
        assert not found[name]


@pytest.mark.parametrize(
    ("cost", "kept"),
    [
        ("0.0000000000019", "0.000000000002"),
        ("1E-30", "0"),
        ("98765432109876543210.1234567890129", "98765432109876543210.123456789013"),
    ],
)
def test_a_cost_is_rounded_to_the_decimals_of_its_column(
    ledger: Ledger, make_call: MakeCall, caplog: pytest.LogCaptureFixture, cost: str, kept: str
) -> None:
    ledger.post([make_call(cost=Decimal(cost))], "hub/0", "1")
    assert ledger.calls()[0]["cost"] == Decimal(kept)
    assert caplog.text == ""


def test_posting_waits_for_nobody_who_reads(engine: ClickHouseEngine, make_call: MakeCall) -> None:
    ledger = engine.open()
    with ThreadPoolExecutor(1) as reader, engine.connect() as connection:
        asked = reader.submit(ledger.query_sql, engine.endless)
        running = "SELECT count(*) FROM system.processes WHERE query LIKE '%10000000) b%' AND query NOT LIKE '%LIKE%'"
        while connection.execute(running).fetchone() == (0,):
            pass
        assert ledger.post([make_call()], "relay-1", "1") == 1
        assert not asked.done()
        connection.execute("KILL QUERY WHERE query LIKE '%10000000) b%' AND query NOT LIKE '%LIKE%'")
        assert asked.exception() is not None
    ledger.close()


def test_a_server_that_is_killed_keeps_what_was_posted(own_server: ClickHouseServer, make_call: MakeCall) -> None:
    engine = ClickHouseEngine(own_server)
    ledger = engine.open()
    posted: list[CallRecord] = []
    for number in range(20):
        batch = [make_call(response_body="{}" * 100) for _ in range(30)]
        ledger.post(batch, "relay-1", str(number))
        posted += batch
    under_way = [make_call() for _ in range(5_000)]
    with ThreadPoolExecutor(1) as poster:
        posting = poster.submit(ledger.post, under_way, "relay-1", "20")
        own_server.kill()
        error = posting.exception()
    ledger.close()
    own_server.start()
    ledger = engine.open()
    assert isinstance(error, LedgerError)
    assert ledger.position("relay-1") == "19"
    ids = {row[0] for row in ledger.query_sql("SELECT call_id FROM calls").rows}
    assert ids >= {call.call_id for call in posted}
    ledger.post(under_way, "relay-1", "20")
    assert ledger.query_sql("SELECT count(*), (SELECT count(*) FROM contents) FROM calls").rows == [[5_600, 600]]
    ledger.close()


def test_a_day_is_a_day_in_utc_and_moments_are_exact_to_the_microsecond(ledger: Ledger, make_call: MakeCall) -> None:
    call = make_call()
    late = make_call(started_at=call.started_at.replace(hour=23, minute=59, second=59, microsecond=999_999))
    ledger.post([late], "hub/0", "1")
    assert [row["day"] for row in ledger.usage(["day"])] == ["2026-03-01"]
    assert ledger.calls(since=late.started_at)[0]["started_at"] == late.started_at
    assert ledger.calls(since=late.started_at + timedelta(microseconds=1)) == []

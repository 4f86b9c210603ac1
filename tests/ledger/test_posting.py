"""What was posted is there, once, whole, and so is how far the journal was read."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from support.engines import ENGINES, TRANSACTIONAL, Engine, new_engine
from tokenweir.ledger import Ledger, LedgerError, open_ledger
from tokenweir.records import (
    LARGEST_AMOUNT,
    QUANTITIES,
    CallRecord,
    ChargeLine,
    FlatRecord,
    Outcome,
    Quantity,
    QuantitySource,
    Trace,
    TraceReason,
    Usage,
    UsageReason,
    UsageSource,
    flat_fields,
    from_fields,
    from_flat,
    new_call_id,
)

MakeCall = Callable[..., CallRecord]

REPEATABLE = {"duckdb": "BEGIN", "postgres": "BEGIN ISOLATION LEVEL REPEATABLE READ"}

int64 = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
json = st.recursive(
    st.none() | st.booleans() | int64 | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
SOMETHING_FOR: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: int64,
    float: finite,
    bool: st.booleans(),
    datetime: st.datetimes(
        datetime(1970, 1, 2), datetime(9998, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])
    ),
    Decimal: st.decimals(-(10**20), 10**20, places=12),
    Outcome: st.sampled_from(get_args(Outcome)),
    UsageSource: st.sampled_from(get_args(UsageSource)),
    UsageReason: st.sampled_from(get_args(UsageReason)),
    dict[str, str]: st.dictionaries(st.text(), st.text(), max_size=3),
    dict[str, int]: st.dictionaries(st.text(), int64, max_size=3),
    dict[str, Quantity]: st.dictionaries(
        st.sampled_from(list(QUANTITIES)),
        st.builds(
            Quantity,
            st.none() | st.integers(0, LARGEST_AMOUNT) | st.decimals(0, 10**6, places=3),
            st.sampled_from(get_args(QuantitySource)),
        ),
        max_size=3,
    ),
    dict[str, Any]: st.dictionaries(st.text(), json, max_size=3),
    list[str]: st.lists(st.text(), max_size=3),
    list[ChargeLine]: st.lists(
        st.builds(
            ChargeLine,
            st.text(),
            st.integers(0, LARGEST_AMOUNT) | st.decimals(0, 10**6, places=6),
            st.text(),
            st.none() | st.decimals(0, 10**6, places=6),
            int64,
            st.none() | st.decimals(0, 10**20, places=12),
            *[st.none() | st.text()] * 3,
        ),
        max_size=3,
    ),
    Trace: st.builds(
        Trace,
        reasons=st.lists(st.sampled_from(get_args(TraceReason)), max_size=3),
        request_headers=st.lists(st.tuples(st.text(), st.text()), max_size=3),
        body_ms=st.none() | finite,
        arrivals=st.lists(st.tuples(finite, int64), max_size=3),
        arrivals_left_out=int64,
    ),
}


def anything_for(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in SOMETHING_FOR:
        return SOMETHING_FOR[annotation]
    optional, none = get_args(annotation)
    assert none is type(None)
    return st.none() | SOMETHING_FOR[optional]


def anything_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: anything_for(annotation) for name, annotation in get_type_hints(kind).items()})


SOMETHING_FOR[Usage] = anything_of(Usage)
any_call = anything_of(CallRecord)


@pytest.fixture(scope="module", params=ENGINES)
def lasting_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return new_engine(request, tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def lasting_ledger(lasting_engine: Engine) -> Iterator[Ledger]:
    lasting_engine.fill()
    ledger = lasting_engine.open()
    yield ledger
    ledger.close()


def as_kept(engine: Engine, value: Any) -> Any:
    """What an engine makes of a value: a PostgreSQL text has no U+0000."""
    match value:
        case str():
            return value.replace("\0", "\ufffd") if engine.name == "postgres" else value
        case dict():
            return {as_kept(engine, name): as_kept(engine, inner) for name, inner in value.items()}
        case list():
            return [as_kept(engine, inner) for inner in value]
        case ChargeLine():
            return ChargeLine(*(as_kept(engine, inner) for inner in msgspec.structs.astuple(value)))
    return value


@given(call=any_call)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_record_holds_comes_back(lasting_ledger: Ledger, lasting_engine: Engine, call: CallRecord) -> None:
    call = msgspec.structs.replace(call, call_id=f"{new_call_id()} {call.call_id}")
    expected = from_fields(**as_kept(lasting_engine, flat_fields(call)))
    assert lasting_ledger.post([call], "relay-1", "1") == 1
    assert from_flat(msgspec.convert(lasting_ledger.call(expected.call_id), FlatRecord)) == expected


def test_a_record_with_nothing_but_defaults_comes_back(ledger: Ledger, make_call: MakeCall) -> None:
    call = make_call()
    ledger.post([call], "relay-1", "1")
    assert from_flat(msgspec.convert(ledger.call(call.call_id), FlatRecord)) == call


def test_a_batch_posted_again_is_counted_once(ledger: Ledger, make_call: MakeCall) -> None:
    calls = [make_call(total_tokens=7, request_body="{}") for _ in range(10)]
    assert ledger.post(calls[:6], "relay-1", "6") == 6
    assert ledger.post(calls, "relay-1", "10") == 4
    assert ledger.post(calls, "relay-1", "10") == 0
    assert ledger.usage([])[0]["total_tokens"] == 70


def test_a_call_twice_in_a_batch_is_counted_once(ledger: Ledger, make_call: MakeCall) -> None:
    call = make_call(response_body="data: [DONE]")
    assert ledger.post([call, call], "relay-1", "2") == 1
    assert len(ledger.calls()) == 1


def test_a_call_that_came_by_two_journals_is_counted_once(ledger: Ledger, make_call: MakeCall) -> None:
    call = make_call()
    assert ledger.post([call], "relay-1", "1") == 1
    assert ledger.post([call], "import", "1") == 0


def test_each_source_has_its_position(ledger: Ledger, make_call: MakeCall) -> None:
    assert ledger.position("relay-1") is None
    ledger.post([make_call()], "relay-1", "3:120")
    ledger.post([], "relay-2", "1:0")
    ledger.post([], "relay-1", "4:0")
    assert (ledger.position("relay-1"), ledger.position("relay-2")) == ("4:0", "1:0")


def test_a_position_stays_where_none_is_given(ledger: Ledger, make_call: MakeCall) -> None:
    assert ledger.post([make_call()], "hub/0", None) == 1
    assert ledger.position("hub/0") is None
    ledger.post([make_call()], "hub/0", "17")
    assert ledger.post([make_call()], "hub/0", None) == 1
    assert ledger.position("hub/0") == "17"


def post_where_no_position_can_be_kept(ledger: Ledger, engine: Engine, call: CallRecord) -> None:
    positions = engine.rows_of.format("positions")
    with engine.connect() as connection:
        connection.execute(engine.rename.format(positions, "elsewhere"))
        with pytest.raises(LedgerError):
            ledger.post([call], "relay-1", "1")
        connection.execute(engine.rename.format("elsewhere", positions))


def test_a_batch_that_fails_moves_no_position_and_counts_once_when_it_is_posted_again(
    ledger: Ledger, engine: Engine, make_call: MakeCall
) -> None:
    call = make_call(request_body="{}")
    post_where_no_position_can_be_kept(ledger, engine, call)
    assert ledger.position("relay-1") is None
    ledger.post([call], "relay-1", "1")
    assert ledger.position("relay-1") == "1"
    assert ledger.query_sql("SELECT count(*), (SELECT count(*) FROM contents) FROM calls").rows == [[1, 1]]


@pytest.mark.parametrize("engine", TRANSACTIONAL, indirect=True)
def test_a_batch_that_fails_leaves_neither_rows_nor_position(
    ledger: Ledger, engine: Engine, make_call: MakeCall
) -> None:
    post_where_no_position_can_be_kept(ledger, engine, make_call(request_body="{}"))
    assert ledger.calls() == []
    assert ledger.position("relay-1") is None
    assert ledger.query_sql("SELECT count(*) FROM contents").rows == [[0]]


def test_what_was_posted_is_there_after_reopening(engine: Engine, make_call: MakeCall) -> None:
    first = open_ledger(engine.url)
    first.post([make_call(caller="ada")], "relay-1", "9")
    first.close()
    second = open_ledger(engine.url)
    assert [call["caller"] for call in second.calls()] == ["ada"]
    assert second.position("relay-1") == "9"
    second.close()


def test_a_count_that_no_column_can_hold_does_not_hold_up_the_journal(ledger: Ledger, make_call: MakeCall) -> None:
    absurd = make_call(input_tokens=2**70, usage={"prompt_tokens": 2**70})
    assert ledger.post([absurd, make_call()], "relay-1", "2") == 2
    assert ledger.call(absurd.call_id) is not None


@pytest.mark.parametrize("engine", TRANSACTIONAL, indirect=True)
def test_a_reader_in_the_middle_of_reading_does_not_hold_up_posting(
    ledger: Ledger, engine: Engine, make_call: MakeCall
) -> None:
    ledger.post([make_call()], "relay-1", "1")
    count = "SELECT count(*) FROM calls"
    with engine.connect() as reader:
        reader.execute(REPEATABLE[engine.name])
        assert reader.execute(count).fetchone() == (1,)
        # Enough to make DuckDB want a checkpoint, for which it would like to be alone.
        large = "x" * 1_000_000
        for number in range(20):
            ledger.post([make_call(request_body=large)], "relay-1", str(number))
        assert reader.execute(count).fetchone() == (1,)
        reader.execute("COMMIT")
    assert ledger.query_sql(count).rows == [[21]]


@pytest.mark.parametrize("engine", TRANSACTIONAL, indirect=True)
def test_a_batch_under_way_does_not_hold_up_reading(ledger: Ledger, engine: Engine) -> None:
    ledger.post([], "relay-1", "1")
    with engine.connect() as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE positions SET position = '2'")
        assert ledger.position("relay-1") == "1"
        assert ledger.query_sql("SELECT position FROM positions").rows == [["1"]]
        writer.execute("COMMIT")
    assert ledger.position("relay-1") == "2"


def test_many_threads_may_post_and_read_at_once(ledger: Ledger, make_call: MakeCall) -> None:
    batches = [[make_call(caller=f"caller-{n % 4}", total_tokens=1) for n in range(50)] for _ in range(12)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for batch in batches[number::3]:
                ledger.post(batch, f"relay-{number}", str(len(batch)))
                assert sum(row["calls"] for row in ledger.usage(["caller"])) % 50 == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.usage([])[0]["total_tokens"] == 600


def test_what_a_price_needs_is_kept(ledger: Ledger, make_call: MakeCall) -> None:
    said: dict[str, Any] = {
        "requested_service_tier": "auto",
        "service_tier": "priority",
        "served_deployment": "gpt-ptu",
        "session_id": "sess-1",
        "job_id": "batch-1",
        "usage_reason": "cut",
        "cost_reason": "no_cache_write",
        "cache_write_tokens": 1,
        "cached_audio_tokens": 2,
        "cached_image_tokens": 3,
        "input_image_tokens": 4,
        "output_image_tokens": 5,
        "tool_usage": {"web_search": {"num_requests": 3}},
        "tool_calls": {"web_search_call": 3},
    }
    ledger.post([call := make_call(**said)], "relay-1", "1")
    kept = ledger.call(call.call_id)
    assert kept is not None
    assert {name: kept[name] for name in said} == said
    asked = ledger.query_kql(f"calls | project {', '.join(said)}")
    assert dict(zip(asked.columns, asked.rows[0], strict=True)) == said

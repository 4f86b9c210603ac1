"""Queries in a process of their own, over a file that goes on being written."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, open_ledger
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.ledger.duckdb.ledger import DuckDBLedger
from tokenweir.ledger.limits import MOST_QUERIES, Limits, QuerySlots, TooManyQueries
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


def test_a_call_that_was_posted_is_seen_by_the_next_query(ledger: Ledger, make_call: MakeCall) -> None:
    for number in range(3):
        ledger.post([make_call(request_body="{}")], "relay-1", str(number))
        assert ledger.query_sql("SELECT count(*) FROM calls").rows == [[number + 1]]
        assert ledger.query_kql("calls | count").rows == [[number + 1]]
    assert ledger.query_sql("SELECT count(*) FROM contents").rows == [[3]]


@pytest.mark.parametrize("text", ["SELECT sleep_ms(90000)", "SELECT count(*) FROM range(100000) a, range(10000000) b"])
def test_whatever_a_query_does_its_time_ends(strict: Ledger, text: str) -> None:
    with pytest.raises(QueryError, match="longer than 0.2 s"):
        strict.query_sql(text)


def test_what_takes_too_much_memory_harms_nobody_else(ledger: Ledger, make_call: MakeCall) -> None:
    for _ in range(4):
        with pytest.raises(QueryError, match="more memory"):
            ledger.query_sql("SELECT length(repeat('x', 4000000000))")
    assert ledger.post([make_call()], "relay-1", "1") == 1
    assert ledger.query_sql("SELECT count(*) FROM calls").rows == [[1]]


def test_a_file_that_is_held_does_not_change_and_the_log_has_what_comes(
    place: str, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenweir.ledger.duckdb.file._CHECKPOINT_BYTES", 1)
    file = DuckDBFile(place)
    ledger = DuckDBLedger(file)
    ledger.post([make_call() for _ in range(10)], "relay-1", "1")
    with file.held() as length:
        assert length == 0, "the log was written into the file"
        before = _content(place)
        for number in range(20):
            ledger.post([make_call(request_body="x" * 1000) for _ in range(500)], "relay-1", str(number))
        assert _content(place)[: len(before)] == before
        assert Path(f"{place}.wal").stat().st_size > 0
        assert ledger.query_sql("SELECT count(*) FROM calls").rows == [[10_010]]
    ledger.post([make_call()], "relay-1", "21")
    assert not Path(f"{place}.wal").exists() or Path(f"{place}.wal").stat().st_size == 0
    assert ledger.query_sql("SELECT count(*) FROM calls").rows == [[10_011]]
    ledger.close()


def test_while_a_file_is_held_its_log_does_not_grow_for_ever(
    place: str, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenweir.ledger.duckdb.file._MOST_LOG_BYTES", 1)
    file = DuckDBFile(place)
    ledger = DuckDBLedger(file)
    with file.held():
        ledger.post([make_call()], "relay-1", "1")
        with pytest.raises(TooManyQueries):
            ledger.query_sql("SELECT 1")
    assert ledger.query_sql("SELECT 1").rows == [[1]]
    ledger.close()


def test_nothing_is_left_beside_the_ledger(place: str) -> None:
    Path(f"{place}.query-left").mkdir(parents=True)
    ledger = open_ledger(f"duckdb:{place}")
    ledger.query_sql("SELECT 1")
    assert not list(Path(place).parent.glob("*.query-*"))
    ledger.close()


def test_a_path_may_have_any_characters(tmp_path: Path, make_call: MakeCall) -> None:
    ledger = open_ledger(f"duckdb:{tmp_path}/it's [a] büro/le dger.duckdb")
    ledger.post([make_call()], "relay-1", "1")
    assert ledger.query_sql("SELECT count(*) FROM calls").rows == [[1]]
    ledger.close()


def test_beyond_a_short_queue_queries_are_turned_away_at_once() -> None:
    slots = QuerySlots(Limits())
    # As if so many were inside.
    for _ in range(MOST_QUERIES):
        assert slots._admitted.acquire(blocking=False)
    with pytest.raises(TooManyQueries, match="still running"), slots.acquire():
        pass


def _content(place: str) -> bytes:
    """Read by another process: in this one, closing the file would let go of the engine's lock."""
    return subprocess.run(["cat", place], capture_output=True, check=True).stdout

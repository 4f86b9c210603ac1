"""Records that wait in memory for their sinks."""

import pytest

from support.call_records import a_call
from tokenweir.delivery.sources import memory
from tokenweir.delivery.sources.memory import MemoryLog, MemorySource
from tokenweir.errors import JournalError

pytestmark = pytest.mark.anyio


def add(log: MemoryLog, count: int = 1, body: str | None = None) -> None:
    for _ in range(count):
        log.append(a_call(seq=log.next_seq(), request_body=body, response_body=None))


async def seqs(source: MemorySource) -> list[int]:
    batch = await source.read()
    return [record.seq for record in batch.records] if batch else []


async def test_each_sink_reads_all_in_order_and_what_every_sink_has_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_READ_RECORDS", 2)
    log = MemoryLog(2)
    quick, slow = log.sources
    add(log, 3)
    first = await quick.read()
    assert first is not None and [record.seq for record in first.records] == [1, 2]
    await quick.done(first)
    assert await seqs(quick) == [3]
    assert log.close() == 3  # the slow one has none yet

    monkeypatch.setattr(memory, "_READ_RECORDS", 9)
    every = await slow.read()
    assert every is not None and [record.seq for record in every.records] == [1, 2, 3]
    await slow.done(every)
    assert log.close() == 1  # the quick one has not said that it is done with the third


async def test_a_read_is_of_a_megabyte_or_of_one_record_that_is_larger() -> None:
    log = MemoryLog(1)
    add(log, 3, "x" * 3_000_000)
    (source,) = log.sources
    assert [await seqs(source) for _ in range(4)] == [[1], [2], [3], []]


async def test_beyond_half_of_its_memory_no_calls_are_accepted_and_bodies_are_left_out() -> None:
    log = MemoryLog(1, limit=200_000)
    add(log, body="x" * 120_000)
    assert not log.accepts_calls
    add(log, body="x" * 120_000)
    (source,) = log.sources
    batch = await source.read()
    assert batch is not None
    first, second = batch.records
    assert first.request_body is not None
    assert second.request_body is None
    await source.done(batch)
    assert log.accepts_calls


def test_what_finds_no_room_is_lost_loudly(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog(1, limit=10_000)
    with pytest.raises(JournalError, match="no sink takes"):
        add(log, 9)
    assert "is lost" in caplog.text


def test_without_sinks_nothing_is_kept() -> None:
    log = MemoryLog(0, limit=10_000)
    add(log, 100)
    assert log.accepts_calls
    assert log.close() == 0

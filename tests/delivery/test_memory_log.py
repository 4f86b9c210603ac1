"""Records that wait in memory for their sinks."""

import asyncio
from typing import Any

import pytest

from support.call_records import a_call
from tokenweir.delivery.sources import memory
from tokenweir.delivery.sources.memory import MemoryLog, MemorySource
from tokenweir.errors import JournalError, JournalUnavailable
from tokenweir.journal import JournalSettings
from tokenweir.records import Duration

pytestmark = pytest.mark.anyio


def add(log: MemoryLog, count: int = 1, body: str | None = None) -> None:
    for _ in range(count):
        log.append(a_call(seq=log.next_seq(), request_body=body, response_body=None))


def log_of(sinks: int, durability: Any = "shipped", limit: int = memory.MEMORY_LIMIT, **settings: Any) -> MemoryLog:
    return MemoryLog([True] * sinks, JournalSettings(durability=durability, **settings), limit)


async def seqs(source: MemorySource) -> list[int]:
    """What there is now."""
    source.stop()
    batch = await source.read()
    return [record.seq for record in batch.records] if batch else []


async def test_each_sink_reads_all_in_order_and_what_every_sink_has_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_READ_RECORDS", 2)
    log = log_of(2)
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
    log = log_of(1)
    add(log, 3, "x" * 3_000_000)
    (source,) = log.sources
    assert [await seqs(source) for _ in range(4)] == [[1], [2], [3], []]


async def test_beyond_half_of_its_memory_no_calls_are_accepted_and_bodies_are_left_out() -> None:
    log = log_of(1, limit=200_000, on_outage="refuse")
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


@pytest.mark.parametrize("on_outage", ["refuse", "pass"])
async def test_what_finds_no_room_is_lost_loudly_and_counted(on_outage: str, caplog: pytest.LogCaptureFixture) -> None:
    log = log_of(1, limit=10_000, on_outage=on_outage)
    ended: list[int] = []
    if on_outage == "refuse":
        with pytest.raises(JournalError, match="no sink takes"):
            add(log, 9)
    else:
        add(log, 2)
        log.append(a_call(seq=3), lambda: ended.append(3))
        await asyncio.sleep(0)
        assert ended == [3]  # its answer has an end all the same
        assert log.accepts_calls
    assert log.lost == 1
    assert "is lost, 1 by now" in caplog.text


async def test_calls_that_are_refused_for_want_of_room_take_none() -> None:
    log = log_of(1, limit=100_000, on_outage="refuse")
    add(log, body="x" * 60_000)
    for _ in range(3):
        with pytest.raises(JournalError):
            log.append(a_call(seq=log.next_seq(), error_code=JournalUnavailable.code))
    assert log.close() == 1


async def test_an_answer_ends_when_every_sink_has_its_event() -> None:
    log = log_of(2, ship_timeout=Duration(1000))
    ended: list[int] = []
    for seq in (1, 2):
        log.append(a_call(seq=seq), lambda seq=seq: ended.append(seq))  # type: ignore[misc]
    quick, slow = log.sources
    for source in (quick, slow):
        assert ended == []
        batch = await source.read()
        assert batch is not None and batch.has_more  # nobody waits for others to gather
        await source.done(batch)
    assert ended == [1, 2]


async def test_an_answer_waits_only_for_the_sinks_that_hold_ends() -> None:
    log = MemoryLog([False, True], JournalSettings(durability="shipped", ship_timeout=Duration(1000)))
    ended: list[int] = []
    log.append(a_call(seq=1), lambda: ended.append(1))
    batch = await log.sources[1].read()
    assert batch is not None
    await log.sources[1].done(batch)
    assert ended == [1]
    assert log.close() == 1  # the other one has it later


async def test_a_read_waits_until_there_is_something() -> None:
    log = log_of(1)
    (source,) = log.sources
    reading = asyncio.ensure_future(source.read())
    await asyncio.sleep(0)
    add(log)
    batch = await reading
    assert batch is not None and len(batch.records) == 1


async def test_in_batch_durability_events_may_gather() -> None:
    log = log_of(1, "batch")
    add(log)
    batch = await log.sources[0].read()
    assert batch is not None and not batch.has_more


async def test_where_no_call_may_go_unsent_none_is_let_in_while_the_sinks_take_nothing() -> None:
    log = log_of(1, ship_timeout=Duration(0), on_outage="refuse")
    given_up = asyncio.Event()
    log.append(a_call(seq=1), given_up.set)
    assert log.accepts_calls
    await given_up.wait()
    assert not log.accepts_calls
    batch = await log.sources[0].read()
    assert batch is not None
    await log.sources[0].done(batch)
    assert log.accepts_calls


async def test_without_sinks_nothing_is_kept() -> None:
    log = log_of(0, limit=10_000)
    add(log, 100)
    ended = asyncio.Event()
    log.append(a_call(seq=101), ended.set)
    await ended.wait()
    assert log.accepts_calls
    assert log.close() == 0

"""What a relay relies on while the disk is well: order, callbacks, commits, restarts, rotation, status."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from tokenweir.errors import JournalError
from tokenweir.journal import Journal, JournalReader, JournalSettings, read_status
from tokenweir.journal.directory import segment_numbers, segment_path
from tokenweir.journal.segment import VERSION, header
from tokenweir.records import CallRecord, Duration, Size, SystemClock

MakeRecord = Callable[..., CallRecord]
ReadAll = Callable[[Path], list[CallRecord]]


def open_journal(
    directory: Path,
    durability: Literal["batch", "strict"] = "batch",
    commit_interval: float = 0.005,
    segment_size: int = 64 * 1024 * 1024,
) -> Journal:
    settings = JournalSettings(
        durability=durability, commit_interval=Duration(commit_interval), segment_size=Size(segment_size)
    )
    return Journal.open(directory, settings, SystemClock())


async def append_and_wait(journal: Journal, record: CallRecord) -> None:
    durable = asyncio.Event()
    journal.append(record, durable.set)
    await durable.wait()


def test_everything_is_on_disk_after_close(tmp_path: Path, make_record: MakeRecord, read_all: ReadAll) -> None:
    records = [make_record(seq) for seq in range(1, 3001)]
    journal = open_journal(tmp_path, commit_interval=60)
    for record in records:
        journal.append(record)

    assert journal.close() == 0
    assert journal.close() == 0
    assert read_all(tmp_path) == records


@pytest.mark.parametrize("durability", ["batch", "strict"])
def test_callbacks_come_in_order_in_the_loops_thread_when_the_record_can_be_read(
    tmp_path: Path, make_record: MakeRecord, read_all: ReadAll, durability: Literal["batch", "strict"]
) -> None:
    called: list[int] = []
    on_disk: list[int] = []
    threads = set[int]()

    async def run() -> None:
        journal = open_journal(tmp_path, durability)
        done = asyncio.Event()

        def durable(seq: int) -> None:
            called.append(seq)
            threads.add(threading.get_ident())
            if seq % 100 == 0:
                on_disk.append(max(record.seq for record in read_all(tmp_path)))
            if seq == 500:
                done.set()

        for seq in range(1, 501):
            journal.append(make_record(seq), lambda seq=seq: durable(seq))  # type: ignore[misc]
            if seq % 7 == 0:
                await asyncio.sleep(0)
        assert called == sorted(called)
        await done.wait()
        journal.close()

    asyncio.run(run())
    assert called == list(range(1, 501))
    assert threads == {threading.get_ident()}
    assert all(seen >= seq for seen, seq in zip(on_disk, range(100, 501, 100), strict=True))


def test_what_gathers_is_committed_together(tmp_path: Path, make_record: MakeRecord) -> None:
    async def run() -> None:
        journal = open_journal(tmp_path, commit_interval=60)
        for seq in range(1, 1000):
            journal.append(make_record(seq))
        journal.close()

        status = journal.status()
        assert (status.records_written, status.commits) == (999, 1)

    asyncio.run(run())


def test_strict_does_not_wait_for_more(tmp_path: Path, make_record: MakeRecord) -> None:
    async def run() -> None:
        journal = open_journal(tmp_path, "strict", commit_interval=3600)
        for seq in range(1, 6):
            await append_and_wait(journal, make_record(seq))
        journal.close()

        assert journal.status().commits == 5

    asyncio.run(run())


def test_a_callback_that_fails_does_not_keep_others_waiting(
    tmp_path: Path, make_record: MakeRecord, messages: Any
) -> None:
    async def run() -> None:
        journal = open_journal(tmp_path)
        journal.append(make_record(1), lambda: 1 // 0)  # type: ignore[arg-type]
        await append_and_wait(journal, make_record(2))
        journal.close()

    asyncio.run(run())
    [message] = messages.about("has failed")
    assert message.exc_info[0] is ZeroDivisionError


def test_a_loop_that_has_closed_is_left_alone(tmp_path: Path, make_record: MakeRecord, read_all: ReadAll) -> None:
    called: list[int] = []

    async def run() -> Journal:
        journal = open_journal(tmp_path, commit_interval=60)
        for seq in (1, 2):
            journal.append(make_record(seq), partial(called.append, seq))
        return journal

    journal = asyncio.run(run())

    assert journal.close() == 0
    assert [record.seq for record in read_all(tmp_path)] == [1, 2]
    assert called == []


def test_each_run_is_a_replica_of_its_own_that_counts_from_one(
    tmp_path: Path, make_record: MakeRecord, read_all: ReadAll
) -> None:
    replicas = []
    for _ in range(3):
        journal = open_journal(tmp_path / "relay-1")
        replicas.append(journal.replica)
        for _ in range(2):
            journal.append(make_record(journal.next_seq(), replica=journal.replica))
        journal.close()

    assert len(set(replicas)) == 3
    assert all("-relay-1-" in replica for replica in replicas)
    assert [(record.replica, record.seq) for record in read_all(tmp_path / "relay-1")] == [
        (replica, seq) for replica in replicas for seq in (1, 2)
    ]


def test_a_torn_tail_is_cut_when_the_next_run_starts(
    tmp_path: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any
) -> None:
    journal = open_journal(tmp_path)
    journal.append(make_record(1))
    journal.close()
    [segment] = tmp_path.glob("*.twj")
    with open(segment, "ab") as file:
        file.write(b"half a record")

    journal = open_journal(tmp_path)
    journal.append(make_record(2))
    journal.close()

    assert [record.seq for record in read_all(tmp_path)] == [1, 2]
    assert len(messages.about("13 bytes were cut off")) == 1


def test_a_new_segment_is_begun_when_the_last_is_full(
    tmp_path: Path, make_record: MakeRecord, read_all: ReadAll
) -> None:
    async def run() -> None:
        journal = open_journal(tmp_path, "strict", segment_size=1)
        for seq in range(1, 6):
            await append_and_wait(journal, make_record(seq))
        journal.close()

    asyncio.run(run())
    numbers = segment_numbers(tmp_path)
    assert len(numbers) == 5
    assert [record.seq for record in read_all(tmp_path)] == [1, 2, 3, 4, 5]


def test_segments_are_numbered_upwards_even_when_the_clock_goes_back(
    tmp_path: Path, make_record: MakeRecord, read_all: ReadAll
) -> None:
    future = 99_999_999_999_999_999
    journal = open_journal(tmp_path)
    journal.append(make_record(1))
    journal.close()
    [segment] = tmp_path.glob("*.twj")
    segment.rename(tmp_path / f"{future:020d}.twj")

    journal = open_journal(tmp_path)
    journal.append(make_record(2))
    journal.close()

    assert segment_numbers(tmp_path) == [future, future + 1]
    assert [record.seq for record in read_all(tmp_path)] == [1, 2]


def test_a_journal_that_nobody_called_leaves_no_segment(tmp_path: Path) -> None:
    open_journal(tmp_path).close()

    assert segment_numbers(tmp_path) == []
    assert JournalReader(tmp_path).read(1).records == []


def test_a_second_writer_is_refused_and_the_directory_is_free_after_close(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with pytest.raises(JournalError, match="is being written by process"):
        open_journal(tmp_path)
    journal.close()

    open_journal(tmp_path).close()


def test_a_journal_of_a_newer_version_is_left_alone_and_free(tmp_path: Path) -> None:
    newer = header(b"mark", version=VERSION + 1)
    segment_path(tmp_path, 1).write_bytes(newer)

    for _ in range(2):
        with pytest.raises(JournalError, match="use the newer version again"):
            open_journal(tmp_path)
    assert segment_path(tmp_path, 1).read_bytes() == newer


def test_after_close_a_record_is_refused_loudly(tmp_path: Path, make_record: MakeRecord, messages: Any) -> None:
    journal = open_journal(tmp_path)
    journal.close()
    record = make_record(7)

    assert not journal.accepts_calls
    with pytest.raises(JournalError, match=record.call_id):
        journal.append(record)
    assert journal.status().records_lost == 1
    assert len(messages.about(f"call {record.call_id} (seq 7) is lost")) == 1


def test_the_status_file_says_what_the_status_says_and_what_the_owner_wants_seen(
    tmp_path: Path, make_record: MakeRecord, until: Callable[[Callable[[], object]], None]
) -> None:
    journal = open_journal(tmp_path)
    journal.gauges["open_streams"] = 12
    journal.append(make_record(1))

    def is_told() -> bool:
        told = read_status(tmp_path)
        return told is not None and told.records_written == 1 and told.gauges == {"open_streams": 12}

    until(is_told)
    told = read_status(tmp_path)
    assert told is not None
    assert told.running
    assert told.replica == journal.replica
    assert told.bytes_written == journal.status().bytes_written > 0
    assert told.waiting_records == told.waiting_bytes == 0

    journal.close()
    told = read_status(tmp_path)
    assert told is not None
    assert not told.running


def test_a_journal_says_how_it_is(tmp_path: Path, make_record: MakeRecord) -> None:
    journal = open_journal(tmp_path / "relay-1")
    for seq in range(3):
        journal.append(make_record(seq))
    journal.close()

    assert repr(journal) == "<Journal relay-1 [closed, 3 written, 0 waiting]>"


def test_a_place_taken_by_a_file_is_an_error_with_advice(blocked: Path) -> None:
    with pytest.raises(JournalError, match="blocked cannot be used.*a file is in its place"):
        open_journal(blocked)


def test_more_records_than_one_write_takes(tmp_path: Path, make_record: MakeRecord, read_all: ReadAll) -> None:
    record = make_record(1)
    journal = open_journal(tmp_path)
    for _ in itertools.repeat(None, 5000):
        journal.append(record)
    journal.close()

    assert len(read_all(tmp_path)) == 5000
    assert journal.status().commits >= 5

"""Every record that got a number and is not in the journal is noted, and a segment that was cut or removed too."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenweir.journal import (
    Journal,
    JournalReader,
    JournalSettings,
    SeqWatch,
    read_missing,
    remove_passed_segments,
    save_cursor,
)
from tokenweir.journal.directory import segment_numbers, segment_path
from tokenweir.journal.seq_limit import MIN_AHEAD, read_limit
from tokenweir.records import CallRecord, Size, SystemClock

MakeRecord = Callable[..., CallRecord]
CLOCK = SystemClock()


def write(directory: Path, make_record: MakeRecord, count: int, lost: int = 0) -> str:
    """A run that ends by itself; its last ``lost`` numbers are handed out for nothing."""
    journal = Journal.open(directory, JournalSettings(), CLOCK)
    for _ in range(count):
        journal.append(make_record(journal.next_seq(), replica=journal.replica))
    for _ in range(lost):
        journal.next_seq()
    journal.close()
    return journal.replica


def write_one_segment_each(directory: Path, make_record: MakeRecord, count: int, until: Any) -> str:
    journal = Journal.open(directory, JournalSettings(segment_size=Size(1)), CLOCK)
    for seq in range(1, count + 1):
        journal.append(make_record(journal.next_seq(), replica=journal.replica))
        until(lambda seq=seq: journal.status().records_written == seq)
    journal.close()
    return journal.replica


def read_on(directory: Path, position: str | None = None) -> tuple[list[int], str]:
    """As the books do: all that is there, and where it ends."""
    reader, watch, seqs = JournalReader(directory, position), SeqWatch(directory, position, CLOCK), list[int]()
    while True:
        records, position = reader.read(2)
        watch.see_cut(reader.cut_segments)
        if not records:
            return seqs, position
        watch.see(records, position)
        seqs += [record.seq for record in records]


def noted(directory: Path) -> list[tuple[str | None, int, int]]:
    return [(one.replica, one.first, one.last) for one in read_missing(directory)]


def test_runs_that_end_by_themselves_miss_nothing(tmp_path: Path, make_record: MakeRecord, messages: Any) -> None:
    position = None
    for count in (3, 0, 2, 1):
        write(tmp_path, make_record, count)
        _, position = read_on(tmp_path, position)
    read_on(tmp_path)

    assert noted(tmp_path) == []
    assert messages.all == []


def test_numbers_that_were_handed_out_for_nothing_before_a_clean_end_are_noted_exactly(
    tmp_path: Path, make_record: MakeRecord, messages: Any
) -> None:
    replica = write(tmp_path, make_record, 3, lost=2)
    for _ in range(2):
        write(tmp_path, make_record, 1)
        read_on(tmp_path)

    assert noted(tmp_path) == [(replica, 4, 5)]
    [message] = messages.about("records 4 to 5")
    assert message.levelname == "ERROR"


@pytest.mark.parametrize("durability", ["batch", "strict"])
def test_after_a_kill_what_may_be_missing_is_bounded_and_never_less_than_what_is(
    tmp_path: Path, start_appender: Any, make_record: MakeRecord, durability: str
) -> None:
    writer = start_appender(tmp_path, durability=durability, announce=True)
    said = writer.stdout.read(4 * 3000)
    writer.kill()
    said += writer.stdout.read()
    writer.wait()
    handed_out = len(said) // 4
    seqs, _ = read_on(tmp_path)
    limit = read_limit(tmp_path)
    assert limit is not None
    assert not limit.ended
    assert seqs[-1] <= handed_out <= limit.limit

    write(tmp_path, make_record, 1)

    assert noted(tmp_path) == [(limit.replica, seqs[-1] + 1, limit.limit)]


def test_a_relay_without_calls_promises_exactly_what_it_has_handed_out(
    tmp_path: Path, make_record: MakeRecord, until: Any
) -> None:
    def limit() -> int:
        found = read_limit(tmp_path)
        assert found is not None and not found.ended
        return found.limit

    journal = Journal.open(tmp_path, JournalSettings(), CLOCK)
    assert limit() == 0
    for seq in (1, 2):
        journal.append(make_record(journal.next_seq(), replica=journal.replica))
        until(lambda seq=seq: journal.status().records_written == seq)
        assert seq < limit() <= seq + MIN_AHEAD
        until(lambda seq=seq: limit() == seq)
    journal.close()

    ended = read_limit(tmp_path)
    assert ended is not None
    assert (ended.limit, ended.ended) == (2, True)


def test_a_relay_that_is_killed_while_it_has_no_calls_misses_nothing(
    tmp_path: Path, start_appender: Any, make_record: MakeRecord, until: Any
) -> None:
    writer = start_appender(tmp_path, count=3, stay=True)
    assert len(writer.stdout.read(4 * 3)) == 12
    until(lambda: (limit := read_limit(tmp_path)) is not None and limit.limit == 3)
    writer.kill()
    writer.wait()
    seqs, _ = read_on(tmp_path)
    write(tmp_path, make_record, 1)

    assert seqs == [1, 2, 3]
    assert noted(tmp_path) == []


def test_a_segment_that_was_removed_between_two_others_is_noted_once(
    tmp_path: Path, make_record: MakeRecord, until: Any, messages: Any
) -> None:
    replica = write_one_segment_each(tmp_path, make_record, 5, until)
    segment_path(tmp_path, segment_numbers(tmp_path)[2]).unlink()

    for _ in range(2):
        assert read_on(tmp_path)[0] == [1, 2, 4, 5]

    assert noted(tmp_path) == [(replica, 3, 3)]
    assert len(messages.all) == 1


def test_a_segment_that_was_cut_to_nothing_is_noted_with_its_records(
    tmp_path: Path, make_record: MakeRecord, until: Any
) -> None:
    replica = write_one_segment_each(tmp_path, make_record, 4, until)
    number = segment_numbers(tmp_path)[1]
    os.truncate(segment_path(tmp_path, number), 0)

    assert read_on(tmp_path)[0] == [1, 3, 4]

    assert sorted(noted(tmp_path), key=str) == sorted([(None, number, number), (replica, 2, 2)], key=str)


def test_the_last_segment_of_a_run_that_was_cut_before_the_next_run_is_noted(
    tmp_path: Path, make_record: MakeRecord, until: Any
) -> None:
    replica = write_one_segment_each(tmp_path, make_record, 4, until)
    os.truncate(segment_path(tmp_path, segment_numbers(tmp_path)[-1]), 0)

    write(tmp_path, make_record, 1)

    assert noted(tmp_path) == [(replica, 4, 4)]


def test_the_last_segment_of_a_run_that_was_removed_during_the_next_one_is_noted(
    tmp_path: Path, make_record: MakeRecord, until: Any
) -> None:
    replica = write_one_segment_each(tmp_path, make_record, 4, until)
    write(tmp_path, make_record, 2)
    segment_path(tmp_path, segment_numbers(tmp_path)[3]).unlink()

    assert read_on(tmp_path)[0] == [1, 2, 3, 1, 2]

    assert noted(tmp_path) == [(replica, 4, 4)]


def test_a_reader_that_goes_on_knows_what_was_read_before(tmp_path: Path, make_record: MakeRecord, until: Any) -> None:
    replica = write_one_segment_each(tmp_path, make_record, 5, until)
    position = JournalReader(tmp_path).read(2).position
    position = JournalReader(tmp_path, position).read(2).position
    segment_path(tmp_path, segment_numbers(tmp_path)[2]).unlink()

    assert read_on(tmp_path, position)[0] == [4, 5]

    assert noted(tmp_path) == [(replica, 3, 3)]


@pytest.mark.parametrize("size", [None, 0, 30])
def test_a_segment_that_is_gone_or_shorter_than_was_read_of_it_is_noted(
    tmp_path: Path, make_record: MakeRecord, size: int | None
) -> None:
    write(tmp_path, make_record, 3)
    _, position = read_on(tmp_path)
    [number] = segment_numbers(tmp_path)
    path = segment_path(tmp_path, number)
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)

    assert read_on(tmp_path, position)[0] == []

    assert noted(tmp_path) == [(None, number, number)]


def test_records_that_nobody_numbered_are_no_gap(tmp_path: Path, make_record: MakeRecord) -> None:
    journal = Journal.open(tmp_path, JournalSettings(), CLOCK)
    for _ in range(3):
        journal.append(make_record(0))
    journal.close()
    read_on(tmp_path)
    write(tmp_path, make_record, 1)

    assert noted(tmp_path) == []


def test_segments_that_had_been_passed_are_not_missed_by_who_begins_anew(
    tmp_path: Path, make_record: MakeRecord, until: Any
) -> None:
    write_one_segment_each(tmp_path, make_record, 5, until)
    _, position = read_on(tmp_path)
    save_cursor(tmp_path, "ledger", position)
    assert len(remove_passed_segments(tmp_path)) == 4
    write(tmp_path, make_record, 2)

    assert read_on(tmp_path)[0] == [5, 1, 2]

    assert noted(tmp_path) == []

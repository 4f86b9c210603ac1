"""Every record once, in order, from any position, over whatever is damaged, while it is being written."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.errors import JournalError
from tokenweir.journal import JournalReader
from tokenweir.journal.directory import segment_path
from tokenweir.journal.payload import encode
from tokenweir.journal.reader import READ_BYTES
from tokenweir.journal.segment import HEADER_SIZE, frame, header
from tokenweir.records import CallRecord

MakeRecord = Callable[..., CallRecord]

MARKER = b"mark"


def write_segment(directory: Path, number: int, records: list[CallRecord]) -> Path:
    path = segment_path(directory, number)
    path.write_bytes(header(MARKER) + b"".join(frame(encode(record), MARKER) for record in records))
    return path


def read(reader: JournalReader, limit: int = 1000) -> list[int]:
    """The seqs of all that there is to read now."""
    seqs: list[int] = []
    while batch := reader.read(limit).records:
        assert len(batch) <= limit
        seqs += [record.seq for record in batch]
    return seqs


@pytest.fixture
def two_segments(tmp_path: Path, make_record: MakeRecord) -> Path:
    write_segment(tmp_path, 100, [make_record(seq) for seq in (1, 2, 3)])
    write_segment(tmp_path, 200, [make_record(seq) for seq in (4, 5)])
    return tmp_path


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_records_are_read_in_order_across_segments(two_segments: Path, limit: int) -> None:
    assert read(JournalReader(two_segments), limit) == [1, 2, 3, 4, 5]


def test_reading_goes_on_where_it_was_left(two_segments: Path) -> None:
    position: str | None = None
    seqs = []
    while (batch := JournalReader(two_segments, position).read(1)).records:
        position = batch.position
        seqs += [record.seq for record in batch.records]

    assert seqs == [1, 2, 3, 4, 5]
    assert JournalReader(two_segments, position).read(1).position == position


def test_records_equal_those_that_were_written(tmp_path: Path, make_record: MakeRecord) -> None:
    records = [make_record(seq, tags={"n": str(seq)}) for seq in range(5)]
    write_segment(tmp_path, 1, records)

    assert JournalReader(tmp_path).read(10).records == records


def test_an_empty_directory_has_a_position_to_go_on_from(tmp_path: Path, make_record: MakeRecord) -> None:
    records, position = JournalReader(tmp_path).read(10)
    assert records == []

    write_segment(tmp_path, 1, [make_record(1)])
    assert read(JournalReader(tmp_path, position)) == [1]


def test_a_segment_that_was_removed_is_passed(two_segments: Path) -> None:
    position = JournalReader(two_segments).read(3).position
    segment_path(two_segments, 100).unlink()

    assert read(JournalReader(two_segments, position)) == [4, 5]


def test_a_position_behind_what_a_power_cut_left_goes_on_with_the_next_segment(two_segments: Path) -> None:
    position = JournalReader(two_segments).read(3).position
    os.truncate(segment_path(two_segments, 100), HEADER_SIZE)

    reader = JournalReader(two_segments, position)
    assert read(reader) == [4, 5]
    assert reader.damaged_stretches == 0


@settings(max_examples=40)
@given(data=st.data())
def test_a_record_is_read_once_it_is_whole(data: st.DataObject, make_record: MakeRecord) -> None:
    """The newest segment grows by any number of bytes at a time."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        whole = write_segment(directory, 1, [make_record(seq) for seq in range(1, 5)]).read_bytes()
        path = segment_path(directory, 1)
        path.write_bytes(b"")
        reader, seqs, size = JournalReader(directory), list[int](), 0
        while size < len(whole):
            size = min(len(whole), size + data.draw(st.integers(1, 200)))
            path.write_bytes(whole[:size])
            seqs += read(reader, limit=2)

        assert seqs == [1, 2, 3, 4]
        assert reader.damaged_stretches == 0


@settings(max_examples=60)
@given(data=st.data())
def test_with_any_byte_flipped_all_other_records_are_read(data: st.DataObject, make_record: MakeRecord) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = write_segment(directory, 1, [make_record(seq) for seq in range(1, 5)])
        write_segment(directory, 2, [make_record(5)])
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)

        reader = JournalReader(directory)
        seqs = read(reader, limit=2)

        assert seqs[-1] == 5
        assert len(seqs) >= 4
        assert seqs == sorted(set(seqs))
        assert reader.damaged_stretches == 1
        assert reader.damaged_bytes > 0


def test_damage_in_the_newest_segment_is_passed_once_something_good_stands_behind_it(
    tmp_path: Path, make_record: MakeRecord, messages: Any
) -> None:
    path = write_segment(tmp_path, 1, [make_record(1), make_record(2)])
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    reader = JournalReader(tmp_path)
    assert read(reader) == [1]
    assert (reader.damaged_stretches, messages.all) == (0, [])

    path.write_bytes(bytes(damaged) + frame(encode(make_record(3)), MARKER))

    assert read(reader) == [3]
    assert reader.damaged_stretches == 1
    [message] = messages.about("is damaged")
    assert message.levelname == "ERROR"


def test_a_torn_tail_is_reported_when_a_newer_segment_shows_that_it_stays_torn(
    two_segments: Path, make_record: MakeRecord
) -> None:
    path = segment_path(two_segments, 200)
    os.truncate(path, path.stat().st_size - 1)
    reader = JournalReader(two_segments)
    assert read(reader) == [1, 2, 3, 4]
    assert reader.damaged_stretches == 0

    write_segment(two_segments, 300, [make_record(6)])

    assert read(reader) == [6]
    assert reader.damaged_stretches == 1


def test_a_whole_segment_that_cannot_be_read_does_not_stop_the_reader(two_segments: Path) -> None:
    path = segment_path(two_segments, 100)
    path.write_bytes(bytes(path.stat().st_size))
    reader = JournalReader(two_segments)

    assert read(reader) == [4, 5]
    assert reader.damaged_bytes >= path.stat().st_size - HEADER_SIZE


def test_a_record_that_cannot_be_understood_is_reported_and_passed(
    tmp_path: Path, make_record: MakeRecord, messages: Any
) -> None:
    path = segment_path(tmp_path, 1)
    strange = frame(b"\x81\xa7call_id\x01", MARKER)
    path.write_bytes(header(MARKER) + strange + frame(encode(make_record(2)), MARKER) + strange)
    reader = JournalReader(tmp_path)

    assert read(reader, limit=1) == [2]
    assert reader.damaged_stretches == 2
    assert len(messages.about("cannot be understood")) == 2


def test_records_larger_than_a_chunk_are_read(tmp_path: Path, make_record: MakeRecord) -> None:
    body = "x" * (READ_BYTES + 1)
    write_segment(tmp_path, 1, [make_record(1), make_record(2, response_body=body), make_record(3)])

    assert read(JournalReader(tmp_path)) == [1, 2, 3]


def test_a_batch_is_a_chunk_or_one_long_record_so_that_nobody_has_to_hold_a_segment(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    body = "x" * (READ_BYTES // 3)
    write_segment(tmp_path, 1, [make_record(n, response_body=body * (4 if n == 3 else 1)) for n in range(1, 8)])
    reader = JournalReader(tmp_path)

    assert [[one.seq for one in reader.read(100).records] for _ in range(5)] == [[1, 2], [3], [4, 5], [6, 7], []]


def test_a_segment_of_a_newer_version_is_refused_and_not_skipped(two_segments: Path) -> None:
    path = segment_path(two_segments, 100)
    path.write_bytes(header(MARKER, version=99) + path.read_bytes()[HEADER_SIZE:])
    reader = JournalReader(two_segments)

    for _ in range(2):
        with pytest.raises(JournalError, match="format 99"):
            reader.read(10)


def test_a_missing_directory_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"gone cannot be used.*create it, or correct \[journal\] directory"):
        JournalReader(tmp_path / "gone").read(1)


def test_a_position_from_elsewhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="'12' is not a position"):
        JournalReader(tmp_path, "12")


def test_a_reader_says_where_it_is(two_segments: Path) -> None:
    assert repr(JournalReader(two_segments, "42:8192")).endswith("at 00000000000000000042:8192>")


def test_tailing_another_process_gives_each_record_exactly_once(tmp_path: Path, start_appender: Any) -> None:
    """Across rotations, with records of all sizes, while they are written as fast as they can be."""
    directory, count = tmp_path / "relay-1", 10_000
    writer = start_appender(directory, count=count, body=5000, segment_size=300_000)
    writer.stdout.read(4)
    reader, seqs = JournalReader(directory), list[int]()
    while len(seqs) < count:
        seqs += read(reader, limit=50)
    writer.communicate()

    assert seqs == list(range(1, count + 1))
    assert writer.returncode == 0
    assert read(reader) == []
    assert reader.damaged_stretches == 0
    assert len(list(directory.glob("*.twj"))) > 10

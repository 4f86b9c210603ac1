"""Frames come to disk whole or not at all, and a killed writer's torn tail is cut."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.journal.directory import segment_numbers, segment_path
from tokenweir.journal.segment import HEADER_SIZE, frame, scan
from tokenweir.journal.segment_file import SegmentFile, cut_torn_tail

MARKER = b"mark"


def payloads_in(path: Path) -> list[bytes]:
    return scan(path.read_bytes()[HEADER_SIZE:], MARKER, 1_000_000)[0]


def test_frames_are_appended_in_order(tmp_path: Path) -> None:
    segment = SegmentFile.create(tmp_path, 7, MARKER)
    first = segment.write([frame(b"one", MARKER), frame(b"two", MARKER)])
    second = segment.write([frame(b"three", MARKER)])
    segment.close()

    assert (first, second) == ((2, None), (1, None))
    assert payloads_in(segment_path(tmp_path, 7)) == [b"one", b"two", b"three"]


def test_a_segment_is_never_written_over(tmp_path: Path) -> None:
    SegmentFile.create(tmp_path, 7, MARKER).close()

    with pytest.raises(FileExistsError):
        SegmentFile.create(tmp_path, 7, MARKER)


def test_on_a_full_disk_the_frames_that_fit_stay_and_the_next_is_taken_back_whole(small_disk: Path) -> None:
    segment = SegmentFile.create(small_disk, 1, MARKER)
    frames = [frame(bytes([number]) * 300_000, MARKER) for number in range(1, 6)]
    written, error = segment.write(frames)
    segment.abandon()

    assert written == 3
    assert error is not None
    assert os.strerror(error.errno or 0) == "No space left on device"
    assert segment_path(small_disk, 1).read_bytes()[HEADER_SIZE:] == b"".join(frames[:3])


def test_an_abandoned_segment_without_a_record_is_taken_away(tmp_path: Path) -> None:
    SegmentFile.create(tmp_path, 1, MARKER).abandon()

    assert segment_numbers(tmp_path) == []


def test_it_notices_that_its_file_was_removed_or_replaced(tmp_path: Path) -> None:
    segment = SegmentFile.create(tmp_path, 1, MARKER)
    assert segment.is_in_place()

    segment.path.unlink()
    assert not segment.is_in_place()

    segment.path.touch()
    assert not segment.is_in_place()
    segment.close()


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=100), max_size=5), st.data())
def test_a_segment_torn_anywhere_is_cut_behind_its_last_whole_frame(payloads: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        segment = SegmentFile.create(directory, 1, MARKER)
        segment.write([frame(payload, MARKER) for payload in payloads])
        segment.close()
        size = segment.path.stat().st_size
        torn = data.draw(st.integers(0, size))
        os.truncate(segment.path, torn)

        cut = cut_torn_tail(directory)

        assert segment.path.stat().st_size == torn - cut
        left = payloads_in(segment.path)
        assert left == payloads[: len(left)]
        assert torn - cut == (HEADER_SIZE + sum(12 + len(payload) for payload in left) if torn >= HEADER_SIZE else 0)


def test_only_the_newest_segment_is_cut(tmp_path: Path) -> None:
    for number in (1, 2):
        SegmentFile.create(tmp_path, number, MARKER).close()
        with open(segment_path(tmp_path, number), "ab") as file:
            file.write(b"half a frame")

    assert cut_torn_tail(tmp_path) == len(b"half a frame")
    assert segment_path(tmp_path, 1).stat().st_size == HEADER_SIZE + len(b"half a frame")


def test_there_is_nothing_to_cut_in_a_new_directory(tmp_path: Path) -> None:
    assert cut_torn_tail(tmp_path) == 0

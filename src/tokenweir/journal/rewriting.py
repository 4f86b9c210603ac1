"""Segments with other records in them, for those who may no longer be named; positions in such a segment are others."""

import os
from collections.abc import Callable, Container
from pathlib import Path

import msgspec

from ..errors import JournalError, JournalInUse
from ..records import CallRecord, Clock
from .cursors import Position, bytes_behind, cursor_names, cursor_segments, save_cursor
from .directory import WriterLock, segment_numbers, segment_path, unusable, wish_for_segment
from .payload import decode, encode
from .segment import HEADER_AND_MARKER, HEADER_SIZE, frame, header, new_marker, parse_header, payloads_in
from .segment_file import SegmentFile

__all__ = ["ask_for_next_segment", "fixed_segments", "rewritten"]


def ask_for_next_segment(directory: Path, clock: Clock, leave: Container[str] = ()) -> int:
    """Has a new segment begun, so that those before it can be passed: by the relay that writes here or, where none
    does, at once. The cursors of those who have read a journal without a writer to its end are moved behind it, but for
    those to ``leave``, whose owners do that. The number of the last segment with records; 0 if there is none."""
    try:
        numbers = segment_numbers(directory)
        if numbers and segment_path(directory, numbers[-1]).stat().st_size <= HEADER_SIZE:
            return numbers[-2] if len(numbers) > 1 else 0
        if numbers:
            _begin_segment(directory, max(numbers[-1] + 1, int(clock.now().timestamp() * 1_000_000)), leave)
        return numbers[-1] if numbers else 0
    except OSError as error:
        raise unusable(directory, error) from error


def _begin_segment(directory: Path, number: int, leave: Container[str]) -> None:
    lock = WriterLock(directory)
    try:
        lock.hold()
    except JournalInUse:
        wish_for_segment(directory)
        return
    try:
        names = [name for name in cursor_names(directory) if name not in leave]
        done = [name for name in names if not bytes_behind(directory, name)]
        SegmentFile.create(directory, number, new_marker()).close()
        for name in done:
            save_cursor(directory, name, Position(number, HEADER_SIZE).text())
    finally:
        lock.release()


def fixed_segments(directory: Path) -> list[tuple[Path, bool]]:
    """All segments, each with whether it must stay as it is, because somebody stands in it or writes it."""
    try:
        numbers = segment_numbers(directory)
        fixed = {*cursor_segments(directory), *numbers[-1:]}
        return [(segment_path(directory, number), number in fixed) for number in numbers]
    except OSError as error:
        raise unusable(directory, error) from error


def rewritten(segment: Path, change: Callable[[CallRecord], CallRecord | None], target: Path | None) -> int:
    """Writes the segment's records to ``target``, which may be the same, with another one where ``change`` gives one.
    How many these are; with none of them, or without a target, nothing is written. Damaged stretches are left out.

    Raises: `JournalError` where it cannot be read or written.
    """
    try:
        data = segment.read_bytes()
        head = parse_header(data[:HEADER_AND_MARKER])
        records = [decode(payload) for payload in payloads_in(data)]
        changed = [change(record) for record in records]
        count = sum(one is not None for one in changed)
        if count and target is not None and head is not None:
            # All of them anew, as the header says in which version they are.
            frames = [frame(encode(new or old), head.marker) for new, old in zip(changed, records, strict=True)]
            _write(target, b"".join((header(head.marker), *frames)), segment)
        return count
    except (OSError, msgspec.DecodeError) as error:
        raise JournalError(f"the segment {segment} cannot be written anew: {error}") from error


def _write(target: Path, content: bytes, like: Path) -> None:
    """Whole or not at all, with the times of the segment that it was made of."""
    times = like.stat()
    new = target.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.utime(new, (times.st_atime, times.st_mtime))
    new.replace(target)

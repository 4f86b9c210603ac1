"""The consumer's side: records in the order in which they were written, while they are being written.

A frame that is not whole may be one under way, or damage. It is damage for certain once something good stands
behind it, a frame or a newer segment, because a writer never starts the next before the last is whole.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..records import CallRecord, Clock
from .cursors import START, Position, bytes_behind, load_cursor, parse_position
from .directory import segment_numbers, segment_path, unusable
from .payload import decode
from .segment import HEADER_AND_MARKER, HEADER_SIZE, Header, claimed_size, find_frame, parse_header, scan

__all__ = ["Batch", "JournalReader", "oldest_behind"]

_log = logging.getLogger(__name__)

READ_BYTES = 1024 * 1024
"""Bytes read at once: about a thousand records without bodies. A record that is longer is read whole and alone."""


class Batch(NamedTuple):
    """Records, and the position behind them. No records: there are none yet."""

    records: list[CallRecord]
    position: str


class JournalReader:
    """Reads one writer's directory from a position on; None is the oldest segment there is.

    Each record comes exactly once per pass. What is damaged is skipped, logged as an error and counted in
    ``damaged_stretches`` and ``damaged_bytes``; all that is whole behind it is read. Segments that are gone, empty or
    shorter than what was read of them are in ``cut_segments``, with what was found.
    """

    def __init__(
        self, directory: Path, position: str | None = None, wants: Callable[[bytes], bool] | None = None
    ) -> None:
        """``wants``: says of a record as it is written whether it is to be read; the others are passed over."""
        self.directory = directory
        self._wants = wants
        self.damaged_stretches = 0
        self.damaged_bytes = 0
        self.cut_segments: dict[int, str] = {}
        self._position = parse_position(position) if position is not None else START
        self._header: Header | None = None
        self._newer: list[int] = []

    def __repr__(self) -> str:
        return f"<JournalReader {self.directory.name} at {self._position.text()}>"

    def read(self, limit: int = 1000) -> Batch:
        """Up to ``limit`` of the next records, often fewer; only an empty batch says that there are none now.

        JournalError if the directory cannot be read, or was written by a newer version.
        """
        try:
            return self._read(limit)
        except OSError as error:
            raise unusable(self.directory, error) from error

    def _read(self, limit: int) -> Batch:
        while True:
            # Asked before the segment is read: once there is a newer one, this one does not grow any more,
            # and what is read then is all of it.
            if not self._newer:
                self._newer = [n for n in segment_numbers(self.directory) if n > self._position.segment]
            before = self._position
            payloads = self._read_segment(limit, may_grow=not self._newer)
            if self._wants is not None:
                payloads = [payload for payload in payloads if self._wants(payload)]
            records = [record for record in map(self._decode, payloads) if record is not None]
            if records:
                return Batch(records, self._position.text())
            if self._position != before:
                continue
            if not self._newer:
                return Batch([], self._position.text())
            self._position, self._header = Position(self._newer.pop(0), HEADER_SIZE), None

    def _read_segment(self, limit: int, *, may_grow: bool) -> list[bytes]:
        segment, offset = self._position
        try:
            fd = os.open(segment_path(self.directory, segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if segment != START.segment:
                self.cut_segments[segment] = "was removed before it was passed"
            return []
        try:
            size = os.fstat(fd).st_size
            if size < offset and (offset > HEADER_SIZE or not may_grow):
                self.cut_segments[segment] = f"was cut to {size} bytes, and {offset} have been there"
            header = self._header or self._read_header(fd)
            if header is None:
                return []
            chunk = os.pread(fd, READ_BYTES, offset)
            payloads, end = scan(chunk, header.marker, limit)
            if not payloads and (claimed := claimed_size(chunk, header.marker)) > READ_BYTES:
                payloads, end = scan(os.pread(fd, claimed, offset), header.marker, 1)
            if not payloads:
                rest = os.pread(fd, max(0, os.fstat(fd).st_size - offset), offset)
                payloads, end = scan(rest, header.marker, 1)
                if rest and not payloads:
                    end = self._skip(rest, header.marker, may_grow=may_grow)
        finally:
            os.close(fd)
        self._position = Position(segment, offset + end)
        return payloads

    def _read_header(self, fd: int) -> Header | None:
        self._header = parse_header(os.pread(fd, HEADER_AND_MARKER, 0))
        if self._header is not None and self._header.is_damaged:
            self._report_damage(0, HEADER_SIZE)
        return self._header

    def _skip(self, rest: bytes, marker: bytes, *, may_grow: bool) -> int:
        """How many bytes to leave out to come to the next good frame, or to the end of a finished segment."""
        found = find_frame(rest, 0, marker)
        if found is None and may_grow:
            return 0
        size = len(rest) if found is None else found
        self._report_damage(self._position.offset, size)
        return size

    def _report_damage(self, offset: int, size: int) -> None:
        self.damaged_stretches += 1
        self.damaged_bytes += size
        path = segment_path(self.directory, self._position.segment)
        _log.error("%s is damaged: %d bytes at %d cannot be read; a gap in seq shows the loss", path, size, offset)

    def _decode(self, payload: bytes) -> CallRecord | None:
        try:
            return decode(payload)
        except msgspec.DecodeError as error:
            self.damaged_stretches += 1
            self.damaged_bytes += len(payload)
            _log.error("a record before %s cannot be understood: %s", self._position.text(), error)
            return None


def oldest_behind(directory: Path, cursor: str, clock: Clock) -> float:
    """How many seconds ago the oldest call ended that a consumer has not taken care of; 0 if there is none."""
    if not bytes_behind(directory, cursor):
        return 0.0
    records = JournalReader(directory, load_cursor(directory, cursor)).read(1).records
    if not records:
        return 0.0
    age = (clock.now() - records[0].started_at).total_seconds() - records[0].latency_ms / 1000
    return max(0.0, age)

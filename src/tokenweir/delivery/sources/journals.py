"""The journals of all relays as a source: each reader has a cursor of its own in every one of them.

Sinks of one process usually stand at the same place. What one of them has read there, decoded and priced, is kept for
the others until they have taken it, or until four reads of that journal are newer.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...journal import (
    JournalReader,
    begin_cursor,
    bytes_behind,
    journal_directories,
    load_cursor,
    oldest_behind,
    save_cursor,
)
from ...journal.cursors import START, is_in_later_segment, parse_position
from ...records import CallRecord, Clock
from ..base import RecordBatch
from ..pricer import FREE, Pricer

__all__ = ["JournalReads", "JournalsSource"]

# Enough that a round trip costs little, little enough to be held.
_READ_RECORDS = 1_000
# A reader that stops before so many records has most likely stopped at a megabyte, and there is more.
_LARGE_READ_BYTES = 512 * 1024

_READS_KEPT = 4
# A read of this size holds bodies, or one large record: what is saved by sharing it is not worth the memory.
_LARGEST_KEPT_BYTES = 2 * 1024 * 1024


class _JournalRead(NamedTuple):
    records: Sequence[CallRecord]
    position: str
    size: int
    """Bytes in the journal; 0 where a segment was left behind."""


class JournalReads:
    """Reads journals for several sources; from any thread."""

    def __init__(self, price: Pricer = FREE, sharers: int = 1, wants: Callable[[bytes], bool] | None = None) -> None:
        """``sharers``: how many sources read by this. ``wants``: which records, as `JournalReader` has it."""
        self._price = price
        self._wants = wants
        self._sharers = sharers
        self._lock = threading.Lock()
        self._readers: dict[tuple[Path, str], JournalReader] = {}
        self._kept: dict[tuple[Path, str], tuple[_JournalRead, int]] = {}

    def read(self, directory: Path, position: str) -> _JournalRead:
        """The next records behind a position, none if there are none now. `JournalError` if they cannot be read."""
        here = (directory, position)
        with self._lock:
            if here in self._kept:
                read, takers = self._kept.pop(here)
                if takers > 1:
                    self._kept[here] = (read, takers - 1)
                return read
            reader = self._readers.pop(here, None) or JournalReader(directory, position, self._wants)
            batch = reader.read(_READ_RECORDS)
            self._readers[directory, batch.position] = reader
            # Readers that everybody has passed stay behind where a source begins anew.
            while len(self._readers) > 2 * self._sharers * len({directory for directory, _ in self._readers}):
                del self._readers[next(iter(self._readers))]
            before, after = parse_position(position), parse_position(batch.position)
            size = after.offset - before.offset if after.segment == before.segment else 0
            read = _JournalRead([self._price(record) for record in batch.records], batch.position, size)
            if batch.records and self._sharers > 1 and size <= _LARGEST_KEPT_BYTES:
                self._keep(here, read)
            return read

    def _keep(self, here: tuple[Path, str], read: _JournalRead) -> None:
        self._kept[here] = (read, self._sharers - 1)
        of_journal = [one for one in self._kept if one[0] == here[0]]
        for old in of_journal[:-_READS_KEPT]:
            del self._kept[old]


class JournalsSource:
    """All journals of a directory as one `RecordSource`, in turns. Positions are by the journals' names."""

    def __init__(self, root: Path, cursor: str, reads: JournalReads | None = None) -> None:
        """``cursor`` is the name under which the positions are saved in each journal."""
        self._root = root
        self._cursor = cursor
        self._reads = reads or JournalReads()
        self._positions: dict[str, str] = {}
        self._last = ""

    async def read(self) -> RecordBatch | None:
        return await asyncio.to_thread(self._read)

    async def done(self, batch: RecordBatch) -> None:
        await asyncio.to_thread(self._save, batch)

    def stop(self) -> None:
        """Nothing here waits."""

    async def close(self) -> None:
        """Nothing here stays open."""

    def begin(self, directory: Path) -> None:
        """From now on no segment of a journal goes before this source has passed it."""
        begin_cursor(directory, self._cursor)

    def behind_bytes(self) -> int:
        """How much of all journals is not done yet."""
        return sum(bytes_behind(directory, self._cursor) for directory in journal_directories(self._root))

    def oldest_seconds(self, clock: Clock) -> float:
        """How long ago the oldest call ended that is not done yet; 0 if all are."""
        ages = [oldest_behind(directory, self._cursor, clock) for directory in journal_directories(self._root)]
        return max(ages, default=0.0)

    def _read(self) -> RecordBatch | None:
        for directory in self._in_turn():
            name = directory.name
            try:
                before = self._position(directory)
                read = self._reads.read(directory, before)
            except BaseException:
                self._positions.pop(name, None)
                raise
            self._positions[name] = read.position
            if not read.records and is_in_later_segment(read.position, before):
                # What is before it may go, though nothing came since.
                save_cursor(directory, self._cursor, read.position)
            if read.records:
                self._last = name
                has_more = len(read.records) == _READ_RECORDS or read.size == 0 or read.size > _LARGE_READ_BYTES
                return RecordBatch(
                    records=read.records, positions={name: read.position}, partition=name, has_more=has_more
                )
        return None

    def _save(self, batch: RecordBatch) -> None:
        for name, position in batch.positions.items():
            save_cursor(self._root / name, self._cursor, position)

    def _position(self, directory: Path) -> str:
        position = self._positions.get(directory.name)
        if position is None:
            self.begin(directory)
            position = load_cursor(directory, self._cursor) or START.text()
        return position

    def _in_turn(self) -> list[Path]:
        """All journals, the one that was read last at the end: a busy relay does not keep the others waiting."""
        return sorted(journal_directories(self._root), key=lambda directory: (directory.name <= self._last, directory))

"""Stands in for the journal where there is no disk: records wait in memory until every sink has them.

Bounded: beyond half of it bodies are left out. Where nothing may be lost, no new call is let in then, and the other
half is for the endings of those under way. What is in it when the process is killed is lost; so with ``durability =
"shipped"``, the default here, an answer ends when its event has been sent.
"""

import asyncio
import logging
import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import NamedTuple

from ...errors import JournalError, JournalUnavailable
from ...journal import JournalSettings, Trouble
from ...records import CallRecord, TargetStatus, without_contents
from ..base import RecordBatch
from ..held_ends import HeldEnds
from ..pricer import FREE, Pricer

__all__ = ["MemoryLog", "MemorySource"]

_log = logging.getLogger(__name__)

MEMORY_LIMIT = 64 * 1024 * 1024
"""Bytes of records that may wait for the sinks. The smallest Functions instance has 1.5 GB (Flex: 512 MB)."""

# What one read hands to a sink: as much as a journal's reader does.
_READ_BYTES = 1024 * 1024
_READ_RECORDS = 1_000

# What a record without its contents takes in memory, generously; and what each arrival in a trace does.
_BARE_BYTES = 4096
_ARRIVAL_BYTES = 160


class _Waiting(NamedTuple):
    record: CallRecord
    size: int


class MemorySource:
    """What one sink reads: a `RecordSource` that waits. A position is the number of records before it."""

    def __init__(self, log: "MemoryLog") -> None:
        self._log = log
        self._read = 0
        self._news = asyncio.Event()
        self._is_stopping = False
        self.done_until = 0

    async def read(self) -> RecordBatch | None:
        while True:
            self._news.clear()
            records = await asyncio.to_thread(self._log.priced_after, self._read, _READ_RECORDS)
            if records:
                break
            if self._is_stopping:
                return None
            await self._news.wait()
        self._read += len(records)
        # Whoever ships what an answer waits for does not let anything gather.
        is_large = len(records) == _READ_RECORDS or sum(map(_size_of, records)) >= _READ_BYTES
        has_more = is_large or self._log.holds_ends
        return RecordBatch(records=records, positions={"memory": str(self._read)}, has_more=has_more)

    async def done(self, batch: RecordBatch) -> None:
        self.done_until = int(batch.positions["memory"])
        self._log.forget_done()

    def note_news(self) -> None:
        """There is a record more."""
        self._news.set()

    def stop(self) -> None:
        self._is_stopping = True
        self._news.set()

    async def close(self) -> None:
        """Nothing here stays open."""


class MemoryLog:
    """A `Log` and its sinks' sources. Without sinks it keeps nothing."""

    def __init__(
        self,
        awaited: Sequence[bool],
        settings: JournalSettings,
        limit: int = MEMORY_LIMIT,
        price: Pricer = FREE,
        tell: Callable[[CallRecord], None] | None = None,
    ) -> None:
        """``awaited``: for each sink, whether the end of an answer waits for it (`shipped`). ``tell`` hears of each
        record, also of one that is lost."""
        self.replica = f"{socket.gethostname()}-memory-{secrets.token_hex(6)}"
        self.gauges: dict[str, float | int] = {}
        self.troubles: dict[str, Trouble] = {}
        self.targets: list[TargetStatus] = []
        self.upstream_errors: dict[str, dict[str, int]] = {}
        self.sources: Sequence[MemorySource] = [MemorySource(self) for _ in awaited]
        self._awaited = [source for source, holds in zip(self.sources, awaited, strict=True) if holds]
        self.lost = 0
        self._refuses = settings.on_outage == "refuse"
        self._ends = HeldEnds[int](settings.ship_timeout) if settings.durability == "shipped" else None
        self._limit = limit
        self._price = price
        self._tell = tell
        self._lock = threading.Lock()  # sinks read in threads
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._gone = 0
        self._seq = 0
        self._is_open = True

    def __repr__(self) -> str:
        return f"<MemoryLog {self}>"

    def __str__(self) -> str:
        """For a person."""
        return f"{len(self._waiting)} records waiting in {self._bytes} bytes"

    @property
    def holds_ends(self) -> bool:
        """Whether answers wait for what they used to be shipped."""
        return self._ends is not None

    @property
    def accepts_calls(self) -> bool:
        if not self._refuses:
            return self._is_open
        return self._is_open and self._has_room and not (self._ends is not None and self._ends.is_late)

    @property
    def _has_room(self) -> bool:
        return self._bytes <= self._limit // 2

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        """Takes a record. ``on_durable`` is called when every sink has its event, or has let the deadline pass.
        JournalError if it is lost where nothing may be."""
        if self._tell is not None:
            self._tell(record)
        if not self.sources:
            if on_durable is not None:
                asyncio.get_running_loop().call_soon(on_durable)
            return
        if not self._has_room:
            record = without_contents(record)
        size = _size_of(record)
        # Those that are refused for want of room come without end, and would take what is left of it.
        is_needless = record.error_code == JournalUnavailable.code and not self._has_room
        with self._lock:
            fits = self._is_open and self._bytes + size <= self._limit and not is_needless
            if fits:
                self._waiting.append(_Waiting(record, size))
                self._bytes += size
        if not fits:
            self._lose(record, on_durable)
            return
        for source in self.sources:
            source.note_news()
        if on_durable is None:
            return
        if self._ends is not None:
            self._ends.hold(self._gone + len(self._waiting), on_durable)

    def _lose(self, record: CallRecord, on_durable: Callable[[], None] | None) -> None:
        self.lost += 1
        if record.error_code != JournalUnavailable.code:
            _log.error(
                "the record of call %s (seq %d) is lost, %d by now: %s", record.call_id, record.seq, self.lost, self
            )
        if self._refuses:
            raise JournalError(f"the record of call {record.call_id} is lost: no sink takes what waits in memory")
        if on_durable is not None:
            asyncio.get_running_loop().call_soon(on_durable)

    def close(self) -> int:
        self._is_open = False
        return len(self._waiting)

    # --- for the sources ---

    def after(self, position: int, limit: int) -> list[CallRecord]:
        """Up to ``limit`` of the records behind a position, about a megabyte or one that is larger."""
        records: list[CallRecord] = []
        size = 0
        with self._lock:
            for index in range(position - self._gone, len(self._waiting)):
                if len(records) == limit or size >= _READ_BYTES:
                    break
                records.append(self._waiting[index].record)
                size += self._waiting[index].size
        return records

    def priced_after(self, position: int, limit: int) -> list[CallRecord]:
        """The same records, with their cost."""
        return [self._price(record) for record in self.after(position, limit)]

    def forget_done(self) -> None:
        """Lets go of what every sink has."""
        done = min(source.done_until for source in self.sources)
        with self._lock:
            while self._gone < done:
                self._bytes -= self._waiting.popleft().size
                self._gone += 1
        if self._ends is not None:
            self._ends.passed(min(source.done_until for source in self._awaited))


def _size_of(record: CallRecord) -> int:
    size = _BARE_BYTES + getsizeof(record.request_body) + getsizeof(record.response_body)
    return size if record.trace is None else size + _BARE_BYTES + _ARRIVAL_BYTES * len(record.trace.arrivals)

"""Stands in for the journal where there is no disk: records wait in memory until every sink has them.

Bounded like the journal's own memory: beyond half of it no new call is let in and bodies are left out, the other half
is for the endings of those under way. What is in it when the process is killed is lost; a host that ends it in order
gives the sinks a few seconds.
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

from ...errors import JournalError
from ...journal import Trouble
from ...records import CallRecord, without_contents
from ..base import RecordBatch
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
    """What one sink reads: a `RecordSource`. A position is the number of records before it."""

    def __init__(self, log: "MemoryLog") -> None:
        self._log = log
        self._read = 0
        self.done_until = 0

    async def read(self) -> RecordBatch | None:
        records = await asyncio.to_thread(self._log.priced_after, self._read, _READ_RECORDS)
        if not records:
            return None
        self._read += len(records)
        has_more = len(records) == _READ_RECORDS or sum(map(_size_of, records)) >= _READ_BYTES
        return RecordBatch(records=records, positions={"memory": str(self._read)}, has_more=has_more)

    async def done(self, batch: RecordBatch) -> None:
        self.done_until = int(batch.positions["memory"])
        self._log.forget_done()

    def stop(self) -> None:
        """Nothing here waits."""

    async def close(self) -> None:
        """Nothing here stays open."""


class MemoryLog:
    """A `Log` and its sinks' sources. Without sinks it keeps nothing."""

    def __init__(self, sinks: int, limit: int = MEMORY_LIMIT, price: Pricer = FREE) -> None:
        self.replica = f"{socket.gethostname()}-memory-{secrets.token_hex(6)}"
        self.gauges: dict[str, float | int] = {}
        self.troubles: dict[str, Trouble] = {}
        self.upstream_errors: dict[str, dict[str, int]] = {}
        self.sources: Sequence[MemorySource] = [MemorySource(self) for _ in range(sinks)]
        self._limit = limit
        self._price = price
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
    def accepts_calls(self) -> bool:
        return self._is_open and self._bytes <= self._limit // 2

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        """Takes a record; nothing here is durable, so ``on_durable`` is never called. JournalError if it is lost."""
        if not self.sources:
            return
        if not self.accepts_calls:
            record = without_contents(record)
        size = _size_of(record)
        with self._lock:
            fits = self._is_open and self._bytes + size <= self._limit
            if fits:
                self._waiting.append(_Waiting(record, size))
                self._bytes += size
        if not fits:
            _log.error("the record of call %s (seq %d) is lost: %s", record.call_id, record.seq, self)
            raise JournalError(f"the record of call {record.call_id} is lost: no sink takes what waits in memory")

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


def _size_of(record: CallRecord) -> int:
    size = _BARE_BYTES + getsizeof(record.request_body) + getsizeof(record.response_body)
    return size if record.trace is None else size + _BARE_BYTES + _ARRIVAL_BYTES * len(record.trace.arrivals)

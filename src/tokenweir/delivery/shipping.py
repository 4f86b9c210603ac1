"""Ships what the relays wrote to every configured sink: one task a sink, over all journals, in the books process.

A sink that is down, slow or misconfigured holds up its own task and nothing else. What it keeps from being removed is
its part of the journals: each sink has a cursor of its own in every one of them.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..journal import (
    JournalReader,
    begin_cursor,
    bytes_behind,
    journal_directories,
    load_cursor,
    remove_passed_segments,
    save_cursor,
)
from ..records import CallRecord, Clock
from .dead_letters import DeadLetters
from .loop import Shipper, Source
from .pricer import FREE, PricedSource, Pricer
from .sinks import SinkSettings, SinkStatus, dead_letters_path, open_sink

__all__ = ["CURSOR_PREFIX", "JournalsSource", "Shippers", "Shipping", "cursor_of"]

_log = logging.getLogger(__name__)

# What is not sent by then is sent after the next start. The supervisor waits ten seconds for the books.
_LAST_SECONDS = 5.0


CURSOR_PREFIX = "sink-"


def cursor_of(sink: SinkSettings) -> str:
    """What a sink's cursor is called in each journal."""
    return f"{CURSOR_PREFIX}{sink.name}"


class _Records(NamedTuple):
    records: list[CallRecord]
    position: str


class JournalsSource:
    """The journals of all relays as one `Source`, in turns; a position names the journal that it is in."""

    def __init__(self, root: Path, cursor: str) -> None:
        self._root = root
        self._cursor = cursor
        self._readers: dict[str, JournalReader] = {}
        self._last = ""

    def read(self, limit: int) -> _Records:
        for directory in self._in_turn():
            reader = self._reader(directory)
            try:
                batch = reader.read(limit)
            except BaseException:
                del self._readers[directory.name]
                raise
            if batch.records:
                self._last = directory.name
                return _Records(batch.records, f"{directory.name} {batch.position}")
        return _Records([], "")

    def done(self, position: str) -> None:
        name, _, place = position.rpartition(" ")
        save_cursor(self._root / name, self._cursor, place)
        remove_passed_segments(self._root / name)

    def begin(self, directory: Path) -> None:
        begin_cursor(directory, self._cursor)

    def behind_bytes(self) -> int:
        """How much of all journals is not done yet."""
        return sum(bytes_behind(directory, self._cursor) for directory in journal_directories(self._root))

    def _in_turn(self) -> list[Path]:
        """All journals, the one that was read last at the end: a busy relay does not keep the others waiting."""
        return sorted(journal_directories(self._root), key=lambda directory: (directory.name <= self._last, directory))

    def _reader(self, directory: Path) -> JournalReader:
        reader = self._readers.get(directory.name)
        if reader is None:
            self.begin(directory)
            reader = self._readers[directory.name] = JournalReader(directory, load_cursor(directory, self._cursor))
        return reader


class Shippers:
    """The pumps of all sinks. ``start`` in a running loop, ``stop`` at the end; without, nothing is sent."""

    def __init__(
        self,
        sinks: Sequence[SinkSettings],
        sources: Sequence[Source],
        environ: Mapping[str, str],
        clock: Clock,
        price: Pricer = FREE,
    ) -> None:
        """``sources`` has one for each of the ``sinks``."""
        self._shippers = [
            Shipper(
                sink,
                open_sink(sink, environ),
                PricedSource(source, price),
                DeadLetters(dead_letters_path(sink), sink.name, clock),
                clock,
            )
            for sink, source in zip(sinks, sources, strict=True)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(shipper.run(), name=repr(shipper)) for shipper in self._shippers]
        for task in self._tasks:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Sends what there is where that goes quickly; what is left stays where it comes from."""
        if not self._tasks:
            return
        for shipper in self._shippers:
            shipper.stop()
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statuses(self) -> list[SinkStatus]:
        """How each sink is, but for how far it is behind; from any thread."""
        return [shipper.status() for shipper in self._shippers]


class Shipping:
    """All sinks of a gateway, each reading the journals of all its relays."""

    def __init__(
        self,
        root: Path,
        sinks: Sequence[SinkSettings],
        environ: Mapping[str, str],
        clock: Clock,
        price: Pricer = FREE,
    ) -> None:
        self._sources = [JournalsSource(root, cursor_of(sink)) for sink in sinks]
        self._shippers = Shippers(sinks, self._sources, environ, clock, price)

    def begin(self, directory: Path) -> None:
        """Sees to it that no segment of a journal goes before every sink has passed it; from any thread."""
        for source in self._sources:
            source.begin(directory)

    def start(self) -> None:
        """Without it, nothing is sent. In a running loop."""
        self._shippers.start()

    async def stop(self) -> None:
        """Sends what there is where that goes quickly. The rest stays in the journals for the next start."""
        await self._shippers.stop()

    def statuses(self) -> list[SinkStatus]:
        """How each sink is; from any thread."""
        return [
            msgspec.structs.replace(status, behind_bytes=source.behind_bytes())
            for status, source in zip(self._shippers.statuses(), self._sources, strict=True)
        ]


def _report(task: asyncio.Task[None]) -> None:
    """A shipper ends when it is told to. One that fails by a defect of ours loses nothing: its cursor stays."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s has failed (%s) and ships no more until the next start", task.get_name(), type(error).__name__)

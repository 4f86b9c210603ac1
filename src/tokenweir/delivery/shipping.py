"""All configured sinks side by side: one delivery loop each, over the journals of all relays, or over what waits in
memory. A sink that is down, slow or misconfigured holds up its own loop and nothing else.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..records import Clock
from .base import RecordSource
from .dead_letters import DeadEvents, LetterStore
from .letter_files import open_letters
from .loop import GATHER_SECONDS, Delivery
from .outlet import Outlet, SinkStatus
from .pricer import FREE, Pricer
from .sinks import SinkSettings, dead_letters_place
from .sources.journals import JournalReads, JournalsSource

__all__ = ["CURSOR_PREFIX", "Shippers", "Shipping", "cursor_of", "letters_of", "outlet", "status_of"]

_log = logging.getLogger(__name__)

# What is not sent by then is sent after the next start. The supervisor waits ten seconds for the books.
_LAST_SECONDS = 5.0

# How soon a record is looked for that an answer waits for.
_AWAITED_SECONDS = 0.010

CURSOR_PREFIX = "sink-"


def cursor_of(sink: SinkSettings) -> str:
    """What a sink's cursor is called in each journal."""
    return f"{CURSOR_PREFIX}{sink.name}"


def letters_of(sink: SinkSettings, clock: Clock) -> LetterStore:
    """Where the sink's events are that can never be sent. `ConfigError` if that cannot be opened."""
    return open_letters(
        dead_letters_place(sink),
        clock,
        setting=f'[[sinks]] "{sink.name}" dead_letters',
        folder=f"sinks/{sink.name}/",
        client_id=getattr(sink.connection, "client_id", None),
        ca_bundle=getattr(sink.connection, "ca_bundle", None),
    )


def outlet(sink: SinkSettings, environ: Mapping[str, str], clock: Clock) -> Outlet:
    """A sink as a destination, not connected yet."""
    return Outlet(sink, sink.new_sink(environ), DeadEvents(letters_of(sink, clock), sink.name, clock), clock)


def status_of(sink: SinkSettings, destination: Outlet, delivery: Delivery) -> SinkStatus:
    """How a sink is, but for how far it is behind."""
    return SinkStatus(
        name=sink.name,
        kind=sink.kind,
        sent=destination.sent,
        dead=destination.dead,
        retries=delivery.retries,
        last_sent_at=destination.last_sent_at,
        failing_since=delivery.failing_since,
        last_error=delivery.last_error,
    )


class Shippers:
    """The loops of all sinks. ``start`` in a running loop, ``stop`` at the end; without, nothing is sent."""

    def __init__(
        self,
        sinks: Sequence[SinkSettings],
        sources: Sequence[RecordSource],
        environ: Mapping[str, str],
        clock: Clock,
        *,
        is_lasting: bool = True,
        gather: float = GATHER_SECONDS,
    ) -> None:
        """``sources`` has one for each of the ``sinks``. ``is_lasting``: whether their records outlive the process.
        ``gather``: seconds in which records may become more before they are sent."""
        self._sinks = sinks
        self._outlets = [outlet(sink, environ, clock) for sink in sinks]
        self._deliveries = [
            Delivery(f"sink {sink.name}", source, [destination], clock, is_lasting=is_lasting, gather=gather)
            for sink, source, destination in zip(sinks, sources, self._outlets, strict=True)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(delivery.run(), name=repr(delivery)) for delivery in self._deliveries]
        for task in self._tasks:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Sends what there is where that goes quickly; what is left stays where it comes from."""
        if not self._tasks:
            return
        for delivery in self._deliveries:
            delivery.stop()
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statuses(self) -> list[SinkStatus]:
        """How each sink is, but for how far it is behind; from any thread."""
        return [status_of(*one) for one in zip(self._sinks, self._outlets, self._deliveries, strict=True)]


class Shipping:
    """All sinks of a gateway, each reading the journals of all its relays."""

    def __init__(
        self,
        root: Path,
        sinks: Sequence[SinkSettings],
        environ: Mapping[str, str],
        clock: Clock,
        price: Pricer = FREE,
        *,
        is_awaited: bool = False,
    ) -> None:
        """``is_awaited``: answers wait for what they used to be shipped, so nothing gathers."""
        self._clock = clock
        reads = JournalReads(price, len(sinks))
        self._sources = [JournalsSource(root, cursor_of(sink), reads) for sink in sinks]
        gather = _AWAITED_SECONDS if is_awaited else GATHER_SECONDS
        self._shippers = Shippers(sinks, self._sources, environ, clock, gather=gather)

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
            msgspec.structs.replace(
                status,
                behind_bytes=source.behind_bytes(),
                oldest_unsent_seconds=source.oldest_seconds(self._clock),
            )
            for status, source in zip(self._shippers.statuses(), self._sources, strict=True)
        ]


def _report(task: asyncio.Task[None]) -> None:
    """A loop ends when it is told to. One that fails by a defect of ours loses nothing: its cursor stays."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s has failed (%s) and ships no more until the next start", task.get_name(), type(error).__name__)

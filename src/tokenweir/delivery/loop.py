"""The pump behind each sink: reads records, makes events, sends them, and only then moves its cursor.

At least once, in order per key. What the sink does not take now is tried again until it does or the gateway stops;
what it can never take goes to the dead letters. The cursor is saved when everything before it is in one of the two
places, so a run that ends anywhere is resumed by the next with nothing lost and some events sent twice.

Held in memory: one batch of the source, one group of events, and the parts of the record that overflowed it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from ..errors import TokenweirError, place_of
from ..records import CallRecord, Clock
from .dead_letters import DeadLetters
from .errors import Rejected, Throttled
from .sinks.backoff import delay
from .sinks.base import Sink
from .sinks.event import Event
from .sinks.formats.fitting import fit
from .sinks.settings import SinkSettings
from .sinks.status import SinkStatus

__all__ = ["Batch", "Shipper", "Source"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Records read at once, and events sent at once: enough that a round trip costs little, little enough to be held.
_BATCH_RECORDS = 1_000
_GROUP_EVENTS = 1_000
_GROUP_BYTES = 2 * 1024 * 1024

# How long records may gather while there are few of them. Whoever is behind does not wait at all.
_GATHER_SECONDS = 0.5


class Batch(Protocol):
    """Records, and the position behind them. No records: there are none now."""

    @property
    def records(self) -> Sequence[CallRecord]: ...
    @property
    def position(self) -> str: ...


class Source(Protocol):
    """Where records come from, in order. Methods block, are called from a thread, and raise TokenweirError."""

    def read(self, limit: int) -> Batch:
        """Up to ``limit`` of the next records, of a bounded size together."""
        ...

    def done(self, position: str) -> None:
        """Everything before the position is taken care of: the next run may begin there."""
        ...


class _Group(NamedTuple):
    events: list[Event]
    unfit: list[Rejected]


class _Stopped(Exception):
    """Told to stop while something had failed: the next run goes on."""


class Shipper:
    """Ships one source to one sink, which it opens and closes. ``run`` is its whole life."""

    def __init__(
        self,
        settings: SinkSettings,
        sink: Sink,
        source: Source,
        dead_letters: DeadLetters,
        clock: Clock,
        *,
        chance: Callable[[], float] = random.random,
        pause: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """``pause`` waits so many seconds; the default also ends when the shipper is told to stop."""
        # for ever
        self._settings = settings
        self._sink = sink
        self._source = source
        self._dead_letters = dead_letters
        self._clock = clock
        self._chance = chance
        self._pause = pause or self._until_stop
        self._stop = asyncio.Event()
        # while it is open
        self._is_open = False
        # since the start
        self._sent = 0
        self._dead = 0
        self._retries = 0
        self._last_sent_at: datetime | None = None
        self._failing_since: datetime | None = None
        self._last_error: str | None = None

    def __repr__(self) -> str:
        state = f"failing since {self._failing_since:%H:%M:%S}, " if self._failing_since else ""
        return f"<Shipper {self._settings.name} [{state}{self._sent} sent, {self._dead} dead, {self._retries} retries]>"

    def status(self) -> SinkStatus:
        """Of this run; how far it is behind is for others to say."""
        return SinkStatus(
            name=self._settings.name,
            kind=self._settings.kind,
            sent=self._sent,
            dead=self._dead,
            retries=self._retries,
            last_sent_at=self._last_sent_at,
            failing_since=self._failing_since,
            last_error=self._last_error,
        )

    def stop(self) -> None:
        """Sends what there is, as long as the sink takes it at once, and lets ``run`` return."""
        self._stop.set()

    async def run(self) -> None:
        """Ships until told to stop. Errors of the sink, of the source and of our own end nothing."""
        try:
            await self._until_it_works(self._open)
            while True:
                is_behind = await self._ship_batch()
                if is_behind:
                    continue
                if self._stop.is_set():
                    return
                await self._pause(_GATHER_SECONDS)
        except _Stopped:
            _log.warning("sink %s: stopped while it was failing; the next start goes on from here", self._settings.name)
        finally:
            await self._sink.close()

    async def _ship_batch(self) -> bool:
        """Whether there is most likely more."""
        batch = await self._until_it_works(lambda: asyncio.to_thread(self._source.read, _BATCH_RECORDS))
        if not batch.records:
            return False
        size = 0
        groups = self._groups(batch.records)
        while (group := await asyncio.to_thread(next, groups, None)) is not None:
            size += sum(len(event.body) for event in group.events)
            await self._deliver(group)
        await self._until_it_works(lambda: asyncio.to_thread(self._source.done, batch.position))
        return self._stop.is_set() or len(batch.records) == _BATCH_RECORDS or size > _GROUP_BYTES // 4

    # --- records into events ---

    def _groups(self, records: Sequence[CallRecord]) -> Iterator[_Group]:
        """The events of all records, a bounded number of bytes at a time."""
        group, size = _Group([], []), 0
        for record in records:
            try:
                events = fit(record, self._settings, self._sink.max_event_size)
            except Rejected as rejected:
                group.unfit.append(rejected)
                continue
            group.events.extend(events)
            size += sum(event.size for event in events)
            if size >= _GROUP_BYTES or len(group.events) >= _GROUP_EVENTS:
                yield group
                group, size = _Group([], []), 0
        if group.events or group.unfit:
            yield group

    # --- events out ---

    async def _deliver(self, group: _Group) -> None:
        rejections = list(group.unfit)
        sent = len(group.events)
        if group.events:
            try:
                await self._until_it_works(lambda: self._send(group.events))
            except Rejected as rejected:
                rejections.append(rejected)
                sent -= len(rejected.events)
        for rejection in rejections:
            await self._bury(rejection)
        if sent:
            self._sent += sent
            self._last_sent_at = self._clock.now()

    async def _send(self, events: Sequence[Event]) -> None:
        await self._open()
        try:
            await self._sink.send(events)
        except (Rejected, Throttled):
            raise
        except BaseException:
            self._is_open = False
            raise

    async def _open(self) -> None:
        if not self._is_open:
            await self._sink.open()
            self._is_open = True

    async def _bury(self, rejected: Rejected) -> None:
        await self._until_it_works(lambda: asyncio.to_thread(self._dead_letters.bury, rejected))
        self._dead += len(rejected.events)
        _log.error(
            "sink %s: %d events can never be sent and are in %s: %s",
            self._settings.name,
            len(rejected.events),
            self._dead_letters.path,
            rejected.reason,
        )

    # --- patience ---

    async def _until_it_works(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries again and again, with pauses that grow. Only `Rejected` passes."""
        failures = 0
        while True:
            try:
                result = await attempt()
            except Rejected:
                self._note_success()
                raise
            except Exception as error:
                failures += 1
                self._note_failure(error)
                if self._stop.is_set():
                    raise _Stopped from error
                await self._pause(delay(failures, error, self._chance()))
                if self._stop.is_set():
                    raise _Stopped from error
                self._retries += 1
            else:
                self._note_success()
                return result

    def _note_failure(self, error: Exception) -> None:
        # Texts of our own errors are made for people. Those of others may quote keys and prompts.
        said = str(error) if isinstance(error, TokenweirError) else f"unexpected {place_of(error)}"
        if self._failing_since is None or said != self._last_error:
            _log.warning("sink %s: %s; it is tried again, the journal keeps everything", self._settings.name, said)
        self._failing_since = self._failing_since or self._clock.now()
        self._last_error = said

    def _note_success(self) -> None:
        if self._failing_since is not None:
            _log.info("sink %s: works again", self._settings.name)
            self._failing_since = None

    async def _until_stop(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

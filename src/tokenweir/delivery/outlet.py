"""A sink as the destination of a delivery loop: records become events that fit, are sent, or go to the dead letters."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ..errors import place_of
from ..records import CallRecord, Clock, flat
from .base import AttemptPolicy, RecordBatch, Rejected, Throttled
from .dead_letters import DeadEvents
from .large_events import open_large_events
from .sinks import JsonEvent, Sink, SinkEvent, SinkSettings, sink_filter

__all__ = ["Outlet", "SinkStatus"]

_log = logging.getLogger(__name__)

# Events sent at once: enough that a round trip costs little, little enough to be held.
_GROUP_EVENTS = 1_000
_GROUP_BYTES = 2 * 1024 * 1024


class SinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a sink is doing. Counts are of events since the start of this run; a call that was split has several."""

    name: str
    kind: str
    sent: int = 0
    """Events that the other side has confirmed."""
    dead: int = 0
    """Events that can never be sent and are in the dead letters."""
    retries: int = 0
    """Times that something had to be tried again."""
    behind_bytes: int = 0
    """How much of the journals is not sent yet."""
    oldest_unsent_seconds: float = 0.0
    """How long ago the oldest call ended that is not sent yet; 0 if all are."""
    last_sent_at: datetime | None = None
    failing_since: datetime | None = None
    """Since when nothing could be sent; ``None`` while all is well."""
    last_error: str | None = None
    """The latest reason why something could not be sent; kept after it has recovered."""


class _Group(NamedTuple):
    events: list[SinkEvent]
    unfit: list[Rejected]


class Outlet:
    """A `Destination` that is a sink, opened when it is needed and again after it has failed."""

    def __init__(self, settings: SinkSettings, sink: Sink[Any], dead_events: DeadEvents, clock: Clock) -> None:
        """`ConfigError` where the place for large events cannot be one."""
        self._settings = settings
        self._large_events = open_large_events(settings.large_events)
        self._fit = settings.connection.events.fit
        self._wants = sink_filter(settings)
        self._sink = sink
        self._dead_events = dead_events
        self._clock = clock
        # while it is open
        self._is_open = False
        # since the start
        self.sent = 0
        self.dead = 0
        self.last_sent_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<Outlet {self._settings.name} [{self.sent} sent, {self.dead} dead]>"

    async def open(self) -> None:
        if not self._is_open:
            await self._sink.open()
            self._is_open = True

    async def deliver(self, batch: RecordBatch, attempt: AttemptPolicy) -> None:
        records = [record for record in batch.records if self._wants(record)]
        if not records:
            return
        await attempt(self.open)
        groups = self._groups(records)
        while (group := await asyncio.to_thread(next, groups, None)) is not None:
            await self._deliver_group(group, attempt)

    async def set_aside(self, batch: RecordBatch, reason: str) -> None:
        """All events of a batch go to the dead letters. `DeliveryError` if those take nothing either."""
        for group in self._groups(batch.records):
            await self._keep(group)
            for rejection in (*group.unfit, Rejected(reason, group.events)):
                await asyncio.to_thread(self._dead_events.bury, rejection)
                self.dead += len(rejection.events)

    async def deliver_events(self, events: Sequence[SinkEvent], attempt: AttemptPolicy) -> None:
        """Events that were made before: they are with the other side, or among the dead letters again."""
        await attempt(self.open)
        await self._deliver_group(_Group(list(events), []), attempt)

    async def close(self) -> None:
        self._is_open = False
        await self._sink.close()
        await asyncio.to_thread(self._dead_events.close)
        if self._large_events is not None:
            await asyncio.to_thread(self._large_events.close)

    def _groups(self, records: Sequence[CallRecord]) -> Iterator[_Group]:
        """The events of all records, a bounded number of bytes at a time."""
        group, size = _Group([], []), 0
        for record in records:
            try:
                events = self._fit(record, self._settings, self._sink.max_event_size)
            except Rejected as rejected:
                group.unfit.append(rejected)
                continue
            except Exception as error:  # a defect of ours, in one record: it must not hold up all others
                group.unfit.append(self._defective(record, error))
                continue
            group.events.extend(events)
            for event in events:
                size += event.size
            if size >= _GROUP_BYTES or len(group.events) >= _GROUP_EVENTS:
                yield group
                group, size = _Group([], []), 0
        if group.events or group.unfit:
            yield group

    def _defective(self, record: CallRecord, error: Exception) -> Rejected:
        reason = f"no event could be made of it: {place_of(error)}"
        _log.error("sink %s: call %s: %s", self._settings.name, record.call_id, reason)
        try:
            body = msgspec.json.encode(flat(record))
        except Exception:
            body = repr(record).encode(errors="replace")
        return Rejected(reason, [JsonEvent(body=body, call_id=record.call_id, properties={})])

    async def _deliver_group(self, group: _Group, attempt: AttemptPolicy) -> None:
        rejections = list(group.unfit)
        sent = len(group.events)
        if group.events:
            await attempt(lambda: self._keep(group))
            try:
                await attempt(lambda: self._send(group.events))
            except Rejected as rejected:
                rejections.append(rejected)
                sent -= len(rejected.events)
        for rejection in rejections:
            await attempt(lambda: asyncio.to_thread(self._dead_events.bury, rejection))  # noqa: B023  awaited here
            self.dead += len(rejection.events)
        if sent:
            self.sent += sent
            self.last_sent_at = self._clock.now()

    async def _keep(self, group: _Group) -> None:
        """What its events only point to."""
        if self._large_events is not None:
            large = [event.whole for event in group.events if isinstance(event, JsonEvent) and event.whole is not None]
            await asyncio.to_thread(self._large_events.put, large)

    async def _send(self, events: Sequence[SinkEvent]) -> None:
        await self.open()
        try:
            await self._sink.send(events)
        except (Rejected, Throttled):
            raise
        except BaseException:
            self._is_open = False
            raise

"""The meter inside a host that receives messages by itself and hands them over in batches, as Azure Functions does.

The host keeps the positions: a batch for which `take` raises comes again. So nothing is lost, and what was sent before
it failed is sent a second time; events have the call's id, by which that is noticed.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..config import Config, load
from ..config.insights_variables import sink_from_insights_variables
from ..delivery import DeadLetters as UnsendableEvents
from ..delivery.pricer import Pricer
from ..delivery.sinks import (
    Rejected,
    Sink,
    SinkSettings,
    dead_letters_path,
    fit,
    open_sink,
)
from ..delivery.sources import Batch, DeadLetters, Inbox, Message, open_dead_letters
from ..errors import ConfigError
from ..records import CallRecord, Clock, SystemClock
from .consuming import format_of
from .hosted import with_dead_letters

__all__ = ["HostedMeter"]

_log = logging.getLogger(__name__)


class HostedMeter:
    """Messages in, events out to every sink. Made at the first batch, and open until the process ends."""

    def __init__(self, configuration: Callable[[], Config] | None = None, *, clock: Clock | None = None) -> None:
        self._configuration = configuration or _from_environment
        self._clock = clock or SystemClock()
        self._parts: _Parts | None = None
        self._turn = asyncio.Lock()

    async def take(self, source: str, messages: Sequence[Message]) -> None:
        """Each message is with every sink, or among the dead letters, when this returns. ``source`` is for people who
        look for a message. `ConfigError`, `SinkError`, `SourceError` or OSError if the batch has to come again."""
        async with self._turn:  # one task uses a sink
            parts = self._parts = self._parts or _Parts(self._configuration(), self._clock)
            await parts.take(Batch(source=source, position="", messages=list(messages)))

    async def close(self) -> None:
        """Lets go of everything that is open."""
        async with self._turn:
            parts, self._parts = self._parts, None
            if parts is not None:
                await parts.close()


class _Parts:
    """What a configuration comes to."""

    def __init__(self, config: Config, clock: Clock) -> None:
        if not config.sinks:
            raise ConfigError(
                "there are no sinks to send to; set APPLICATIONINSIGHTS_CONNECTION_STRING, or configure one"
            )
        self._format = format_of(config)
        self._price = Pricer(config.prices)
        self._dead_letters: DeadLetters = open_dead_letters(config.intake, clock)
        self._outlets = [_Outlet(with_dead_letters(settings), clock) for settings in config.sinks]

    async def take(self, batch: Batch) -> None:
        # A host gives no way to hold back a message until its other parts come; API Management's have none.
        taken = await asyncio.to_thread(Inbox(self._format).take, batch)
        records = [self._price(record) for record in taken.records]
        for outlet in self._outlets:
            await outlet.send(records)
        await asyncio.to_thread(self._dead_letters.bury, taken.dead)
        for letter in taken.dead:
            _log.error(
                "%s, %s is kept in %s: %s", letter.source, letter.message.place, self._dead_letters.where, letter.reason
            )
        _log.info("%d records sent, %d dead letters", len(records), len(taken.dead))

    async def close(self) -> None:
        for outlet in self._outlets:
            await outlet.close()
        self._dead_letters.close()


class _Outlet:
    """One sink, opened when it is needed and again after it has failed."""

    def __init__(self, settings: SinkSettings, clock: Clock) -> None:
        self._settings = settings
        self._sink: Sink = open_sink(settings, os.environ)
        self._unsendable = UnsendableEvents(dead_letters_path(settings), settings.name, clock)
        self._is_open = False

    async def send(self, records: Sequence[CallRecord]) -> None:
        if not records:
            return
        if not self._is_open:
            await self._sink.open()
            self._is_open = True
        events = []
        for record in records:
            try:
                events += fit(record, self._settings, self._sink.max_event_size)
            except Rejected as rejected:
                await self._bury(rejected)
        try:
            if events:
                await self._sink.send(events)
        except Rejected as rejected:
            await self._bury(rejected)
        except BaseException:
            self._is_open = False
            raise

    async def close(self) -> None:
        await self._sink.close()

    async def _bury(self, rejected: Rejected) -> None:
        await asyncio.to_thread(self._unsendable.bury, rejected)
        _log.error(
            "sink %s: %d events can never be sent and are in %s: %s",
            self._settings.name,
            len(rejected.events),
            self._unsendable.path,
            rejected.reason,
        )


def _from_environment() -> Config:
    """TOKENWEIR_CONFIG and the variables, as everywhere; what is metered is API Management's events, and without a sink
    they go to the Application Insights of the function app."""
    path = os.environ.get("TOKENWEIR_CONFIG")
    config = load(Path(path) if path else None, os.environ, checked=False).config
    if not config.sinks and (sink := sink_from_insights_variables(os.environ)):
        config = msgspec.structs.replace(config, sinks=[sink])
    return msgspec.structs.replace(config, intake=msgspec.structs.replace(config.intake, format="apim"))

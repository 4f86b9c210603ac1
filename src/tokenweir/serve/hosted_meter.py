"""The meter inside a host that receives messages by itself and hands them over in batches, as Azure Functions does.

The host keeps the positions: a batch for which `take` raises comes again. So nothing is lost, and what was sent before
it failed is not sent a second time, as long as this process lives; events have the call's id, by which a second one is
noticed. A hub keeps messages for some days
only: what waited for half a day goes to the dead letters, where these are in blob storage, to be sent by a command.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from ..config import Config, load, pricer_of
from ..config.sink_variables import sink_from_insights_variables
from ..delivery import BrokerMessage, DeliveryError, MessageBatch, Outlet, RecordBatch, once
from ..delivery.dead_letters import bury
from ..delivery.shipping import outlet
from ..delivery.sinks import SinkSettings, chooses_dead_letters
from ..delivery.sources import Reassembler, open_dead_messages, records_of
from ..errors import ConfigError
from ..records import Clock, SystemClock
from .asgi_app import with_dead_letters
from .consuming import format_of

__all__ = ["HostedMeter"]

_log = logging.getLogger(__name__)


# A key that is new tells whose a call was, and lets nobody in: that is API Management's part.
_KEYS_SECONDS = 60.0

# An event hub keeps messages for a day at least.
_LONGEST_WAIT = timedelta(hours=12)


class HostedMeter:
    """Messages in, events out to every sink. Made at the first batch, and open until the process ends."""

    def __init__(self, configuration: Callable[[], Config] | None = None, *, clock: Clock | None = None) -> None:
        self._configuration = configuration or _from_environment
        self._clock = clock or SystemClock()
        self._meter: _Meter | None = None
        self._turn = asyncio.Lock()

    async def take(self, source: str, messages: Sequence[BrokerMessage]) -> None:
        """Each message is with every sink, or among the dead letters, when this returns. ``source`` is for people who
        look for a message. `ConfigError` or `DeliveryError` if the batch has to come again."""
        async with self._turn:  # one task uses a sink
            meter = self._meter = self._meter or _Meter(self._configuration(), self._clock)
            await meter.take(MessageBatch(partition=source, position="", messages=list(messages)))

    async def close(self) -> None:
        """Lets go of everything that is open."""
        async with self._turn:
            meter, self._meter = self._meter, None
            if meter is not None:
                await meter.close()


class _Meter:
    """What a configuration comes to: one pass of the delivery loop for each batch, which the host repeats."""

    def __init__(self, config: Config, clock: Clock) -> None:
        if not config.sinks:
            raise ConfigError(
                "there are no sinks to send to; set APPLICATIONINSIGHTS_CONNECTION_STRING, or configure one"
            )
        self._config = config
        self._format = format_of(config)
        self._keys_read_at = clock.monotonic()
        self._price = pricer_of(config)
        self._dead_messages = open_dead_messages(config.intake, clock)
        self._clock = clock
        container = config.intake.dead_letters if "://" in config.intake.dead_letters else None
        self._is_durable = container is not None
        self._outlets = [outlet(_placed(settings, container), os.environ, clock) for settings in config.sinks]
        # What each has of batches that have to come again for another's sake.
        self._has: list[set[str]] = [set() for _ in self._outlets]

    async def take(self, messages: MessageBatch) -> None:
        if self._config.server.shared_keys is not None:
            await asyncio.to_thread(self._read_keys_again)
        # A host gives no way to hold back a message until its other parts come; API Management's LLM log has some.
        parts = Reassembler(self._format, most_held_bytes=0)
        batch = await asyncio.to_thread(records_of, messages, parts, self._price)
        calls = {record.call_id for record in batch.records}
        for destination, has in zip(self._outlets, self._has, strict=True):
            new = [record for record in batch.records if record.call_id not in has]
            await self._deliver(destination, msgspec.structs.replace(batch, records=new))
            has |= calls
        await asyncio.to_thread(bury, batch.dead, self._dead_messages)
        for has in self._has:
            has -= calls
        _log.info("%d records sent, %d dead letters", len(batch.records), len(batch.dead))

    def _read_keys_again(self) -> None:
        """Shared ones, now and then. While they do not answer, those that were read last are known."""
        if self._clock.monotonic() - self._keys_read_at < _KEYS_SECONDS:
            return
        self._keys_read_at = self._clock.monotonic()
        try:
            self._format = format_of(self._config)
        except ConfigError as error:
            _log.warning("%s; calls are counted by the keys that were read before", error)

    async def _deliver(self, destination: Outlet, batch: RecordBatch) -> None:
        try:
            await destination.deliver(batch, once)
        except DeliveryError as error:
            if not self._waits_too_long(batch):
                raise
            # The whole batch: of what went through before it failed, nobody else has a note.
            await destination.set_aside(batch, f"it could not be sent for {_LONGEST_WAIT}: {error}")

    def _waits_too_long(self, batch: RecordBatch) -> bool:
        """Whether the host may lose the batch, if it keeps it longer, and there is a place that loses nothing."""
        oldest = min((record.started_at for record in batch.records), default=self._clock.now())
        return self._is_durable and self._clock.now() - oldest > _LONGEST_WAIT

    async def close(self) -> None:
        for destination in self._outlets:
            await destination.close()
        self._dead_messages.close()


def _placed(sink: SinkSettings, container: str | None) -> SinkSettings:
    """Where nothing else was chosen, what a sink cannot send is in the container of what could not be read."""
    if container is None or chooses_dead_letters(sink):
        return with_dead_letters(sink)
    return msgspec.structs.replace(sink, dead_letters=container)


def _from_environment() -> Config:
    """TOKENWEIR_CONFIG and the variables, as everywhere; what is metered is API Management's events, and without a sink
    they go to the Application Insights of the function app."""
    path = os.environ.get("TOKENWEIR_CONFIG")
    config = load(Path(path) if path else None, os.environ, checked=False).config
    if not config.sinks and (sink := sink_from_insights_variables(os.environ)):
        config = msgspec.structs.replace(config, sinks=[sink])
    return msgspec.structs.replace(config, intake=msgspec.structs.replace(config.intake, format="apim"))

"""Events to an Azure Event Hub, through the official SDK.

The events of a key go to one partition of the hub, chosen by us and not by the service, because then a batch may hold
the events of many keys: large batches, and still in order. Partitions are sent to side by side.
"""

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ..errors import Denied, Rejected, SinkError, Throttled, Unavailable
from ..event_hubs import Connected, HubAddress, connect, explain
from .event import Event
from .settings import ConnectionSettings

if TYPE_CHECKING:
    from azure.eventhub import EventData, EventDataBatch
    from azure.eventhub.aio import EventHubProducerClient

__all__ = ["EventHubsSink"]

# What a message of several events needs around all of them.
_AROUND_BATCH = 64
# The service's own texts ask for as much.
_BUSY_SECONDS = 4.0


class EventHubsSink:
    """See `Sink`. An event without a key goes by its call, so that the parts of one stay together."""

    def __init__(self, connection: ConnectionSettings, environ: Mapping[str, str]) -> None:
        self._settings = connection
        self._environ = environ
        self._address = HubAddress()
        # while it is open
        self._hub: Connected[EventHubProducerClient] | None = None
        self._partitions: list[str] = []
        self._limit = 0

    def __repr__(self) -> str:
        return f"<EventHubsSink to {self._address}, {len(self._partitions)} partitions>"

    @property
    def max_event_size(self) -> int:
        return self._limit

    async def open(self) -> None:
        await self.close()
        try:
            from azure.eventhub.aio import EventHubProducerClient
        except ImportError as error:
            raise Denied("a sink to Event Hubs needs more packages: pip install 'tokenweir[azure]'") from error
        try:
            self._address = self._find_address()
            self._hub = connect(EventHubProducerClient, self._address)
        except ConfigError as error:
            raise Denied(str(error)) from error
        client = self._hub.client
        try:
            async with asyncio.timeout(self._settings.timeout):
                self._partitions = await client.get_partition_ids()
                self._limit = (await client.create_batch()).max_size_in_bytes - _AROUND_BATCH
        except Exception as error:
            ours = self._as_ours(error)
            # What a hub does not take while nothing is sent yet is no event.
            raise (Denied(ours.reason) if isinstance(ours, Rejected) else ours) from error

    async def send(self, events: Sequence[Event]) -> None:
        lanes: dict[str, list[Event]] = {}
        for event in events:
            lanes.setdefault(self._partition_of(event), []).append(event)
        sending = [self._send_in_order(partition, lane) for partition, lane in lanes.items()]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        failures = [one for one in outcomes if isinstance(one, BaseException)]
        if failures:
            # Whoever is only throttled is not opened anew, so that error comes last.
            raise min(failures, key=lambda one: isinstance(one, Throttled))
        unfit = [event for one in outcomes if not isinstance(one, BaseException) for event in one]
        if unfit:
            raise Rejected(f"{self._address} does not take it, or takes at most {self._limit} bytes", unfit)

    async def close(self) -> None:
        hub, self._hub = self._hub, None
        if hub is not None:
            await hub.close()

    def _find_address(self) -> HubAddress:
        connection = self._settings
        if connection.connection_string_env is None:
            text = None
        elif not (text := self._environ.get(connection.connection_string_env)):
            raise ConfigError(
                f"the environment variable {connection.connection_string_env} is not set; "
                "set it to the connection string of the Event Hubs namespace"
            )
        return HubAddress(
            connection_string=text,
            namespace=connection.namespace,
            hub=connection.hub,
            client_id=connection.client_id,
            ca_bundle=connection.ca_bundle,
            endpoint=connection.endpoint,
            websockets=connection.websockets,
        )

    def _partition_of(self, event: Event) -> str:
        return self._partitions[zlib.crc32((event.key or event.call_id).encode()) % len(self._partitions)]

    async def _send_in_order(self, partition: str, events: Sequence[Event]) -> list[Event]:
        """In as few messages as they fit into. Returns those that can never be sent."""
        unfit: list[Event] = []
        waiting = list(events)
        while waiting:
            batch = await self._client.create_batch(partition_id=partition)
            count = _fill(batch, waiting)
            if count:
                unfit += await self._send_batch(partition, batch, waiting[:count])
            else:
                unfit.append(waiting[0])
            del waiting[: count or 1]
        return unfit

    async def _send_batch(self, partition: str, batch: "EventDataBatch", events: list[Event]) -> list[Event]:
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._client.send_batch(batch)
        except Exception as error:
            ours = self._as_ours(error)
            if not isinstance(ours, Rejected):
                raise ours from error
            if len(events) == 1:
                return events
            # One of them is to blame: each half by itself, until it is found.
            half = len(events) // 2
            unfit = await self._send_in_order(partition, events[:half])
            return unfit + await self._send_in_order(partition, events[half:])
        return []

    @property
    def _client(self) -> "EventHubProducerClient":
        if self._hub is None:
            raise Unavailable("the sink is not open")
        return self._hub.client

    def _as_ours(self, error: Exception) -> SinkError:
        trouble = explain(error, self._address, "Send")
        match trouble.kind:
            case "unavailable":
                return Unavailable(trouble.text)
            case "throttled":
                return Throttled(trouble.text, _BUSY_SECONDS)
            case "denied":
                return Denied(trouble.text)
            case "unfit":
                return Rejected(trouble.text, ())


def _fill(batch: "EventDataBatch", events: Sequence[Event]) -> int:
    """Puts the first events into a batch, as many as fit."""
    for event in events:
        try:
            batch.add(_as_event_data(event))
        except ValueError:  # full
            break
    return len(batch)


def _as_event_data(event: Event) -> "EventData":
    from azure.eventhub import EventData

    data = EventData(event.body)
    data.content_type = event.content_type
    data.properties = dict(event.properties.items())
    return data

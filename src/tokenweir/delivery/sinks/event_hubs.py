"""Events to an Azure Event Hub, through the official SDK.

The events of a key go to one partition of the hub, chosen by us and not by the service, because then a batch may hold
the events of many keys: large batches, and still in order. Partitions are sent to side by side.
"""

import asyncio
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...records import Duration, PathText
from ..base import DeliveryError, Denied, Rejected, Throttled, Unavailable
from ..event_hub import HubAddress, HubConnection, connect
from ..event_hub_failures import explain
from .base import JsonEvent, Problems, SinkConnection, SinkSettings
from .formats import JSON_EVENTS

if TYPE_CHECKING:
    from azure.eventhub import EventData, EventDataBatch
    from azure.eventhub.aio import EventHubProducerClient

__all__ = ["EventHubsConnection", "EventHubsSink"]

# What a message of several events needs around all of them.
_AROUND_BATCH = 64
# The service's own texts ask for as much.
_BUSY_SECONDS = 4.0


class EventHubsConnection(SinkConnection, frozen=True):
    """Kind ``event_hubs``: a hub of Azure Event Hubs."""

    events = JSON_EVENTS

    connection_string_env: str | None = None
    """The environment variable that holds an Event Hubs connection string."""
    namespace: str | None = None
    """``my-namespace.servicebus.windows.net``, with ``managed_identity``."""
    managed_identity: bool = False
    """Sign in with this machine's Entra identity; it needs the role Azure Event Hubs Data Sender."""
    client_id: str | None = None
    """Which of several managed identities."""
    hub: str | None = None
    """The hub's name, where the connection string has no ``EntityPath``."""
    endpoint: str | None = None
    """``sb://address:port`` to connect to instead of the namespace's own, where something stands in front of it; the
    certificate is then that address's."""
    websockets: bool = False
    """Speak AMQP inside WebSockets, where a firewall lets out nothing but port 443; through the proxy of
    ``HTTPS_PROXY`` if that is set."""
    timeout: Duration = Duration(30)
    """How long the other side may take to confirm."""
    ca_bundle: PathText | None = None
    """A PEM file to trust instead of the system's."""

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "EventHubsSink":
        return EventHubsSink(self, environ)

    def check(self) -> Problems:
        if (self.connection_string_env is None) == (self.namespace is None):
            yield "", "needs either `connection_string_env`, or `namespace` with `managed_identity = true`"
        elif self.namespace is not None:
            if not self.managed_identity:
                yield "managed_identity", "must be true with `namespace`: there is no other way to sign in to it"
            if self.hub is None:
                yield "hub", "is missing; name the hub in that namespace"
        elif self.managed_identity:
            yield "managed_identity", "belongs to `namespace`; a connection string has a key"

    def check_variables(self, environ: Mapping[str, str]) -> Problems:
        if self.connection_string_env is not None:
            try:
                HubAddress(connection_string=environ[self.connection_string_env], hub=self.hub).check()
            except ConfigError as error:
                yield "connection_string_env", str(error).replace("set hub", "set `hub`")

    def packages(self) -> Iterator[tuple[str, str, str]]:
        yield "kind", "azure", "azure.eventhub"
        if self.managed_identity:
            yield "connection.managed_identity", "azure", "azure.identity"


class EventHubsSink:
    """See `Sink`. An event without a key goes by its call, so that the parts of one stay together."""

    def __init__(self, connection: EventHubsConnection, environ: Mapping[str, str]) -> None:
        self._settings = connection
        self._environ = environ
        self._address = HubAddress()
        # while it is open
        self._hub: HubConnection[EventHubProducerClient] | None = None
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

    async def send(self, events: Sequence[JsonEvent]) -> None:
        lanes: dict[str, list[JsonEvent]] = {}
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

    def _partition_of(self, event: JsonEvent) -> str:
        return self._partitions[zlib.crc32((event.key or event.call_id).encode()) % len(self._partitions)]

    async def _send_in_order(self, partition: str, events: Sequence[JsonEvent]) -> list[JsonEvent]:
        """In as few messages as they fit into. Returns those that can never be sent."""
        unfit: list[JsonEvent] = []
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

    async def _send_batch(self, partition: str, batch: "EventDataBatch", events: list[JsonEvent]) -> list[JsonEvent]:
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

    def _as_ours(self, error: Exception) -> DeliveryError:
        failure = explain(error, self._address, "Send")
        match failure.kind:
            case "unavailable":
                return Unavailable(failure.text)
            case "throttled":
                return Throttled(failure.text, _BUSY_SECONDS)
            case "denied":
                return Denied(failure.text)
            case "unfit":
                return Rejected(failure.text, ())


def _fill(batch: "EventDataBatch", events: Sequence[JsonEvent]) -> int:
    """Puts the first events into a batch, as many as fit."""
    for event in events:
        try:
            batch.add(_as_event_data(event))
        except ValueError:  # full
            break
    return len(batch)


def _as_event_data(event: JsonEvent) -> "EventData":
    from azure.eventhub import EventData

    data = EventData(event.body)
    data.content_type = event.content_type
    data.properties = dict(event.properties.items())
    return data

"""An Azure Event Hub as a source, through the official SDK, which shares the partitions out among consumers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from azure.core.exceptions import AzureError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.amqp import AmqpMessageBodyType

from ....errors import ConfigError
from ...base import BrokerMessage, DeliveryError, Denied, MessageBatch, Unavailable
from ...event_hub import HubAddress, HubConnection, connect
from ...event_hub_failures import explain
from .checkpoints import Checkpoints, ConsumerGroup

__all__ = ["EventHubsSource"]

_log = logging.getLogger(__name__)

# Of one partition at once; what arrives is handed on without waiting for more.
_MOST_MESSAGES = 300
_FROM_THE_START = "-1"
# How often consumers look who reads which partition; one that was silent for six times as long has lost its own.
_BALANCE_SECONDS = 10.0
_CLOSE_SECONDS = 5.0


class EventHubsSource:
    """See `MessageSource`. A connection that breaks ends the batches, with `Unavailable`.

    The SDK could go on by itself, but would not say so, nor wait between its tries, nor ever give up.
    """

    def __init__(
        self,
        address: HubAddress,
        group: str,
        checkpoints: Checkpoints,
        *,
        timeout: float = 30.0,
        balance_seconds: float = _BALANCE_SECONDS,
    ) -> None:
        """``timeout``: how long connecting may take, in seconds."""
        self._group = ConsumerGroup(address, group)
        self._checkpoints = checkpoints
        self._timeout = timeout
        self._balance_seconds = balance_seconds
        # while it is open
        self._hub: HubConnection[EventHubConsumerClient] | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._arriving: asyncio.Queue[MessageBatch | DeliveryError] = asyncio.Queue(1)
        self._owned: set[str] = set()

    def __repr__(self) -> str:
        return f"<EventHubsSource of {self._group.address} for {self._group.group}, {len(self._owned)} partitions>"

    def __str__(self) -> str:
        """For a person."""
        return f"{self._group.address}, group {self._group.group}"

    async def batches(self) -> AsyncIterator[MessageBatch]:
        await self._stop()
        try:
            client = await self._connect()
            receiving = self._receiving = asyncio.ensure_future(
                client.receive_batch(
                    self._on_events,
                    max_batch_size=_MOST_MESSAGES,
                    starting_position=_FROM_THE_START,
                    on_error=self._on_error,
                    on_partition_initialize=self._on_partition,
                    on_partition_close=self._on_partition_gone,
                )
            )
            while True:
                arrival = asyncio.ensure_future(self._arriving.get())
                try:
                    await asyncio.wait((arrival, receiving), return_when=asyncio.FIRST_COMPLETED)
                    if not arrival.done():
                        raise Unavailable("the Event Hubs client ended by itself") from receiving.exception()
                    found = arrival.result()
                finally:
                    arrival.cancel()
                if isinstance(found, DeliveryError):
                    raise found
                yield found
        finally:
            await self._stop()

    async def done(self, partition: str, position: str) -> None:
        number = partition.rpartition("/")[2]
        if number in self._owned:
            await self._checkpoints.save(number, position)
        else:
            _log.info("%s went to another consumer, which reads again what was not saved", partition)

    def behind(self) -> dict[str, int]:
        """Sequence numbers have gaps after a failover, and the hub's own metrics tell the same."""
        return {}

    async def probe(self) -> str:
        client = await self._connect()
        partitions = await client.get_partition_ids()
        return f"{self}: {len(partitions)} partitions"

    async def close(self) -> None:
        await self._stop()
        with suppress(Exception):  # the connection to the storage account is gone either way
            await self._checkpoints.close()

    async def _connect(self) -> EventHubConsumerClient:
        address = self._group.address
        try:
            self._hub = connect(
                EventHubConsumerClient,
                address,
                consumer_group=self._group.group,
                checkpoint_store=self._checkpoints.store,
                load_balancing_interval=self._balance_seconds,
            )
        except ConfigError as error:
            raise Denied(str(error)) from error
        self._arriving = asyncio.Queue(1)
        client = self._hub.client
        try:
            async with asyncio.timeout(self._timeout):
                partitions = await client.get_partition_ids()
        except Exception as error:
            raise self._as_ours(error) from error
        await self._try_to_listen(client, partitions[0])
        await self._checkpoints.open(self._group, partitions)
        return client

    async def _try_to_listen(self, client: EventHubConsumerClient, partition: str) -> None:
        """`Denied` if the hub lets nobody in here.

        The SDK keeps a refusal to itself and asks again for ever, so a link is attached once by hand. Whatever else
        goes wrong with it, for instance that a partition has an owner, is left to the SDK.
        """
        group = self._group.group
        link = client._create_consumer(group, partition, "@latest", _ignore)
        try:
            async with asyncio.timeout(self._timeout):
                await link._open_with_retry()
        except Exception as error:
            refusal = self._as_ours(error, group)
            if isinstance(refusal, Denied):
                raise refusal from error
        finally:
            await link.close()

    async def _stop(self) -> None:
        receiving, self._receiving = self._receiving, None
        hub, self._hub = self._hub, None
        if receiving is not None:
            receiving.cancel()
            await asyncio.wait([receiving], timeout=_CLOSE_SECONDS)
        if hub is not None:
            await hub.close()
        self._owned.clear()

    # --- called by the SDK, in a task for each partition ---

    async def _on_events(self, context: PartitionContext, events: list[EventData]) -> None:
        last = events[-1]
        batch = MessageBatch(
            partition=self._group.partition(context.partition_id),
            position=f"{last.sequence_number}:{last.offset}",
            messages=[_message(context.partition_id, event) for event in events],
        )
        await self._arriving.put(batch)  # waits, and so holds up this partition, until the batch before it was taken

    async def _on_partition(self, context: PartitionContext) -> None:
        self._owned.add(context.partition_id)
        _log.info("%s: reading", self._group.partition(context.partition_id))

    async def _on_partition_gone(self, context: PartitionContext, _: object) -> None:
        self._owned.discard(context.partition_id)

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        if getattr(error, "error", None) == "link:stolen":
            _log.info("partition %s went to another consumer", context.partition_id if context else "?")
        elif isinstance(error, AzureError):  # the SDK goes on with the partitions that it has, and tries again
            _log.warning("the checkpoints cannot be reached: %s; trying again", type(error).__name__)
        else:
            await self._arriving.put(self._as_ours(error))

    def _as_ours(self, error: Exception, group: str | None = None) -> DeliveryError:
        failure = explain(error, self._group.address, "Listen", group)
        return Denied(failure.text) if failure.kind == "denied" else Unavailable(failure.text)


async def _ignore(*_: object) -> None:
    return None


def _message(partition: str, event: EventData) -> BrokerMessage:
    body: Any = event.body
    return BrokerMessage(
        body=b"".join(body) if event.body_type is AmqpMessageBodyType.DATA else str(body).encode(),
        properties=_texts(event.properties or {}),
        place=f"partition {partition}, offset {event.offset}",
    )


def _texts(properties: Mapping[Any, Any]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in properties.items()}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

"""A Kafka topic as a source, by aiokafka. Event Hubs speaks this protocol too, and then keeps the group's offsets."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.structs import ConsumerRecord

from ...base import BrokerMessage, Denied, MessageBatch, Unavailable, way_of_asking
from . import KafkaAddress

__all__ = ["KafkaSource"]

_log = logging.getLogger(__name__)

# One fetch of a partition is a megabyte, which is about so many records without bodies.
_MOST_MESSAGES = 5_000
# How long to wait for the first message before looking whether to stop; what arrives is handed on at once.
_WAIT_MS = 1_000

_DENIED = (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
# The client would wait for a broker that is gone for as long as it takes.
_SAVE_SECONDS = 10.0


class KafkaSource:
    """A `MessageSource`: the partitions of a topic that this member of the group was given."""

    def __init__(self, address: KafkaAddress, group: str, session_timeout: float) -> None:
        self._address = address
        self._group = group
        self._session_ms = round(session_timeout * 1000)
        self._consumer: AIOKafkaConsumer | None = None
        self._done: dict[TopicPartition, int] = {}

    def __repr__(self) -> str:
        return f"<KafkaSource {self._address} for {self._group}>"

    def __str__(self) -> str:
        """For a person."""
        return f"topic {self._address}, group {self._group}"

    async def batches(self) -> AsyncIterator[MessageBatch]:
        await self.close()
        with self._failing():
            consumer = await self._start()
            consumer.subscribe([self._address.topic])
            while True:
                gathered = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_MESSAGES)
                for partition, messages in gathered.items():
                    yield self._batch(partition, messages)

    async def probe(self) -> str:
        with self._failing():
            consumer = await self._start()
            numbers = consumer.partitions_for_topic(self._address.topic) or set()
            partitions = [TopicPartition(self._address.topic, number) for number in sorted(numbers)]
            ends = await consumer.end_offsets(partitions)
            done = [await consumer.committed(partition) or 0 for partition in partitions]
        left = sum(max(0, end - offset) for end, offset in zip(ends.values(), done, strict=True))
        return f"{self}: {len(partitions)} partitions, {left:,} messages that the group has not done"

    async def _start(self) -> AIOKafkaConsumer:
        """A client that is connected and in no group yet; `Denied` if the topic is not there."""
        self._consumer = consumer = AIOKafkaConsumer(
            group_id=self._group,
            client_id="tokenweir",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(3_000, self._session_ms // 3),
            **self._address.options,
        )
        await consumer.start()
        # Subscribing to a topic that is not there would make it, on many brokers, and then wait for ever.
        if self._address.topic not in await consumer.topics():
            raise Denied(f"there is no topic {self._address}")
        return consumer

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except _DENIED as error:
            raise Denied(self._explained(error)) from error
        except (KafkaError, OSError) as error:
            raise Unavailable(self._explained(error)) from error

    async def done(self, partition: str, position: str) -> None:
        if self._consumer is None:
            return
        topic_partition = TopicPartition(self._address.topic, int(partition.rpartition("/")[2]))
        try:
            async with asyncio.timeout(_SAVE_SECONDS):
                await self._consumer.commit({topic_partition: int(position)})
            self._done[topic_partition] = int(position)
        except (IllegalStateError, CommitFailedError):
            _log.info("%s went to another consumer, which reads again what was not saved", partition)
        except (KafkaError, OSError) as error:
            raise Unavailable(self._explained(error)) from error

    def behind(self) -> dict[str, int]:
        if self._consumer is None:
            return {}
        ends = {partition: self._consumer.highwater(partition) for partition in self._consumer.assignment()}
        return {
            _name(partition): max(0, end - self._done[partition])
            for partition, end in ends.items()
            if end is not None and partition in self._done
        }

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                async with asyncio.timeout(_SAVE_SECONDS):
                    await consumer.stop()
            except (KafkaError, OSError) as error:
                _log.info("the group %s was not told that this consumer left: %s", self._group, error)

    def _batch(self, partition: TopicPartition, messages: list[ConsumerRecord[bytes, bytes]]) -> MessageBatch:
        self._done.setdefault(partition, messages[0].offset)
        return MessageBatch(
            partition=_name(partition),
            position=str(messages[-1].offset + 1),
            messages=[_message(message) for message in messages],
        )

    def _explained(self, error: Exception) -> str:
        said = f"the topic {self._address} cannot be read: {type(error).__name__} {error}".rstrip()
        if not isinstance(error, KafkaConnectionError):
            return said
        return f"{said}; {way_of_asking(tls=self._address.options['security_protocol'].endswith('SSL'))}"


def _name(partition: TopicPartition) -> str:
    return f"kafka/{partition.topic}/{partition.partition}"


def _message(message: "ConsumerRecord[bytes, bytes]") -> BrokerMessage:
    return BrokerMessage(
        body=message.value or b"",
        properties={name: value.decode(errors="replace") for name, value in message.headers},
        place=f"partition {message.partition}, offset {message.offset}",
    )

"""Messages of a topic in batches, and what the group remembers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from support.kafka_broker import Broker
from support.servers import closed_port
from tokenweir.delivery import BrokerMessage, Denied, MessageBatch, MessageSource, Unavailable
from tokenweir.delivery.sources import IntakeSettings, open_source
from tokenweir.records import Duration

pytestmark = pytest.mark.anyio


def never_read(_: str) -> str | None:
    """A ledger that knows of nothing yet; the group knows."""
    return None


def settings(broker: Broker, topic: str) -> IntakeSettings:
    """Each topic has a group of its own."""
    return IntakeSettings(
        kind="kafka",
        group=f"group-of-{topic}",
        servers=broker.servers,
        topic=topic,
        tls=False,
        session_timeout=Duration(1),
    )


@asynccontextmanager
async def opened(settings: IntakeSettings) -> AsyncIterator[MessageSource]:
    source = open_source(settings, {}, never_read)
    try:
        yield source
    finally:
        await source.close()


async def take(source: MessageSource, count: int) -> list[MessageBatch]:
    """Batches until so many messages have come; none of them is done."""
    batches: list[MessageBatch] = []
    async for batch in source.batches():
        batches.append(batch)
        if sum(len(batch.messages) for batch in batches) >= count:
            break
    return batches


def numbered(*numbers: int, partition: int = 0) -> list[tuple[int, bytes, Mapping[str, str]]]:
    return [(partition, str(number).encode(), {"call_id": "ä", "seq": str(number)}) for number in numbers]


def bodies(batches: list[MessageBatch]) -> list[int]:
    return [int(message.body) for batch in batches for message in batch.messages]


async def test_a_message_has_its_body_headers_and_place(broker: Broker) -> None:
    topic = await broker.new_topic(2)
    await broker.send(topic, numbered(7, partition=1))
    async with opened(settings(broker, topic)) as source:
        [batch] = await take(source, 1)
    assert (batch.partition, batch.position) == (f"kafka/{topic}/1", "1")
    assert batch.messages == [
        BrokerMessage(body=b"7", properties={"call_id": "ä", "seq": "7"}, place="partition 1, offset 0")
    ]


async def test_what_was_not_done_comes_again_and_what_was_does_not(broker: Broker) -> None:
    topic = await broker.new_topic()
    await broker.send(topic, numbered(1, 2, 3))
    async with opened(settings(broker, topic)) as source:
        assert bodies(await take(source, 3)) == [1, 2, 3]
    await broker.send(topic, numbered(4))
    async with opened(settings(broker, topic)) as source:
        batches = await take(source, 4)
        assert bodies(batches) == [1, 2, 3, 4]
        await source.done(batches[-1].partition, batches[-1].position)
    await broker.send(topic, numbered(5))
    async with opened(settings(broker, topic)) as source:
        assert bodies(await take(source, 1)) == [5]


async def test_it_says_how_many_messages_are_not_done(broker: Broker) -> None:
    topic = await broker.new_topic()
    await broker.send(topic, numbered(1, 2, 3))
    async with opened(settings(broker, topic)) as source:
        assert source.behind() == {}
        await take(source, 3)
        assert source.behind() == {f"kafka/{topic}/0": 3}
        await source.done(f"kafka/{topic}/0", "2")
        assert source.behind() == {f"kafka/{topic}/0": 1}
        await source.done(f"kafka/{topic}/0", "3")
        assert source.behind() == {f"kafka/{topic}/0": 0}


async def test_two_consumers_of_a_group_share_the_partitions(broker: Broker) -> None:
    topic = await broker.new_topic(4)
    async with opened(settings(broker, topic)) as one, opened(settings(broker, topic)) as other:
        both = [asyncio.ensure_future(take(source, 10)) for source in (one, other)]
        # Who waits alone gets a share only when the other joins; by then each has some of every partition.
        number = 0
        while not all(taking.done() for taking in both):
            await broker.send(topic, [(partition, str(number).encode(), {}) for partition in range(4)])
            number += 1
        taken = [await taking for taking in both]
    partitions = [{batch.partition for batch in batches[-1:]} for batches in taken]
    assert partitions[0] != partitions[1]


async def test_a_partition_that_is_another_ones_now_is_not_saved(broker: Broker) -> None:
    topic = await broker.new_topic()
    await broker.send(topic, numbered(1))
    async with opened(settings(broker, topic)) as source:
        [batch] = await take(source, 1)
        await source.done(f"kafka/{topic}/7", "1")
        await source.done(batch.partition, batch.position)
    await source.done(batch.partition, batch.position)  # and after the end neither


async def test_a_topic_that_is_not_there_needs_a_person(broker: Broker) -> None:
    async with opened(settings(broker, "nowhere")) as source:
        with pytest.raises(Denied, match=r"there is no topic 'nowhere' on 127\.0\.0\.1"):
            await take(source, 1)


async def test_a_broker_that_does_not_answer_may_do_so_later() -> None:
    nobody = IntakeSettings(kind="kafka", servers=f"127.0.0.1:{closed_port()}", topic="calls", tls=False)
    async with opened(nobody) as source:
        for _ in range(2):
            with pytest.raises(Unavailable, match="'calls' on 127"):
                await take(source, 1)

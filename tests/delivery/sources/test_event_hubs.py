"""Events out of an Event Hub, through the official SDK: shared among consumers, gone on with, and on bad days."""

import asyncio
import base64
import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage

from support.amqp.emulator import EventHubsEmulator, running_event_hubs
from support.azurite import Azurite, running_azurite, storage_token
from support.identity import serving_identity
from tokenweir.delivery import BrokerMessage, Denied, MessageBatch, Unavailable
from tokenweir.delivery.event_hub import HubAddress
from tokenweir.delivery.sinks import EventHubsConnection, JsonEvent
from tokenweir.delivery.sinks.event_hubs import EventHubsSink
from tokenweir.delivery.sources.event_hubs.checkpoints import (
    BlobCheckpoints,
    Checkpoints,
    CheckpointsAddress,
    LedgerPositions,
)
from tokenweir.delivery.sources.event_hubs.source import EventHubsSource
from tokenweir.errors import ConfigError
from tokenweir.ledger import open_ledger
from tokenweir.records import SystemClock

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(300),  # the first run of all may have to install Azurite
    # The SDK leaves the socket of a connection that broke to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def hubs() -> Iterator[EventHubsEmulator]:
    with running_event_hubs() as emulator:
        yield emulator
    gc.collect()  # while the warning is ignored


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with running_azurite() as running:
        yield running


def never_read(_: str) -> str | None:
    """A ledger that knows of nothing yet."""
    return None


def source_of(
    hubs: EventHubsEmulator,
    checkpoints: Checkpoints | None = None,
    *,
    hub: str = "llm",
    group: str = "$default",
    **string: Any,
) -> EventHubsSource:
    address = HubAddress(connection_string=hubs.connection_string(hub, **string))
    return EventHubsSource(address, group, checkpoints or LedgerPositions(never_read), balance_seconds=1)


@asynccontextmanager
async def batches_of(source: EventHubsSource) -> AsyncIterator[AsyncIterator[MessageBatch]]:
    try:
        async with aclosing(source.batches()) as batches:  # type: ignore[type-var]  # it is a generator
            yield batches
    finally:
        await source.close()


async def receive(source: EventHubsSource, count: int, *, is_done: bool = True) -> list[MessageBatch]:
    """The first batches, until they hold so many messages, each said to be done."""
    found: list[MessageBatch] = []
    async with batches_of(source) as batches:
        async for batch in batches:
            found.append(batch)
            if is_done:
                await source.done(batch.partition, batch.position)
            if len(messages(found)) >= count:
                break
    return found


def messages(batches: Sequence[MessageBatch]) -> list[BrokerMessage]:
    return [message for batch in batches for message in batch.messages]


def bodies(batches: Sequence[MessageBatch]) -> list[str]:
    return sorted(message.body.decode() for message in messages(batches))


# --- good days ---


async def test_what_the_sink_sends_the_source_receives(hubs: EventHubsEmulator) -> None:
    sink = EventHubsSink(EventHubsConnection(connection_string_env="C"), {"C": hubs.connection_string("llm")})
    sent = [
        JsonEvent(
            body=b"%d" % number, key="a", call_id=f"c-{number}", properties={"call_id": f"c-{number}", "part": "1"}
        )
        for number in range(400)  # more than come at once
    ]
    await sink.open()
    await sink.send(sent)
    await sink.close()
    found = await receive(source_of(hubs), 400)
    assert [message.body for message in messages(found)] == [event.body for event in sent]
    assert [message.properties for message in messages(found)] == [event.properties for event in sent]
    (source,) = {batch.partition for batch in found}
    partition = source.rpartition("/")[2]
    assert source == f"event_hubs/127.0.0.1:{hubs.port}/llm/$default/{partition}"
    assert found[-1].position == "399:20056"
    assert found[0].messages[0].place == f"partition {partition}, offset 4096"


async def test_an_event_whose_body_is_no_data_is_passed_on_as_text(hubs: EventHubsEmulator) -> None:
    async with EventHubProducerClient.from_connection_string(hubs.connection_string("llm")) as client:
        await client.send_event(AmqpAnnotatedMessage(value_body={"a": 1}, application_properties={"n": 7, "b": b"x"}))
    (message,) = messages(await receive(source_of(hubs), 1))
    assert message.properties == {"n": "7", "b": "x"}
    assert "1" in message.body.decode()


# --- checkpoints in blob storage ---


def checkpoints(azurite: Azurite, container: str, **string: Any) -> BlobCheckpoints:
    return BlobCheckpoints(
        CheckpointsAddress(connection_string=azurite.connection_string(**string), container=container)
    )


async def test_two_consumers_share_the_partitions_and_whoever_comes_later_goes_on(
    hubs: EventHubsEmulator, azurite: Azurite
) -> None:
    container = azurite.make_container()
    first, second = (source_of(hubs, checkpoints(azurite, container)) for _ in range(2))
    found: dict[int, list[MessageBatch]] = {0: [], 1: []}
    changed = asyncio.Event()

    async def consume(number: int, batches: AsyncIterator[MessageBatch], source: EventHubsSource) -> None:
        async for batch in batches:
            await source.done(batch.partition, batch.position)
            found[number].append(batch)
            changed.set()

    async def until_count(count: int) -> None:
        while len(messages(found[0])) + len(messages(found[1])) < count:
            changed.clear()
            await changed.wait()

    async with batches_of(first) as of_first, batches_of(second) as of_second:
        consuming = [
            asyncio.ensure_future(consume(0, of_first, first)),
            asyncio.ensure_future(consume(1, of_second, second)),
        ]
        await asyncio.to_thread(hubs.until, lambda: len(first._owned) == len(second._owned) == 2)
        for number in range(40):
            hubs.put("llm", str(number % 4), f"{number:02}".encode())
        await until_count(40)
        for task in consuming:
            task.cancel()
        await asyncio.gather(*consuming, return_exceptions=True)
    assert bodies(found[0] + found[1]) == [f"{number:02}" for number in range(40)]
    assert len(messages(found[0])) == len(messages(found[1])) == 20

    hubs.put("llm", "2", b"new")
    assert bodies(await receive(source_of(hubs, checkpoints(azurite, container)), 1)) == ["new"]


async def test_what_was_not_done_in_time_comes_again(hubs: EventHubsEmulator, azurite: Azurite) -> None:
    container = azurite.make_container()
    hubs.put("llm", "0", b"one")
    source = source_of(hubs, checkpoints(azurite, container))
    (batch,) = await receive(source, 1, is_done=False)
    await source.done(batch.partition, batch.position)  # too late: the partition may be another consumer's by now
    assert bodies(await receive(source_of(hubs, checkpoints(azurite, container)), 1)) == ["one"]


async def test_a_managed_identity_may_keep_the_checkpoints(
    hubs: EventHubsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running_azurite(tmp_path) as azurite,
        serving_identity(SystemClock(), monkeypatch) as identity,
    ):
        identity.token = storage_token()
        address = CheckpointsAddress(
            account_url=azurite.url, container=azurite.make_container(), ca_bundle=azurite.ca_bundle
        )
        hubs.put("llm", "0", b"one")
        assert bodies(await receive(source_of(hubs, BlobCheckpoints(address)), 1)) == ["one"]
        assert identity.requests[0][2]["resource"] == ["https://storage.azure.com"]


# --- bad days ---


async def test_an_outage_is_told_and_after_it_the_ledger_says_where_to_go_on(
    hubs: EventHubsEmulator, tmp_path: Path
) -> None:
    ledger = open_ledger(f"duckdb:{tmp_path / 'ledger.duckdb'}")
    hubs.put("llm", "0", b"before")
    source = source_of(hubs, LedgerPositions(ledger.position))
    with pytest.raises(Unavailable, match="no connection to the hub 'llm' of 127.0.0.1"):
        async for batch in source.batches():
            ledger.post([], batch.partition, batch.position)
            hubs.stop()
    with pytest.raises(Unavailable, match="port 5671"):
        await receive(source, 1)
    hubs.start()
    hubs.put("llm", "0", b"after")
    hubs.put("llm", "1", b"elsewhere")
    assert bodies(await receive(source, 2)) == ["after", "elsewhere"]
    ledger.close()


async def refusal(source: EventHubsSource) -> str:
    with pytest.raises(Denied) as denied:
        await receive(source, 1)
    return str(denied.value)


async def test_a_wrong_key_and_a_missing_hub_are_told(hubs: EventHubsEmulator) -> None:
    assert "refused the key in the connection string" in await refusal(source_of(hubs, key="wrong"))
    assert "there is no hub 'nope'" in await refusal(source_of(hubs, hub="nope"))


async def test_a_key_without_the_right_to_listen_and_a_missing_group_are_told(hubs: EventHubsEmulator) -> None:
    hubs.faults.denied = True
    assert (await refusal(source_of(hubs))).endswith("its policy needs the right Listen")
    hubs.faults.denied = False
    assert (await refusal(source_of(hubs, group="nobody"))).startswith("there is no consumer group 'nobody' of the hub")


async def test_an_address_that_is_none_is_told() -> None:
    source = EventHubsSource(HubAddress(), "$default", LedgerPositions(never_read))
    assert "neither a connection string nor a namespace" in await refusal(source)


async def test_checkpoints_that_cannot_be_kept_are_told(hubs: EventHubsEmulator, azurite: Azurite) -> None:
    assert await refusal(source_of(hubs, checkpoints(azurite, "missing"))) == (
        "there is no container 'missing' for the checkpoints; create it"
    )
    container = azurite.make_container()
    wrong = base64.b64encode(b"wrong").decode()
    text = await refusal(source_of(hubs, checkpoints(azurite, container, key=wrong)))
    assert text.startswith(f"the storage account refused to open the container '{container}'") and wrong not in text
    with pytest.raises(ConfigError, match="connection string of the storage account"):
        BlobCheckpoints(CheckpointsAddress(connection_string="nonsense", container="c"))

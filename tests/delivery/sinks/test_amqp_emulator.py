"""The Event Hubs that our tests stand on: its bytes by themselves, and all of it with the official SDK."""

import asyncio
import gc
import math
import struct
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.eventhub import EventData, TransportType
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventDataSendError, EventHubError
from hypothesis import given, strategies as st

from support.amqp.codec import (
    Array,
    Described,
    Long,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    decode,
    encode,
)
from support.amqp.emulator import EventHubsEmulator, running_event_hubs
from support.amqp.frames import Frame, FrameReader, Performative, frame, section, sections
from support.http_bytes import cut
from support.servers import tls_pair

pytestmark = [
    pytest.mark.anyio,
    # The SDK leaves the socket of a connection that broke to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def hubs() -> Iterator[EventHubsEmulator]:
    with running_event_hubs({"llm": 2}) as emulator:
        yield emulator
    gc.collect()  # while the warning about them is ignored


# --- values ---

texts = st.text(max_size=300)
numbers = st.one_of(
    st.integers(0, 2**8 - 1).map(Ubyte),
    st.integers(0, 2**16 - 1).map(Ushort),
    st.integers(0, 2**32 - 1).map(Uint),
    st.integers(0, 2**64 - 1).map(Ulong),
    st.integers(-(2**63), 2**63 - 1).map(Long),
    st.integers(-(2**63), 2**63 - 1).map(Timestamp),
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.floats(allow_nan=False),
    st.binary(max_size=300),
    texts,
    st.text(st.characters(codec="ascii"), max_size=20).map(Symbol),
    st.uuids(),
)
arrays = st.one_of(
    st.lists(texts, max_size=5).map(Array),
    st.lists(texts.map(Symbol), max_size=5).map(Array),
    st.lists(st.integers(0, 2**32 - 1).map(Uint), max_size=300).map(Array),
)
values = st.recursive(
    plain | arrays,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(texts, texts.map(Symbol)), inner, max_size=5),
        st.builds(Described, st.one_of(st.integers(0, 2**64 - 1).map(Ulong), texts.map(Symbol)), inner),
    ),
    max_leaves=20,
)


def kinds(value: Any) -> Any:
    """The types in a value, which equality does not compare: ``Uint(1) == True``."""
    if isinstance(value, dict):
        return {key: (type(key), kinds(one)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [kinds(one) for one in value]
    return type(value)


@given(values, st.binary(max_size=5))
def test_a_value_is_read_as_it_was_written_and_what_follows_is_left(value: Any, after: bytes) -> None:
    encoded = encode(value)
    decoded, end = decode(b"\x00" + encoded + after, 1)
    assert (decoded, kinds(decoded)) == (value, kinds(value))
    assert end == 1 + len(encoded)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        # Forms that other writers choose: zero in no bytes, small ones in one, a boolean with its value.
        ("43", Uint(0)),
        ("44", Ulong(0)),
        ("45", []),
        ("5207", Uint(7)),
        ("5307", Ulong(7)),
        ("54ff", -1),
        ("55fe", Long(-2)),
        ("5601", True),
        ("5600", False),
        ("71ffffffff", -1),
        ("720000c03f", struct.unpack(">f", bytes.fromhex("0000c03f"))[0]),
        ("b1000000026869", "hi"),
        ("98" + 16 * "ab", UUID(16 * "ab")),
        ("e0060250" + "01" + "02" + "0000", Array([Ubyte(1), Ubyte(2)])),
    ],
)
def test_the_forms_of_other_writers_are_read(encoded: str, value: Any) -> None:
    decoded, _ = decode(bytes.fromhex(encoded))
    assert decoded == value and type(decoded) is type(value)


def test_what_amqp_cannot_say_is_refused() -> None:
    for value in (object(), Array([1.5, "a"]), Array([True]), 2**64):
        with pytest.raises((TypeError, struct.error)):
            encode(value)
    with pytest.raises(ValueError, match="0x01"):
        decode(b"\x01")
    with pytest.raises(ValueError, match="cut off"):
        decode(encode("hello")[:-1])
    assert math.isnan(decode(encode(math.nan))[0])


# --- frames ---

performatives = st.one_of(
    st.builds(
        lambda handle, tag, more: Performative("transfer", handle=handle, delivery_tag=tag, more=more),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=32),
        st.booleans(),
    ),
    st.builds(lambda name, role: Performative("attach", name=name, handle=1, role=role), texts, st.booleans()),
    st.just(Performative("flow", handle=0, link_credit=100)),
    st.just(Performative("sasl_outcome", code=0)),
)
frames = st.builds(Frame, st.none(), st.integers(0, 2**16 - 1), performatives, st.binary(max_size=400))


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 3000), max_size=8))
def test_frames_are_put_together_however_they_are_cut(sent: list[Frame], places: list[int]) -> None:
    raw = b"AMQP\x00\x01\x00\x00"
    for one in sent:
        assert one.performative is not None
        raw += frame(one.channel, one.performative, one.payload)
    reader = FrameReader()
    read = [
        found for piece in cut(raw, [place for place in places if place <= len(raw)]) for found in reader.feed(piece)
    ]
    assert read == [Frame(header=b"AMQP\x00\x01\x00\x00"), *sent]


def test_every_field_is_written_because_the_sdk_reads_them_by_index() -> None:
    raw = frame(0, Performative("detach", handle=3))
    (described, _) = decode(raw[8:])
    assert described == Described(Ulong(0x16), [Uint(3), None, None])
    with pytest.raises(TypeError, match="no field handel"):
        Performative("detach", handel=3)


@given(st.lists(st.tuples(st.sampled_from([0x72, 0x74, 0x75]), st.binary(max_size=300)), max_size=5))
def test_a_message_is_its_sections(parts: list[tuple[int, bytes]]) -> None:
    assert list(sections(b"".join(section(code, value) for code, value in parts))) == parts


# --- with the official SDK ---


def producer(hubs: EventHubsEmulator, hub: str = "llm", **more: Any) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(
        hubs.connection_string(hub, **more), retry_total=0, retry_backoff_factor=0
    )


def event(body: bytes, **properties: str) -> EventData:
    one = EventData(body)
    one.content_type = "text/plain"
    one.properties = dict(properties.items())
    return one


async def receive(hubs: EventHubsEmulator, count: int, **how: Any) -> dict[str, list[EventData]]:
    """The first ``count`` events that a consumer gets, by partition."""
    found: dict[str, list[EventData]] = {}
    enough = asyncio.Event()

    async def on_batch(context: Any, events: list[EventData]) -> None:
        found.setdefault(context.partition_id, []).extend(events)
        if sum(map(len, found.values())) >= count:
            enough.set()

    client = EventHubConsumerClient.from_connection_string(hubs.connection_string("llm"), "$default")
    async with receiving(client, client.receive_batch(on_batch, **{"starting_position": "-1", **how})):
        await enough.wait()
    return found


@asynccontextmanager
async def receiving(client: EventHubConsumerClient, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Lets a client receive for the length of the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        await client.close()
        task.cancel()  # it would look once more, up to half a minute later, whether it is to go on
        await asyncio.gather(task, return_exceptions=True)


async def test_a_batch_a_single_event_and_a_large_one_lie_in_their_partitions(hubs: EventHubsEmulator) -> None:
    async with producer(hubs) as client:
        assert await client.get_partition_ids() == ["0", "1"]
        batch = await client.create_batch(partition_id="1")
        assert batch.max_size_in_bytes == 1024 * 1024
        for number in range(3):
            batch.add(event(b"%d" % number, call_id=f"c-{number}"))
        await client.send_batch(batch)
        await client.send_event(event(b"x" * 300_000), partition_id="1")
        known = await client.get_partition_properties("1")
    assert (known["last_enqueued_sequence_number"], known["is_empty"]) == (3, False)
    received = hubs.received("llm")
    assert received["0"] == []
    assert [one.body for one in received["1"]] == [b"0", b"1", b"2", b"x" * 300_000]
    first = received["1"][0]
    assert (first.properties, first.content_type) == ({"call_id": "c-0"}, "text/plain")
    assert [one.sequence_number for one in received["1"]] == [0, 1, 2, 3]
    assert hubs.deliveries == 2


async def test_what_was_taken_is_gone(hubs: EventHubsEmulator) -> None:
    async with producer(hubs) as client:
        await client.send_event(event(b"one"), partition_id="0")
        await client.send_event(event(b"two"), partition_id="0")
        taken = hubs.take("llm")
        await client.send_event(event(b"three"), partition_id="0")
    assert [one.as_received(0).body for one in taken["0"]] == [b"one", b"two"]
    assert taken["1"] == []
    assert [one.body for one in hubs.received("llm")["0"]] == [b"three"]


async def test_a_key_keeps_to_one_partition(hubs: EventHubsEmulator) -> None:
    async with producer(hubs) as client:
        for number in range(3):
            batch = await client.create_batch(partition_key="team-a")
            batch.add(event(b"%d" % number))
            await client.send_batch(batch)
    (holding,) = [events for events in hubs.received("llm").values() if events]
    assert [(one.body, one.key) for one in holding] == [(b"0", "team-a"), (b"1", "team-a"), (b"2", "team-a")]


async def test_a_consumer_gets_everything_in_order_and_may_begin_anywhere(hubs: EventHubsEmulator) -> None:
    for number in range(400):  # more than one credit of 300
        hubs.put("llm", "0", b"%d" % number, {"call_id": f"c-{number}"})
    for body in (b"first", b"y" * 300_000, b"last"):
        hubs.put("llm", "1", body)
    found = await receive(hubs, 403, track_last_enqueued_event_properties=True)
    assert [one.body_as_str() for one in found["0"]] == [str(number) for number in range(400)]
    assert [one.sequence_number for one in found["0"]] == list(range(400))
    assert found["0"][0].properties == {b"call_id": b"c-0"}
    assert [len(one.body_as_str()) for one in found["1"]] == [5, 300_000, 4]
    positions = {"0": found["0"][397].offset, "1": found["1"][1].sequence_number}
    inclusive = {"0": False, "1": True}
    later = await receive(hubs, 4, starting_position=positions, starting_position_inclusive=inclusive)
    assert [one.body_as_str()[:4] for one in later["0"]] == ["398", "399"]
    assert [one.body_as_str()[:4] for one in later["1"]] == ["yyyy", "last"]


async def test_who_has_as_high_an_epoch_takes_a_partition_over(hubs: EventHubsEmulator) -> None:
    hubs.put("llm", "0", b"one")
    client = EventHubConsumerClient.from_connection_string(
        hubs.connection_string("llm"), "$default", retry_total=0, retry_backoff_factor=0
    )
    received, stolen = asyncio.Event(), asyncio.Event()
    errors: list[Exception] = []

    async def on_event(*_: object) -> None:
        received.set()

    async def on_error(_: object, error: Exception) -> None:
        errors.append(error)
        stolen.set()

    how: dict[str, Any] = {"partition_id": "0", "starting_position": "-1"}
    async with receiving(client, client.receive(on_event, on_error=on_error, owner_level=1, **how)):
        await received.wait()
        await receive(hubs, 1, owner_level=2, **how)
        await stolen.wait()
    assert isinstance(errors[0], EventHubError) and errors[0].error == "link:stolen"


async def test_signatures_are_checked_and_unknown_hubs_are_missed(hubs: EventHubsEmulator) -> None:
    async with producer(hubs, key="wrong") as client:
        with pytest.raises(AuthenticationError, match="401"):
            await client.get_partition_ids()
    async with producer(hubs, "nope") as client:
        with pytest.raises(EventHubError) as missed:
            await client.create_batch()
        assert missed.value.error == "not-found"


class Token(AsyncTokenCredential):
    """A credential of Entra, with its answer already at hand."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://eventhubs.azure.net//.default",)
        return AccessToken("a.b.c", 2**32)

    async def close(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def test_a_token_will_do_over_tls(tmp_path: Path) -> None:
    context, authority = tls_pair("127.0.0.1", "localhost", "ns.servicebus.windows.net")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with running_event_hubs({"llm": 1}, tls=context) as hubs:
        client = EventHubProducerClient(
            "ns.servicebus.windows.net",
            "llm",
            Token(),
            custom_endpoint_address=f"sb://127.0.0.1:{hubs.port}",
            transport_type=TransportType.Amqp,
            connection_verify=str(tmp_path / "ca.pem"),
        )
        async with client:
            await client.send_event(event(b"hello"))
        assert [one.body for one in hubs.received("llm")["0"]] == [b"hello"]
        assert set(hubs.tokens) == {"a.b.c"}


async def test_faults_befall_as_many_deliveries_as_they_say(hubs: EventHubsEmulator) -> None:
    async with producer(hubs) as client:
        for fault, error, text in (
            ("busy", EventDataSendError, "server-busy"),
            ("too_large", EventDataSendError, "message-size-exceeded"),
            ("cut_off", ConnectError, "closed connection"),
            ("unconfirmed", ConnectError, "closed connection"),
        ):
            setattr(hubs.faults, fault, 2)  # the SDK tries twice, whatever it was told
            with pytest.raises(error) as raised:
                await client.send_event(event(fault.encode()), partition_id="0")
            assert text in f"{raised.value} {raised.value.error}"
            await client.send_event(event(b"fine"), partition_id="0")
    bodies = [one.body for one in hubs.received("llm")["0"]]
    assert bodies == [b"fine", b"fine", b"fine", b"unconfirmed", b"unconfirmed", b"fine"]


async def test_an_outage_ends_on_the_same_port_with_everything_still_there(hubs: EventHubsEmulator) -> None:
    async with producer(hubs) as client:
        await client.send_event(event(b"before"), partition_id="0")
        hubs.stop()
        with pytest.raises(ConnectError):
            await client.send_event(event(b"lost"), partition_id="0")
        hubs.start()
        await client.send_event(event(b"after"), partition_id="0")
    assert [one.body for one in hubs.received("llm")["0"]] == [b"before", b"after"]


async def test_a_hub_that_holds_confirms_when_it_is_released(hubs: EventHubsEmulator) -> None:
    async with producer(hubs) as client:
        await client.send_event(event(b"0"), partition_id="0")
        hubs.hold()
        sending = asyncio.ensure_future(client.send_event(event(b"1"), partition_id="0"))
        await asyncio.to_thread(hubs.until, lambda: hubs.deliveries == 2)
        assert not sending.done()
        hubs.release()
        await sending

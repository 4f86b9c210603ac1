"""Events in an Event Hub, through the official SDK: on good days, and on the bad ones that a hub has."""

import asyncio
import gc
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.eventhub import EventDataBatch
from hypothesis import given, strategies as st

from support.amqp.emulator import KEY, EventHubsEmulator, Received, running_event_hubs
from support.amqp.websockets import running_websocket_door
from support.identity import serving_identity
from support.servers import TunnelProxy, closed_port, serving, tls_pair
from tokenweir.delivery import Denied, Rejected, Throttled, Unavailable
from tokenweir.delivery.sinks import EventHubsConnection, JsonEvent
from tokenweir.delivery.sinks.event_hubs import _AROUND_BATCH, EventHubsSink, _fill
from tokenweir.records import Duration, SystemClock

pytestmark = [
    pytest.mark.anyio,
    # The SDK leaves the socket of a connection that broke to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}  # as the books run


@pytest.fixture
def hubs() -> Iterator[EventHubsEmulator]:
    with running_event_hubs() as emulator:
        yield emulator
    gc.collect()  # while the warning is ignored


def sink_to(hubs: EventHubsEmulator, *, hub: str | None = None, key: str | None = None, **more: Any) -> EventHubsSink:
    """A sink whose connection string names the hub ``llm``, unless ``hub`` does."""
    keys = {} if key is None else {"key": key}
    environ = {"CONN": hubs.connection_string(None if hub else "llm", **keys)}
    return EventHubsSink(EventHubsConnection(connection_string_env="CONN", hub=hub, **more), environ)


@asynccontextmanager
async def opened(sink: EventHubsSink) -> AsyncIterator[EventHubsSink]:
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


def event(number: int, key: str | None = None, *, size: int = 10, **properties: str) -> JsonEvent:
    known = {"call_id": f"call-{number}", "replica": "relay-0", "seq": str(number), "shape": "tokenweir"}
    return JsonEvent(
        body=b"%d:" % number + b"x" * size,
        key=key,
        call_id=f"call-{number}",
        properties=known | properties,
    )


def arrived(hubs: EventHubsEmulator) -> list[Received]:
    return [one for events in hubs.received("llm").values() for one in events]


def numbers(events: list[Received]) -> list[int]:
    return [int(one.properties["seq"]) for one in events]


# --- good days ---


async def test_all_events_arrive_with_their_properties_and_those_of_a_key_in_order(hubs: EventHubsEmulator) -> None:
    keys = [f"team-{number}" for number in range(7)]
    sent = [event(number, keys[number % 7]) for number in range(300)]
    async with opened(sink_to(hubs)) as sink:
        await sink.send(sent[:100])
        await sink.send(sent[100:])
    by_key: dict[str, list[int]] = defaultdict(list)
    for partition in hubs.received("llm").values():
        for one in partition:
            by_key[keys[int(one.properties["seq"]) % 7]].append(int(one.properties["seq"]))
    assert by_key == {key: list(range(number, 300, 7)) for number, key in enumerate(keys)}
    first = next(one for one in arrived(hubs) if one.properties["seq"] == "0")
    assert first.properties == sent[0].properties
    assert (first.body, first.content_type) == (sent[0].body, "application/json")
    used = [partition for partition in hubs.received("llm").values() if partition]
    assert len(used) > 1 and hubs.deliveries == 2 * len(used)  # one message for each partition and send


async def test_events_without_a_key_are_spread_and_the_parts_of_a_call_stay_together(hubs: EventHubsEmulator) -> None:
    parts = [event(500, part=str(number), parts="3") for number in (1, 2, 3)]
    async with opened(sink_to(hubs, hub="llm")) as sink:
        await sink.send([*map(event, range(100)), *parts])
    received = hubs.received("llm")
    assert all(len(partition) > 10 for partition in received.values())
    (holding,) = [events for events in received.values() if 500 in numbers(events)]
    assert [one.properties["part"] for one in holding if "part" in one.properties] == ["1", "2", "3"]


async def test_a_large_event_goes_through_in_many_frames_and_many_in_several_batches(hubs: EventHubsEmulator) -> None:
    sent = [event(number, "team-a", size=300_000) for number in range(5)]
    async with opened(sink_to(hubs)) as sink:
        await sink.send(sent)
    (holding,) = [events for events in hubs.received("llm").values() if events]
    assert [one.body for one in holding] == [one.body for one in sent]
    assert hubs.deliveries == 2  # of 1 MiB at most


async def test_an_event_that_the_hub_cannot_take_is_named_and_all_others_are_sent(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        assert 1_000_000 < sink.max_event_size < 1024 * 1024
        sent = [event(0, "a"), event(1, "a", size=sink.max_event_size), event(2, "a"), event(3, "b")]
        with pytest.raises(Rejected, match="at most 10") as rejected:
            await sink.send(sent)
        assert rejected.value.events == (sent[1],)
        assert sorted(numbers(arrived(hubs))) == [0, 2, 3]
        await sink.send([event(4)])  # and the sink goes on


@pytest.mark.parametrize("number", [0, 7])
async def test_an_event_that_the_hub_refuses_is_looked_for_in_its_batch(hubs: EventHubsEmulator, number: int) -> None:
    sent = [event(number, "team-a") for number in range(8)]
    hubs.faults.poison = sent[number].body
    async with opened(sink_to(hubs)) as sink:
        with pytest.raises(Rejected) as rejected:
            await sink.send([*sent, event(8, "team-b")])
    assert rejected.value.events == (sent[number],)
    others = [one for one in numbers(arrived(hubs)) if one != 8]
    assert others == [one for one in range(8) if one != number]
    assert len(arrived(hubs)) == 8


async def test_a_batch_that_is_too_large_after_all_is_sent_in_smaller_ones(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        await sink.send([event(0, "team-a")])
        hubs.faults.too_large = 2  # the SDK tries twice
        await sink.send([event(number, "team-a") for number in range(1, 9)])
    assert numbers(arrived(hubs)) == list(range(9))
    assert hubs.deliveries == 3


@given(
    st.binary(max_size=3000),
    st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=8),
    st.text(max_size=300),
)
def test_an_event_is_no_larger_in_a_batch_than_its_size_says(
    body: bytes, properties: dict[str, str], content_type: str
) -> None:
    one = JsonEvent(body=body, call_id="c", properties=properties, content_type=content_type)
    batch = EventDataBatch(max_size_in_bytes=one.size + _AROUND_BATCH)
    assert _fill(batch, [one]) == 1


# --- server errors ---


async def test_a_busy_hub_throttles_and_the_same_sink_goes_on(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        hubs.faults.busy = 1000
        for _ in range(2):
            with pytest.raises(Throttled, match="throttled .*throughput units") as throttled:
                await sink.send([event(0, "a")])
        assert throttled.value.retry_after == 4
        hubs.faults.busy = 0
        await sink.send([event(0, "a")])
    assert numbers(arrived(hubs)) == [0]


async def test_an_outage_is_told_and_after_it_everything_goes_on(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        await sink.send([event(0, "a")])
        hubs.stop()
        with pytest.raises(Unavailable, match="no connection to the hub 'llm' of 127.0.0.1"):
            await sink.send([event(1, "a")])
        with pytest.raises(Unavailable, match="port 5671"):
            await sink.open()
        hubs.start()
        await sink.open()
        await sink.send([event(1, "a")])
    assert numbers(arrived(hubs)) == [0, 1]


async def test_connections_that_broke_while_nothing_was_sent_are_not_even_noticed(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        await sink.send([event(0, "a")])
        hubs.stop()
        hubs.start()
        await sink.send([event(1, "a")])
    assert numbers(arrived(hubs)) == [0, 1]


@pytest.mark.parametrize("fault", ["cut_off", "unconfirmed"])
async def test_a_connection_that_breaks_in_a_batch_loses_nothing(hubs: EventHubsEmulator, fault: str) -> None:
    sent = [event(number, "team-a", size=50_000) for number in range(10)]
    async with opened(sink_to(hubs)) as sink:
        setattr(hubs.faults, fault, 1000)
        with pytest.raises(Unavailable):
            await sink.send(sent)
        setattr(hubs.faults, fault, 0)
        await sink.open()
        await sink.send(sent)
    received = numbers(arrived(hubs))
    # At least once: what was kept and not confirmed comes again.
    copies = len(received) // 10
    assert received == list(range(10)) * copies
    assert copies > 1 if fault == "unconfirmed" else copies == 1


async def test_a_hub_that_does_not_confirm_is_not_waited_for_without_end(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        await sink.send([event(0, "a")])
        patient = sink._settings
        sink._settings = msgspec.structs.replace(patient, timeout=Duration(0.2))  # too little to open with
        hubs.hold()
        with pytest.raises(Unavailable, match="did not answer in time"):
            await sink.send([event(1, "a")])
        hubs.release()
        sink._settings = patient
        await sink.open()
        await sink.send([event(1, "a")])
    assert numbers(arrived(hubs)) == [0, 1, 1]


# --- what a person must act on ---


async def refusal(sink: EventHubsSink) -> str:
    """Why it does not open. Nothing of it is secret."""
    with pytest.raises(Denied) as denied:
        await sink.open()
    await sink.close()
    text = str(denied.value)
    assert "c2VjcmV0" not in text and "wrong-key" not in text
    return text


async def test_a_wrong_key_is_told(hubs: EventHubsEmulator) -> None:
    text = await refusal(sink_to(hubs, key="wrong-key"))
    assert text.startswith(f"127.0.0.1:{hubs.port} refused the key in the connection string; has it been renewed")


async def test_a_hub_that_is_not_there_is_told_with_where_its_name_stands(hubs: EventHubsEmulator) -> None:
    text = await refusal(sink_to(hubs, hub="nope"))
    assert text == f"there is no hub 'nope' in 127.0.0.1:{hubs.port}; check its name (hub)"


async def test_a_key_without_the_right_to_send_is_told(hubs: EventHubsEmulator) -> None:
    hubs.faults.denied = True
    text = await refusal(sink_to(hubs))
    assert text.startswith("the key in the connection string may not use the hub 'llm'")
    assert text.endswith("its policy needs the right Send")


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("com.microsoft:entity-disabled", "is disabled; it is enabled again in the portal"),
        ("com.microsoft:argument-error", "does not take it (argument-error)"),
    ],
)
async def test_a_hub_that_lets_nobody_in_is_told(hubs: EventHubsEmulator, condition: str, told: str) -> None:
    hubs.faults.refusal = condition
    assert (await refusal(sink_to(hubs))) == f"the hub 'llm' of 127.0.0.1:{hubs.port} {told}"


async def test_a_right_that_is_taken_away_later_is_told_by_the_send(hubs: EventHubsEmulator) -> None:
    async with opened(sink_to(hubs)) as sink:
        hubs.faults.denied = True
        with pytest.raises(Denied, match="needs the right Send"):
            await sink.send([event(0)])


@pytest.mark.parametrize(
    ("string", "told"),
    [
        ("", "the environment variable CONN is not set"),
        ("nonsense", "has no Endpoint; copy it whole"),
        (
            "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKey=secret",
            "no hub of ns.servicebus.windows.net is named",
        ),
        ("Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKey=secret;EntityPath=llm", "copy it whole"),
        ("Endpoint=sb://ns.servicebus.windows.net/;EntityPath=llm", "copy it whole"),
    ],
)
async def test_a_connection_string_that_is_none_is_told_before_anything_is_sent(string: str, told: str) -> None:
    text = await refusal(EventHubsSink(EventHubsConnection(connection_string_env="CONN"), {"CONN": string}))
    assert told in text and "secret" not in text


async def test_without_the_azure_extra_the_fix_is_named(
    hubs: EventHubsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.eventhub.aio", None)
    assert "pip install 'tokenweir[azure]'" in await refusal(sink_to(hubs))


async def test_nothing_is_open_before_open_and_after_close(hubs: EventHubsEmulator) -> None:
    sink = sink_to(hubs)
    await sink.close()
    async with opened(sink):
        await sink.send([event(0)])
        assert repr(sink) == f"<EventHubsSink to the hub 'llm' of 127.0.0.1:{hubs.port}, 4 partitions>"
    await asyncio.to_thread(hubs.until, lambda: hubs.connections == 0)


async def test_a_namespace_out_of_reach_is_told() -> None:
    string = (
        f"Endpoint=sb://127.0.0.1:{closed_port()}/;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true"
    )
    sink = EventHubsSink(EventHubsConnection(connection_string_env="CONN", hub="llm"), {"CONN": string})
    with pytest.raises(Unavailable, match="no connection to the hub 'llm'"):
        await sink.open()
    await sink.close()


# --- TLS and a managed identity ---


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[EventHubsEmulator, str]]:
    """A hub that speaks TLS, and the file that says whom to trust."""
    context, authority = tls_pair("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with running_event_hubs(tls=context) as emulator:
        yield emulator, str(tmp_path / "ca.pem")
    gc.collect()


def identity_sink(hubs: EventHubsEmulator, ca_bundle: str | None) -> EventHubsSink:
    connection = EventHubsConnection(
        namespace="ns.servicebus.windows.net",
        hub="llm",
        managed_identity=True,
        endpoint=f"sb://127.0.0.1:{hubs.port}",
        ca_bundle=ca_bundle,
    )
    return EventHubsSink(connection, {})


@pytest.mark.parametrize("through", ["directly", "through a proxy", "past a proxy"])
async def test_amqp_goes_inside_websockets_where_nothing_but_https_is_let_out(
    hubs: EventHubsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    tls, authority = tls_pair("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    proxy = TunnelProxy()
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running_websocket_door(hubs.port, tls) as port:
        async with serving(proxy.script) as proxy_port:
            if through != "directly":
                monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy_port}")
            if through == "past a proxy":
                monkeypatch.setenv("NO_PROXY", "localhost")
            string = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey"
            connection = EventHubsConnection(
                connection_string_env="CONN",
                endpoint=f"sb://localhost:{port}",
                websockets=True,
                ca_bundle=str(tmp_path / "ca.pem"),
            )
            environ = {"CONN": f"{string};SharedAccessKey={KEY};EntityPath=llm"}
            async with opened(EventHubsSink(connection, environ)) as sink:
                await sink.send([event(number, "a") for number in range(50)])
    assert numbers(arrived(hubs)) == list(range(50))
    assert bool(proxy.heads) == (through == "through a proxy")


async def test_a_managed_identity_signs_in_over_tls(
    authority: tuple[EventHubsEmulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs, ca_bundle = authority
    with serving_identity(SystemClock(), monkeypatch) as identity:
        async with opened(identity_sink(hubs, ca_bundle)) as sink:
            await sink.send([event(0)])
        assert identity.requests[0][2]["resource"] == ["https://eventhubs.azure.net/"]
        assert len(identity.requests) == 1  # the token is kept
    assert numbers(arrived(hubs)) == [0]
    assert set(hubs.tokens) == {"token-1"}


async def test_an_identity_without_its_role_or_without_a_token_is_told(
    authority: tuple[EventHubsEmulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs, ca_bundle = authority
    with serving_identity(SystemClock(), monkeypatch) as identity:
        hubs.faults.denied = True
        assert (await refusal(identity_sink(hubs, ca_bundle))).endswith("the role Azure Event Hubs Data Sender")
        hubs.faults.refused_tokens = True
        assert "refused the managed identity's token" in await refusal(identity_sink(hubs, ca_bundle))
        identity.is_ill = True
        assert (await refusal(identity_sink(hubs, ca_bundle))).startswith("no token could be had")


async def test_a_certificate_that_nobody_trusts_is_told(
    authority: tuple[EventHubsEmulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs, _ = authority
    with serving_identity(SystemClock(), monkeypatch):
        text = await refusal(identity_sink(hubs, None))
        assert text.startswith(f"the certificate of sb://127.0.0.1:{hubs.port} is not to be trusted (")
        assert text.endswith("name its authority's PEM file in ca_bundle")
        assert "is not there" in await refusal(identity_sink(hubs, "nowhere.pem"))

"""Events in a Kafka topic, through a real broker; and what a person is told where there is none."""

import logging
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import errors

from support.call_records import a_call
from support.kafka_broker import Broker, running_broker
from support.servers import closed_port, tls_pair
from tokenweir.delivery import DeliveryError, Denied, Rejected, Throttled, Unavailable
from tokenweir.delivery.sinks import JsonEvent, KafkaConnection
from tokenweir.delivery.sinks.formats import SMALLEST_LIMIT, fit_json
from tokenweir.delivery.sinks.kafka import KafkaSink
from tokenweir.records import Duration, Size

from ..conftest import Told

pytestmark = pytest.mark.anyio

CONNECTION_STRING = "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=hub-secret"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}  # as the books run


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running_broker() as running:
        yield running


def sink_to(broker: Broker, **settings: Any) -> KafkaSink:
    usual: dict[str, Any] = {"servers": broker.servers, "topic": "llm", "tls": False}
    return KafkaSink(KafkaConnection(**(usual | settings)), {})


@asynccontextmanager
async def opened(sink: KafkaSink) -> AsyncIterator[KafkaSink]:
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


def an_event(number: int, key: str | None = None, size: int = 1) -> JsonEvent:
    return JsonEvent(
        body=b"%d " % number + b"x" * size, key=key, call_id=f"call-{number}", properties={"seq": str(number)}
    )


def number_of(value: bytes) -> int:
    return int(value.split(b" ")[0])


async def test_every_event_arrives_and_those_of_a_key_in_their_order(broker: Broker) -> None:
    async with opened(sink_to(broker)) as sink:
        await sink.send([an_event(n, key="abc"[n % 3]) for n in range(600)])
        await sink.send([an_event(n, key="abc"[n % 3]) for n in range(600, 900)])
    messages = await broker.messages("llm", 900)

    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    for _, key, value, _ in messages:
        by_key[key].append(number_of(value))
    assert {key: (len(numbers), numbers == sorted(numbers)) for key, numbers in by_key.items()} == {
        b"a": (300, True),
        b"b": (300, True),
        b"c": (300, True),
    }


async def test_properties_and_content_type_are_headers(broker: Broker, told: Told) -> None:
    [event] = fit_json(a_call(), told(cloud_events=True), sys.maxsize)
    async with opened(sink_to(broker)) as sink:
        await sink.send([event])
    [(_, key, value, headers)] = await broker.messages("llm", 1)

    assert (key, value) == (b"team-a", event.body)
    assert headers["content-type"] == b"application/cloudevents+json"
    assert headers["call_id"] == event.call_id.encode()


async def test_parts_without_a_key_stay_together_and_can_be_joined(broker: Broker, told: Told) -> None:
    records = [a_call(call_id=f"call-{n}", request_body="x" * 9_000) for n in range(8)]
    events = [fit_json(record, told(partition_by="none"), SMALLEST_LIMIT) for record in records]
    async with opened(sink_to(broker)) as sink:
        await sink.send([part for parts in events for part in parts])
    messages = await broker.messages("llm", sum(len(parts) for parts in events))

    joined: dict[bytes, bytes] = defaultdict(bytes)
    places: dict[bytes, set[int]] = defaultdict(set)
    for partition, key, value, headers in messages:
        assert key is None
        joined[headers["call_id"]] += value
        places[headers["call_id"]].add(partition)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(set.union(*places.values())) > 1
    for record in records:
        [whole] = fit_json(record, told(), sys.maxsize)
        assert joined[record.call_id.encode()] == whole.body


async def test_an_event_that_is_too_large_is_rejected_and_the_others_arrive(broker: Broker) -> None:
    limit = 50_000
    async with opened(sink_to(broker, max_event_size=Size(limit))) as sink:
        with pytest.raises(Rejected, match="larger than max_event_size, 50000 bytes") as raised:
            await sink.send([an_event(1), an_event(2, size=60_000), an_event(3)])
    messages = await broker.messages("llm", 2)

    assert [event.call_id for event in raised.value.events] == ["call-2"]
    assert {number_of(value) for _, _, value, _ in messages} == {1, 3}


async def test_a_broker_that_goes_away_is_an_outage_and_works_again_when_it_is_back(broker: Broker) -> None:
    sink = sink_to(broker, timeout=Duration(0.5))
    async with opened(sink):
        await sink.send([an_event(1)])
        broker.stop()
        with pytest.raises(Unavailable, match="does not confirm within 0.5 s"):
            await sink.send([an_event(2)])
        with pytest.raises(Unavailable, match="lets us in"):
            await sink.open()
        broker.start()  # its memory is empty
        await sink.open()
        await sink.send([an_event(2), an_event(3)])

    assert {number_of(value) for _, _, value, _ in await broker.messages("llm", 2)} == {2, 3}


async def test_a_producer_is_idempotent_where_the_broker_lets_it_be(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    with running_broker("null://") as numbering:
        sink = sink_to(numbering)
        await sink._start(sink._options())
        assert sink._opened._txn_manager.has_pid()
        await sink.close()
    assert "a message may be there twice" not in caplog.text

    async with opened(sink_to(broker)) as sink:
        assert sink._opened._txn_manager is None
    assert "gives us no producer id (UnknownError), so a message may be there twice" in caplog.text


async def test_a_topic_that_is_not_there_waits_for_a_person() -> None:
    with running_broker("null://") as without_topics:
        sink = sink_to(without_topics, timeout=Duration(0.2))
        with pytest.raises(Denied, match="there is no topic 'llm' of 127.0.0.1"):
            await sink.open()
        await sink.close()


async def test_no_message_is_told_to_the_log(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(sink_to(broker)) as sink:
        await sink.send([JsonEvent(body=b"a prompt", call_id="c", properties={})])

    assert "a prompt" not in caplog.text


async def test_nobody_listening_is_an_outage() -> None:
    sink = KafkaSink(KafkaConnection(servers=f"127.0.0.1:{closed_port()}", topic="llm", tls=False), {})
    with pytest.raises(Unavailable, match="no server of 127.0.0.1:.* lets us in: it is asked in plaintext"):
        await sink.open()
    await sink.close()


async def test_a_broker_that_speaks_plaintext_is_not_asked_over_tls_in_silence(broker: Broker) -> None:
    sink = KafkaSink(KafkaConnection(servers=broker.servers, topic="llm", timeout=Duration(5)), {})
    with pytest.raises(Unavailable, match="asked over TLS; if its listener is PLAINTEXT .* set `tls = false`"):
        await sink.open()
    await sink.close()


async def test_an_event_hubs_connection_string_says_it_all() -> None:
    settings = KafkaConnection(connection_string_env="HUB")
    sink = KafkaSink(settings, {"HUB": f"{CONNECTION_STRING};EntityPath=calls"})
    options = sink._options()

    assert options["bootstrap_servers"] == ["n.servicebus.windows.net:9093"]
    assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "PLAIN")
    assert options["sasl_plain_username"] == "$ConnectionString"
    assert options["sasl_plain_password"] == f"{CONNECTION_STRING};EntityPath=calls"
    assert (options["acks"], options["max_request_size"]) == ("all", 1_000_000)
    assert repr(sink) == "<KafkaSink to topic 'calls' of n.servicebus.windows.net:9093, 0 partitions>"


async def test_a_user_signs_in_over_tls_unless_it_is_switched_off(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    tls_pair("broker")[1].cert_pem.write_to_path(str(bundle))
    named = {"servers": "a:1,b:2", "topic": "t", "username": "u", "password_env": "P", "ca_bundle": str(bundle)}
    options = KafkaSink(KafkaConnection(**named), {"P": "kafka-secret"})._options()  # type: ignore[arg-type]
    in_the_clear = KafkaSink(KafkaConnection(servers="a:1", topic="t", tls=False), {})._options()

    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["security_protocol"] == "SASL_SSL"
    assert len(options["ssl_context"].get_ca_certs()) == 1
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "kafka-secret")
    assert in_the_clear["security_protocol"] == "PLAINTEXT"


@pytest.mark.parametrize(
    ("settings", "environ", "said"),
    [
        ({"connection_string_env": "HUB"}, {}, "the environment variable HUB is not set"),
        ({"connection_string_env": "HUB"}, {"HUB": CONNECTION_STRING}, "no hub of n.servicebus.windows.net is named"),
        ({"servers": "a:1", "topic": "t", "username": "u", "password_env": "P"}, {}, "variable P is not set"),
        ({"servers": "a:1", "topic": "t", "ca_bundle": "/none.pem"}, {}, "/none.pem holds no certificates"),
    ],
)
async def test_what_is_missing_is_said_by_opening(settings: dict[str, str], environ: dict[str, str], said: str) -> None:
    sink = KafkaSink(KafkaConnection(**settings), environ)  # type: ignore[arg-type]
    with pytest.raises(Denied, match=said) as raised:
        await sink.open()
    await sink.close()
    assert "hub-secret" not in str(raised.value)


async def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    with pytest.raises(Denied, match=r"pip install 'tokenweir\[kafka\]'"):
        await KafkaSink(KafkaConnection(servers="a:1", topic="t"), {}).open()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (errors.UnknownTopicOrPartitionError(), Denied, "there is no topic 't' of a:1: create it"),
        (errors.TopicAuthorizationFailedError("t"), Denied, "we may not write to topic 't'"),
        (errors.AuthenticationFailedError("no"), Denied, "does not accept our user"),
        (errors.MessageSizeTooLargeError(), Denied, "takes smaller messages than max_event_size"),
        (errors.QuotaViolationError(), Throttled, "is busy"),
        (errors.KafkaTimeoutError(), Unavailable, "does not confirm within 30 s"),
        (errors.NotEnoughReplicasError(), Unavailable, r"takes nothing now \(NotEnoughReplicasError\)"),
    ],
)
async def test_what_a_broker_says_in_words_for_a_person(error: Exception, kind: type[DeliveryError], said: str) -> None:
    ours = KafkaSink(KafkaConnection(servers="a:1", topic="t"), {})._as_ours(error)

    assert type(ours) is kind
    assert said.replace("\\", "") in str(ours)

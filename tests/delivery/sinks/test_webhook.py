"""A webhook's requests as a receiver gets them, and what its answers mean."""

import asyncio
import hmac
import json
import logging
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.call_records import a_call
from support.clocks import JumpingClock
from support.journals import NOW
from support.servers import closed_port, read_head, serving, tls_pair
from support.webhook_receiver import Delivery, receiving
from tokenweir.delivery import Denied, Rejected, Throttled, Unavailable
from tokenweir.delivery.sinks import JsonEvent, WebhookConnection
from tokenweir.delivery.sinks.formats import SMALLEST_LIMIT, fit_json
from tokenweir.delivery.sinks.webhook import WebhookSink
from tokenweir.records import Duration, Size

from ..conftest import Told

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}  # as the books run


@asynccontextmanager
async def open_sink(
    url: str | None, environ: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[WebhookSink]:
    sink = WebhookSink(WebhookConnection(url=url, **settings), environ or {}, JumpingClock(NOW))
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


def an_event(number: int, **more: Any) -> JsonEvent:
    return JsonEvent(body=json.dumps({"n": number}).encode(), call_id=str(number), properties={}, **more)


def numbers(deliveries: list[Delivery]) -> list[list[int]]:
    return [[event["n"] for event in json.loads(one.body)] for one in deliveries]


# --- requests ---


async def test_events_are_posted_as_one_array_over_one_connection() -> None:
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        await sink.send([an_event(1), an_event(2)])
        await sink.send([an_event(3)])

    assert numbers(receiver.deliveries) == [[1, 2], [3]]
    assert receiver.deliveries[0].path == "/calls"
    assert receiver.deliveries[0].headers["content-type"] == "application/json"
    assert receiver.connections == 1


async def test_no_request_is_larger_than_the_receiver_takes() -> None:
    limit = 2_000
    async with receiving() as receiver, open_sink(receiver.url, max_event_size=Size(limit)) as sink:
        await sink.send([an_event(n) for n in range(50)])

    assert [n for group in numbers(receiver.deliveries) for n in group] == list(range(50))
    assert 1 < len(receiver.deliveries) < 50
    assert max(len(one.body) for one in receiver.deliveries) <= limit


async def test_envelopes_go_as_a_batch_of_cloud_events(told: Told) -> None:
    [event] = fit_json(a_call(), told(cloud_events=True), sys.maxsize)
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        await sink.send([event, event])

    [delivery] = receiver.deliveries
    assert delivery.headers["content-type"] == "application/cloudevents-batch+json"
    assert [one["specversion"] for one in json.loads(delivery.body)] == ["1.0", "1.0"]


async def test_parts_go_alone_and_say_what_they_are_so_that_they_can_be_joined(told: Told) -> None:
    record = a_call(request_body="x" * 9_000)
    parts = fit_json(record, told(), SMALLEST_LIMIT)
    [whole] = fit_json(record, told(), sys.maxsize)
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        await sink.send([an_event(1), *parts, an_event(2)])

    first, *middle, last = receiver.deliveries
    assert numbers([first, last]) == [[1], [2]]
    assert b"".join(one.body for one in middle) == whole.body
    assert [one.headers["x-tokenweir-part"] for one in middle] == [str(n) for n in range(1, len(parts) + 1)]
    assert {one.headers["x-tokenweir-call-id"] for one in middle} == {record.call_id}
    assert {one.headers["x-tokenweir-parts"] for one in middle} == {str(len(parts))}
    assert "x-tokenweir-part" not in first.headers


async def test_a_request_is_signed_as_standard_webhooks_say() -> None:
    key = b"a key that nobody guesses"
    environ = {"SECRET": f"whsec_{b64encode(key).decode()}"}
    async with receiving() as receiver, open_sink(receiver.url, environ, secret_env="SECRET") as sink:
        await sink.send([an_event(1)])
        await sink.send([an_event(1)])
        await sink.send([an_event(2)])

    first, again, other = receiver.deliveries
    name, seconds = first.headers["webhook-id"], first.headers["webhook-timestamp"]
    signed = hmac.new(key, f"{name}.{seconds}.".encode() + first.body, "sha256").digest()
    assert first.headers["webhook-signature"] == f"v1,{b64encode(signed).decode()}"
    assert int(seconds) == NOW.timestamp()
    assert again.headers["webhook-id"] == name != other.headers["webhook-id"]


async def test_a_token_is_sent_and_without_one_nothing_is() -> None:
    async with receiving() as receiver:
        async with open_sink(receiver.url, {"TOKEN": "hook-token"}, token_env="TOKEN") as sink:
            await sink.send([an_event(1)])
        async with open_sink(receiver.url) as sink:
            await sink.send([an_event(1)])

    signed_in, plain = receiver.deliveries
    assert signed_in.headers["authorization"] == "Bearer hook-token"
    assert "authorization" not in plain.headers
    assert "webhook-signature" not in plain.headers


async def test_a_url_with_a_key_in_it_is_used_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    environ: dict[str, str] = {}
    async with receiving() as receiver:
        environ["URL"] = f"{receiver.url}?code=hook-key"
        async with open_sink(None, environ, url_env="URL") as sink:
            await sink.send([an_event(1)])
            receiver.answer = lambda delivery: "404 Not Found"
            with pytest.raises(Denied) as raised:
                await sink.send([an_event(1)])
            told = f"{raised.value} {sink!r} {caplog.text}"

    assert receiver.deliveries[0].path == "/calls?code=hook-key"
    assert "hook-key" not in told


# --- answers ---


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_events_that_are_not_wanted_are_found_and_all_others_are_sent(status: int) -> None:
    def answer(delivery: Delivery) -> str:
        return f"{status} No" if {3, 6} & {one["n"] for one in json.loads(delivery.body)} else "200 OK"

    async with receiving() as receiver, open_sink(receiver.url) as sink:
        receiver.answer = answer
        with pytest.raises(Rejected, match=f"127.0.0.1:.* answers {status}") as raised:
            await sink.send([an_event(n) for n in range(1, 8)])
        taken = [one for one in receiver.deliveries if answer(one) == "200 OK"]

    assert [event.call_id for event in raised.value.events] == ["3", "6"]
    assert [n for group in numbers(taken) for n in group] == [1, 2, 4, 5, 7]


@pytest.mark.parametrize(("header", "seconds"), [("Retry-After: 7", 7.0), ("Retry-After: soon", None), ("X: y", None)])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_receiver_throttles(status: int, header: str, seconds: float | None) -> None:
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        receiver.answer = lambda delivery: f"{status} Busy\r\n{header}"
        with pytest.raises(Throttled) as raised:
            await sink.send([an_event(1)])

    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("status", [408, 500, 502])
async def test_a_receiver_with_a_bad_day_is_asked_again(status: int) -> None:
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        receiver.answer = lambda delivery: f"{status} Oh"
        with pytest.raises(Unavailable, match=f"returned {status} \\(server error\\)"):
            await sink.send([an_event(1)])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("401 Unauthorized", "does not accept us .*token_env"),
        ("403 Forbidden", "does not let us in"),
        ("404 Not Found", "has nothing at this path .*url"),
        ("405 No", "takes no POST"),
        ("410 Gone", "answers 410: ask who runs it"),
        ("302 Found\r\nLocation: https://elsewhere/", "sends us elsewhere"),
    ],
)
async def test_what_only_a_person_can_fix_is_said_in_words(answer: str, said: str) -> None:
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        receiver.answer = lambda delivery: answer
        with pytest.raises(Denied, match=said):
            await sink.send([an_event(1)])
    assert len(receiver.deliveries) == 1


async def test_a_look_at_the_receiver_sends_nothing_and_takes_any_answer() -> None:
    async with receiving() as receiver, open_sink(receiver.url) as sink:
        receiver.answer = lambda delivery: "405 Method Not Allowed"
        await sink.reach()
    assert [one.body for one in receiver.deliveries] == [b""]

    async with open_sink(f"http://127.0.0.1:{closed_port()}/") as sink:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sink.reach()


async def test_nobody_listening_is_an_outage() -> None:
    async with open_sink(f"http://127.0.0.1:{closed_port()}/") as sink:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sink.send([an_event(1)])


async def test_a_connection_that_breaks_is_an_outage_each_time() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)

    async with serving(break_off) as port, open_sink(f"http://127.0.0.1:{port}/") as sink:
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot be reached"):
                await sink.send([an_event(1)])
            await sink.open()


async def test_a_receiver_that_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port, open_sink(f"http://127.0.0.1:{port}/", timeout=Duration(0.05)) as sink:
        with pytest.raises(Unavailable, match="does not answer within 0.05 s"):
            await sink.send([an_event(1)])


async def test_tls_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    server, authority = tls_pair("127.0.0.1")
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with receiving(server) as receiver:
        async with open_sink(receiver.url) as sink:
            with pytest.raises(Denied, match="certificate of 127.0.0.1:.* is not trusted .*`ca_bundle`"):
                await sink.send([an_event(1)])
        async with open_sink(receiver.url, ca_bundle=str(bundle)) as sink:
            await sink.send([an_event(1)])

    assert numbers(receiver.deliveries) == [[1]]


# --- what is missing ---


@pytest.mark.parametrize(
    ("settings", "environ", "said"),
    [
        ({"url_env": "URL"}, {}, "the environment variable URL is not set"),
        ({"url": "http://h/", "token_env": "TOKEN"}, {"TOKEN": " "}, "the environment variable TOKEN is not set"),
        ({"url": "http://h/", "secret_env": "S"}, {"S": "hook-secret!"}, "S holds no secret in base64"),
        ({"url": "http://h/", "ca_bundle": "/none.pem"}, {}, "/none.pem holds no certificates"),
    ],
)
async def test_what_is_missing_is_said_by_opening(settings: dict[str, str], environ: dict[str, str], said: str) -> None:
    sink = WebhookSink(WebhookConnection(**settings), environ)  # type: ignore[arg-type]
    with pytest.raises(Denied, match=said) as raised:
        await sink.open()
    await sink.close()
    assert "hook-secret" not in str(raised.value)


async def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(Denied, match=r"pip install 'tokenweir\[webhook\]'"):
        await WebhookSink(WebhookConnection(url="http://h/"), {}).open()


async def test_a_url_that_is_none_waits_for_a_person() -> None:
    async with open_sink(None, {"URL": "example.com?code=k"}, url_env="URL") as sink:
        with pytest.raises(Denied, match="URL is none"):
            await sink.send([an_event(1)])

"""Days on which somebody asks why a call failed, or was slow: its trace has been kept."""

import threading
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from support.raw_client import RawClient, chat_request, get_request, upload_head
from support.relay_thread import RelayThread
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World, on_both_hosts
from tokenweir.gateway import tracing
from tokenweir.policy import DebugTokens
from tokenweir.records import CallRecord, Trace
from tokenweir.simulator import Script

SECRET = "a secret that signs debug tokens, of some length"
NOTHING_BY_ITSELF = {"failed": False, "slow_call": 1e9, "slow_first_byte": 1e9}


def trace_in(record: CallRecord) -> Trace:
    assert record.trace is not None
    return record.trace


def debug_line(api: str = "openai", lasts: timedelta = timedelta(hours=1), secret: str = SECRET) -> str:
    return f"Apim-Debug-Authorization: {DebugTokens(secret, api).issue(datetime.now(UTC) + lasts)}"


def ask(relay: RelayThread, request: bytes) -> dict[str, str]:
    """The answer's headers."""
    with RawClient(relay.address) as client:
        client.send(request)
        return dict(client.read_answer().fields)


@on_both_hosts
def test_a_call_that_goes_well_leaves_no_trace(world: World) -> None:
    relay = world.relay()
    ask(relay, chat_request(stream=True))
    assert relay.record().trace is None


@on_both_hosts
def test_a_call_that_fails_tells_each_attempt_and_why_it_was_not_the_last(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(b"{}", "retry-after: 7", "x-ratelimit-remaining-tokens: 0", status="429 Too Many Requests"))
        line.wait_closed()

    relay = world.relay("http://127.0.0.1:1", world.upstream(play), world.upstream(play))
    ask(relay, chat_request(deployment="faulty"))
    record = relay.record()
    trace = trace_in(record)

    assert trace.reasons == ["failed"]
    assert [(one.backend, one.deployment) for one in trace.targets] == [(f"faulty-{n}", "faulty") for n in range(3)]
    refused, throttled, last = trace.attempts
    assert (refused.target, refused.error, refused.status, refused.sent_ms) == (0, "upstream_unreachable", None, None)
    assert (throttled.target, throttled.status, throttled.error) == (1, 429, None)
    assert (last.target, last.status) == (2, 429)
    assert dict(last.headers)["x-ratelimit-remaining-tokens"] == "0"
    moments = [trace.body_ms, refused.began_ms, throttled.began_ms, throttled.connected_ms, throttled.sent_ms]
    moments += [throttled.answered_ms, last.began_ms, last.connected_ms, last.sent_ms, record.latency_ms]
    assert moments == sorted(moment for moment in moments if moment is not None)
    assert trace.arrivals == []


def test_a_refused_call_has_a_trace_without_attempts(world: World) -> None:
    relay = world.relay()
    ask(relay, chat_request(key="wrong"))
    trace = trace_in(relay.record())
    assert (trace.reasons, trace.targets, trace.attempts) == (["failed"], [], [])


def test_a_request_that_could_not_be_read_has_one_too(world: World) -> None:
    relay = world.relay()
    ask(relay, b"GET / HTTP/1.1\r\nbad line\r\n\r\n")
    trace = trace_in(relay.record())
    assert (trace.reasons, trace.request_headers) == (["failed"], [])


def test_a_connection_that_had_grown_old_is_an_attempt_of_its_own(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(b'{"n": 1}'))
        if line.number == 0:
            line.read_head()
            line.reset()
        else:
            line.wait_closed()

    relay = world.relay(world.upstream(play), tracing={"sample": 1.0})
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(chat_request(deployment="faulty"))
            assert client.read_answer().status == 200
    fresh, stale = (trace_in(record).attempts for record in relay.records(2))
    assert [one.error for one in fresh] == [None]
    assert [(one.error, one.status, one.connected_ms is None) for one in stale] == [
        ("upstream_broken", None, True),
        (None, 200, False),
    ]


def test_a_refused_stream_options_is_an_attempt_of_its_own(world: World) -> None:
    relay = world.relay(tracing={"sample": 1.0})
    ask(relay, chat_request(Script(refuse_stream_options=True), stream=True))
    first, second = trace_in(relay.record()).attempts
    assert (first.status, second.status) == (400, 200)
    assert first.answered_ms is not None and first.answered_ms <= second.began_ms


@pytest.mark.parametrize(("limit", "reasons"), [("slow_first_byte", ["slow"]), ("slow_call", ["slow"]), (None, None)])
def test_a_slow_call_is_traced_though_nobody_knew_beforehand(
    world: World, limit: str | None, reasons: list[str] | None
) -> None:
    asked, jumped = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        assert jumped.wait(20)
        line.send(answer(b"{}"))
        line.wait_closed()

    tracing = NOTHING_BY_ITSELF | ({limit: 4.0} if limit else {})
    relay = world.relay(world.upstream(play), tracing=tracing)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        relay.jump(5)
        jumped.set()
        assert client.read_answer().status == 200
    trace = relay.record().trace
    assert (trace and trace.reasons) == reasons


@on_both_hosts
def test_a_debug_token_has_a_call_traced_with_its_arrivals_and_stays_here(world: World) -> None:
    heads: list[bytes] = []

    def play(line: Line) -> None:
        heads.append(line.read_request()[0])
        line.send(STREAM_HEAD + chunked(frame("a")))
        seen.wait(20)
        line.send(chunked(frame("b"), USAGE, DONE) + LAST_CHUNK)
        line.wait_closed()

    seen = threading.Event()
    relay = world.relay(world.upstream(play), tracing={"secret": SECRET, **NOTHING_BY_ITSELF})
    with RawClient(relay.address) as client:
        client.send(chat_request(None, debug_line(), deployment="faulty", stream=True))
        status, headers = client.read_head()
        client.read_chunk()
        seen.set()
        while client.read_chunk():
            pass
    record = relay.record()
    trace = trace_in(record)

    assert status == 200
    assert headers["apim-trace-id"] == headers["x-tokenweir-call-id"] == record.call_id
    assert trace.reasons == ["asked"]
    assert len(trace.arrivals) >= 2
    assert sum(size for _, size in trace.arrivals) == record.bytes_out
    assert b"apim-debug-authorization" not in heads[0]
    assert trace.attempts[0].answered_ms is not None


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (debug_line(lasts=timedelta(seconds=-1)), "apim-debug-authorization-expired"),
        (debug_line(api="other"), "apim-debug-authorization-wrongapi"),
    ],
    ids=["expired", "of another API"],
)
def test_a_token_that_does_not_count_is_answered_so_and_the_call_goes_on(world: World, line: str, header: str) -> None:
    relay = world.relay(tracing={"secret": SECRET})
    headers = ask(relay, chat_request(None, line))
    assert header in headers
    assert "apim-trace-id" not in headers
    assert (relay.record().status, relay.record().trace) == (200, None)


def test_a_token_that_is_not_ours_goes_to_the_upstream_as_it_came(world: World) -> None:
    heads: list[bytes] = []

    def play(line: Line) -> None:
        heads.append(line.read_request()[0])
        line.send(answer(b"{}", "Apim-Trace-Id: of-api-management"))
        line.wait_closed()

    relay = world.relay(world.upstream(play), tracing={"secret": SECRET})
    foreign = debug_line(secret="API Management's own")
    headers = ask(relay, chat_request(None, foreign, deployment="faulty"))
    assert foreign.lower().encode() in heads[0]
    assert headers["apim-trace-id"] == "of-api-management"
    assert relay.record().trace is None


def test_a_refusal_names_its_trace_as_well(world: World) -> None:
    relay = world.relay(tracing={"secret": SECRET})
    headers = ask(relay, chat_request(None, debug_line(), key="wrong"))
    assert headers["apim-trace-id"] == relay.record().call_id
    assert trace_in(relay.record()).reasons == ["asked", "failed"]


def test_of_a_stream_without_end_the_first_arrivals_are_kept_and_the_rest_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_MOST_ARRIVALS", 2)
    seen = threading.Semaphore(0)

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD)
        for event in [frame("a"), frame("b"), frame("c"), DONE]:
            line.send(chunked(event))
            seen.acquire(timeout=20)
        line.send(LAST_CHUNK)
        line.wait_closed()

    relay = world.relay(world.upstream(play), tracing={"sample": 1.0})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        client.read_head()
        while client.read_chunk():
            seen.release()
    trace = trace_in(relay.record())
    assert [size for _, size in trace.arrivals] == [len(frame("a"))] * 2
    assert trace.arrivals_left_out == 2


@on_both_hosts
def test_no_secret_is_in_a_trace(world: World) -> None:
    names = ("Cookie", "X-Secret", "Referer", "X-Ms-Token-Aad-Access-Token", "Apim-Debug-Authorization")
    canaries = [f"{name}: c4nary" for name in names]
    relay = world.relay(tracing={"sample": 1.0})
    body = b'{"messages": [{"role": "user", "content": "c4nary"}], "user": "c4nary", "model": "gpt-4o"}'
    ask(relay, chat_request(None, *canaries, body=body))
    ask(relay, get_request("/openai/models?api-version=2024-10-21&subscription-key=c4nary", key="c4nary"))
    for record in relay.records(2):
        assert b"c4nary" not in msgspec.json.encode(trace_in(record))


def test_an_uploads_own_time_is_part_of_its_time(world: World) -> None:
    relay = world.relay(tracing={"sample": 1.0})
    ask(relay, upload_head(5) + b"hello")
    record = relay.record()
    assert 0 <= record.gateway_ms <= record.latency_ms
    assert 0 <= (trace_in(record).attempts[0].sent_ms or -1) <= record.latency_ms

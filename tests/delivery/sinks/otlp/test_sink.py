"""Spans as a collector gets them, and what its answers mean: taken, tried again, buried, or a person's business."""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans as ScopeSpansMessage, Span as SpanMessage, Status

from support.call_records import a_call, any_record
from support.journals import write_journal
from support.otlp_collector import Answer, Collector, Export, attributes_of, collecting, running_collector
from support.servers import closed_port, serving
from tokenweir.delivery import Denied, Rejected, Throttled, Unavailable
from tokenweir.delivery.sinks import OtlpConnection, SinkSettings
from tokenweir.delivery.sinks.otlp.calls import spans_of
from tokenweir.delivery.sinks.otlp.protobuf import encode_spans, export_request
from tokenweir.delivery.sinks.otlp.sink import OtlpSink, SpansEvent, fit_spans
from tokenweir.delivery.sinks.otlp.span import ScopeSpans
from tokenweir.records import CallRecord, Duration, Size

from ...conftest import Run

anyio = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}  # as the books run


@asynccontextmanager
async def open_sink(
    url: str | None, environ: dict[str, str] | None = None, *, may_quote: bool = True, **settings: Any
) -> AsyncIterator[OtlpSink]:
    sink = OtlpSink(OtlpConnection(url=url, **settings), environ or {}, may_quote=may_quote)
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


def calls(count: int, **fields: Any) -> list[CallRecord]:
    return [a_call(**({"call_id": f"call-{number}", "attempts": 1} | fields)) for number in range(1, count + 1)]


def events(records: list[CallRecord]) -> list[SpansEvent]:
    settings = SinkSettings("spans", "otlp", OtlpConnection())
    return [event for record in records for event in fit_spans(record, settings, 1_000_000)]


# --- requests ---


@anyio
async def test_calls_arrive_as_spans_in_one_compressed_request() -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        await sink.send(events(calls(3)))

    [export] = collector.exports
    assert export.call_ids == ["call-1", "call-2", "call-3"]
    assert len(export.spans) == 6
    assert export.headers["content-encoding"] == "gzip"
    assert export.size < export.message.ByteSize() / 2


@anyio
async def test_a_span_arrives_as_it_was_made() -> None:
    record = a_call(attempts=1, finish_reasons=["stop", "length"], stream=True, outcome="upstream_broken")
    async with collecting() as collector, open_sink(collector.url) as sink:
        await sink.send(events([record]))

    made, attempt = spans_of(record)
    call, beneath = collector.spans
    assert (call.trace_id.hex(), call.span_id.hex(), call.parent_span_id) == (made.trace_id, made.span_id, b"")
    assert (beneath.span_id.hex(), beneath.parent_span_id.hex()) == (attempt.span_id, made.span_id)
    assert (call.kind, beneath.kind) == (SpanMessage.SpanKind.SPAN_KIND_SERVER, SpanMessage.SpanKind.SPAN_KIND_CLIENT)
    assert (call.name, call.flags) == (made.name, made.flags)
    assert (str(call.start_time_unix_nano), str(call.end_time_unix_nano)) == (
        made.start_time_unix_nano,
        made.end_time_unix_nano,
    )
    assert [(event.name, str(event.time_unix_nano)) for event in call.events] == [
        (event.name, event.time_unix_nano) for event in made.events
    ]
    assert call.status.code == Status.StatusCode.STATUS_CODE_ERROR
    said = attributes_of(call.attributes)
    assert [one.key for one in made.attributes] == list(said)
    assert said["gen_ai.response.finish_reasons"] == ["stop", "length"]
    assert said["gen_ai.usage.input_tokens"] == 9
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.response.time_to_first_chunk"] == 0.1209


@given(any_record())
def test_any_call_becomes_a_request_that_can_be_read(record: CallRecord) -> None:
    encoded = [event.encoded for event in events([record])]
    export = Export({}, 0, _read(export_request(encoded, {"service.name": "s"})))

    assert export.call_ids == [record.call_id]


def _read(body: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(body)


@given(any_record())
def test_an_event_is_otlps_json_and_says_the_same_as_the_message(record: CallRecord) -> None:
    [event] = events([record])
    written = json.loads(event.letter()["event"])
    for span in written["spans"]:
        # Its one difference from protobuf's own JSON: ids are hex there and base64 here.
        for name in ("traceId", "spanId", "parentSpanId"):
            span[name] = b64encode(bytes.fromhex(span.get(name, ""))).decode()
    message = _read(export_request([event.encoded], {}))

    assert ParseDict(written, ScopeSpansMessage()).spans == message.resource_spans[0].scope_spans[0].spans


@anyio
async def test_no_request_is_larger_than_the_receiver_takes() -> None:
    limit = 20_000
    async with collecting() as collector, open_sink(collector.url, max_event_size=Size(limit)) as sink:
        await sink.send(events(calls(30)))

    assert [one for export in collector.exports for one in export.call_ids] == [f"call-{n}" for n in range(1, 31)]
    assert 1 < len(collector.exports) < 30
    assert max(export.message.ByteSize() for export in collector.exports) <= limit


@anyio
async def test_opentelemetrys_variables_say_what_the_spans_are_of() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,deployment.environment.name=a%20b,,odd, =y"}
    async with collecting() as collector:
        for more in ({}, {"OTEL_SERVICE_NAME": "weir"}):
            async with open_sink(collector.url, environ | more) as sink:
                await sink.send(events(calls(1)))
        async with open_sink(collector.url) as sink:
            await sink.send(events(calls(1)))

    described = [export.resource for export in collector.exports]
    assert [one["service.name"] for one in described] == ["x", "weir", "tokenweir"]
    assert described[0]["deployment.environment.name"] == "a b"
    assert "service.version" in described[0] and "odd" not in described[0]


@anyio
async def test_headers_come_from_a_variable_and_are_never_told(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"HEADERS": "Authorization=Basic%20c2VjcmV0, x-tenant = a=b"}
    async with collecting() as collector, open_sink(collector.url, environ, headers_env="HEADERS") as sink:
        collector.answer = lambda export: Answer("401 No")
        with pytest.raises(Denied, match="does not accept us .*headers_env") as raised:
            await sink.send(events(calls(1)))
        told = f"{raised.value} {sink!r} {caplog.text}"

    assert collector.exports[0].headers["authorization"] == "Basic c2VjcmV0"
    assert collector.exports[0].headers["x-tenant"] == "a=b"
    assert "c2VjcmV0" not in told


# --- answers ---


@anyio
async def test_a_call_that_is_not_wanted_is_found_and_all_others_are_sent() -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        collector.answer = lambda export: Answer("400 Bad" if {"call-3", "call-6"} & {*export.call_ids} else "200 OK")
        with pytest.raises(Rejected, match=r"127.0.0.1:\d+ answers 400") as raised:
            await sink.send(events(calls(7)))

    assert [event.call_id for event in raised.value.events] == ["call-3", "call-6"]
    assert [one for export in collector.taken for one in export.call_ids] == [f"call-{n}" for n in (1, 2, 4, 5, 7)]


@anyio
async def test_a_partial_success_is_not_repeated_and_all_that_it_may_mean_are_rejected() -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        collector.answer = lambda export: Answer(rejected_spans=1, message="too old")
        with pytest.raises(Rejected, match="1 spans of the 3 calls .* does not say which: too old") as raised:
            await sink.send(events(calls(3)))

    assert [event.call_id for event in raised.value.events] == ["call-1", "call-2", "call-3"]
    assert len(collector.exports) == 1


@anyio
async def test_what_a_receiver_says_is_not_repeated_where_it_may_quote_a_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with collecting() as collector, open_sink(collector.url, may_quote=False) as sink:
        collector.answer = lambda export: Answer(rejected_spans=1, message="bad: a prompt")
        with pytest.raises(Rejected) as raised:
            await sink.send(events(calls(1)))
        collector.answer = lambda export: Answer(message="a prompt, but well")
        await sink.send(events(calls(1)))

    assert "a prompt" not in f"{raised.value} {caplog.text}"


@anyio
async def test_a_warning_beside_success_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        collector.answer = lambda export: Answer(message="attributes are truncated")
        await sink.send(events(calls(1)))

    assert "takes the spans, and says: attributes are truncated" in caplog.text


@anyio
@pytest.mark.parametrize(("header", "seconds"), [("\r\nRetry-After: 7", 7.0), ("", None)])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_collector_throttles(status: int, header: str, seconds: float | None) -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        collector.answer = lambda export: Answer(f"{status} Busy{header}")
        with pytest.raises(Throttled) as raised:
            await sink.send(events(calls(1)))

    assert raised.value.retry_after == seconds


@anyio
@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        ("502 Oh", Unavailable, "server error"),
        ("504 Oh", Unavailable, "server error"),
        ("403 No", Denied, "headers_env"),
        ("415 No", Denied, "no spans in protobuf"),
        ("302 Found\r\nLocation: https://elsewhere/", Denied, "sends us elsewhere"),
    ],
)
async def test_other_answers_are_an_outage_or_a_persons_business(status: str, kind: type[Exception], said: str) -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        collector.answer = lambda export: Answer(status)
        with pytest.raises(kind, match=said):
            await sink.send(events(calls(1)))


@anyio
async def test_a_wrong_path_is_said_with_the_usual_one() -> None:
    async with collecting() as collector, open_sink(collector.url.replace("v1", "v2")) as sink:
        with pytest.raises(Denied, match="usually /v1/traces"):
            await sink.send(events(calls(1)))


@anyio
async def test_a_collector_that_hangs_is_given_up() -> None:
    async with collecting() as collector, open_sink(collector.url, timeout=Duration(0.05)) as sink:
        collector.answer = lambda export: Answer(never_comes=True)
        with pytest.raises(Unavailable, match="does not answer within 0.05 s"):
            await sink.send(events(calls(1)))


@anyio
async def test_an_answer_that_is_no_message_is_taken_for_success() -> None:
    body = b"\xff\xff"
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + body)
        await reader.read()

    async with serving(script) as port, open_sink(f"http://127.0.0.1:{port}/v1/traces") as sink:
        await sink.send(events(calls(1)))


@anyio
async def test_a_look_at_the_collector_sends_no_span_and_says_what_it_thinks_of_us() -> None:
    async with collecting() as collector, open_sink(collector.url) as sink:
        await sink.reach()
        assert [export.spans for export in collector.exports] == [[]]
        collector.answer = lambda export: Answer("401 No")
        with pytest.raises(Denied, match="does not accept us"):
            await sink.reach()


@anyio
async def test_nobody_listening_is_an_outage() -> None:
    async with open_sink(f"http://127.0.0.1:{closed_port()}/v1/traces") as sink:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sink.send(events(calls(1)))


# --- what is missing ---


@anyio
@pytest.mark.parametrize(
    ("settings", "environ", "said"),
    [
        ({"url_env": "URL"}, {}, "the environment variable URL is not set"),
        ({"url": "http://h/", "headers_env": "H"}, {}, "the environment variable H is not set"),
        ({"url": "http://h/", "headers_env": "H"}, {"H": "secret"}, "H holds no headers; write them like"),
        ({"url": "http://h/", "headers_env": "H"}, {"H": "a=secret%0Ax"}, "H holds no headers"),
        ({"url": "http://h/", "headers_env": "H"}, {"H": "a=secret%C3%A9"}, "H holds no headers"),
        ({"url": "http://h/", "ca_bundle": "/none.pem"}, {}, "/none.pem holds no certificates"),
    ],
)
async def test_what_is_missing_is_said_by_opening(settings: dict[str, str], environ: dict[str, str], said: str) -> None:
    sink = OtlpSink(OtlpConnection(**settings), environ, may_quote=True)  # type: ignore[arg-type]
    with pytest.raises(Denied, match=said) as raised:
        await sink.open()
    await sink.close()
    assert "secret" not in str(raised.value)


@anyio
@pytest.mark.parametrize("module", ["httpx", "opentelemetry.proto.trace.v1.trace_pb2"])
async def test_without_the_packages_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.delitem(sys.modules, "tokenweir.delivery.sinks.otlp.protobuf", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    sink = OtlpSink(OtlpConnection(url="http://h/"), {}, may_quote=True)
    with pytest.raises(Denied, match=r"pip install 'tokenweir\[otel\]'"):
        await sink.open()
    await sink.close()


# --- with the pump ---


@pytest.fixture
def collector() -> Any:
    with running_collector() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, collector: Collector) -> Callable[..., Run]:
    """Ships the journal to the collector, from the cursor to the end."""

    def to_its_end(**connection: Any) -> Run:
        told = OtlpConnection(url=collector.url, **connection)
        sink, settings = OtlpSink(told, {}, may_quote=True), SinkSettings("spans", "otlp", told)
        return Run(tmp_path, sink, settings).to_its_end()

    return to_its_end


def arrived(exports: list[Export]) -> list[str]:
    return [one for export in exports for one in export.call_ids]


def test_an_outage_costs_no_span_and_what_came_twice_is_the_same_span(
    tmp_path: Path, collector: Collector, run: Callable[..., Run]
) -> None:
    write_journal(tmp_path / "journal/relay-0", calls(5))
    answers = [Answer(never_comes=True), Answer("502 Oh"), Answer("503 Busy\r\nRetry-After: 30"), Answer()]
    given_answers = iter(answers)
    collector.answer = lambda export: next(given_answers)
    status = run(timeout=Duration(0.2))

    first, *others = [[span.span_id for span in export.spans] for export in collector.exports]
    assert arrived(collector.taken) == [f"call-{number}" for number in range(1, 6)]
    assert len(others) == 3 and all(one == first for one in others)
    assert status.pauses == [0.5, 1.0, 30.0]
    assert (status.outlet.sent, status.delivery.retries) == (5, 3)


def test_rejected_spans_are_dead_letters_that_can_be_sent_by_hand(
    tmp_path: Path, collector: Collector, run: Callable[..., Run], letters: Callable[[], list[dict[str, Any]]]
) -> None:
    write_journal(tmp_path / "journal/relay-0", calls(3))
    collector.answer = lambda export: Answer("400 Bad" if "call-2" in export.call_ids else "200 OK")
    status = run().status()

    [letter] = letters()
    assert (status.sent, status.dead) == (2, 1)
    assert (letter["call_id"], letter["reason"].partition(" ")[2]) == ("call-2", "answers 400")
    spans = msgspec.json.decode(letter["event"], type=ScopeSpans).spans
    again = Export({}, 0, _read(export_request([encode_spans(spans)], {})))
    assert again.call_ids == ["call-2"]


def test_calls_that_are_not_to_be_recorded_are_passed_over(
    tmp_path: Path, collector: Collector, run: Callable[..., Run]
) -> None:
    unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    records = calls(2, traceparent=unsampled) + calls(1, call_id="call-3")
    write_journal(tmp_path / "journal/relay-0", records)
    run()
    write_journal(tmp_path / "journal/relay-0", calls(1, traceparent=unsampled))
    run()

    assert arrived(collector.exports) == ["call-3"]

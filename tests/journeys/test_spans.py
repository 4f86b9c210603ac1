"""A caller that traces itself with OpenTelemetry finds the gateway's spans beneath its own."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AzureOpenAI
from opentelemetry.propagate import inject
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind

from support.otlp_collector import Answer, Collector, attributes_of, running_collector
from support.servers import closed_port
from tokenweir.serve.gateway_process import GatewayProcess, free_port, running_gateway
from tokenweir.simulator import HostedSimulator

SERVER, CLIENT = Span.SpanKind.SPAN_KIND_SERVER, Span.SpanKind.SPAN_KIND_CLIENT


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path, sim: HostedSimulator, collector: Collector) -> Serve:
    """A gateway that knows of the collector by OpenTelemetry's variables alone."""

    @contextmanager
    def start(**environ: str) -> Iterator[GatewayProcess]:
        data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        variables = {
            "AZURE_OPENAI_BASE_URL": sim.url,
            "AZURE_OPENAI_KEY": "upstream-key",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.removesuffix("/v1/traces"),
            "OTEL_SERVICE_NAME": "weir",
            "TOKENWEIR_SERVER__DATA": data,
            "TOKENWEIR_SERVER__ADMIN": admin,
            "TOKENWEIR_SERVER__SHUTDOWN_GRACE": "3s",
            "TOKENWEIR_JOURNAL__CONTENT": "full",
        }
        log = tmp_path / "log"
        with running_gateway(None, data, admin, log=log, environ=variables | environ, directory=tmp_path) as gateway:
            yield gateway

    return start


class Traced:
    """A caller with a tracer: each call is a client span of its own, whose context goes along."""

    def __init__(self, gateway: GatewayProcess, sampler: Sampler = ALWAYS_ON) -> None:
        self._url = gateway.url
        self._tracer = TracerProvider(sampler=sampler).get_tracer("caller")

    def call(self, stream: bool = False) -> tuple[int, int]:
        """The ids of the trace and of the caller's span."""
        messages: Any = [{"role": "user", "content": "A secret question"}]
        with (
            AzureOpenAI(azure_endpoint=self._url, api_key="any", api_version="2024-10-21", max_retries=0) as client,
            self._tracer.start_as_current_span("ask", kind=SpanKind.CLIENT) as span,
        ):
            headers: dict[str, str] = {}
            inject(headers)
            answer = client.chat.completions.create(
                model="gpt-4o", messages=messages, stream=stream, extra_headers=headers
            )
            if stream:
                list(answer)
            context = span.get_span_context()
            return context.trace_id, context.span_id


def until_spans(collector: Collector, count: int) -> list[Span]:
    """So many spans, as soon as they are there; the test's timeout is the only limit."""
    while len(collector.spans) < count:
        time.sleep(0.01)
    return collector.spans


def test_a_call_is_beneath_its_callers_span_and_its_attempt_beneath_the_call(
    serve: Serve, collector: Collector, sim: HostedSimulator
) -> None:
    with serve() as gateway:
        trace_id, span_id = Traced(gateway).call(stream=True)
        call, attempt = until_spans(collector, 2)
        record = httpx.get(f"{gateway.admin_url}/api/calls").json()[0]

    assert (int.from_bytes(call.trace_id), int.from_bytes(call.parent_span_id)) == (trace_id, span_id)
    assert (attempt.trace_id, attempt.parent_span_id) == (call.trace_id, call.span_id)
    assert (call.kind, attempt.kind) == (SERVER, CLIENT)
    assert (call.name, attempt.name) == ("chat gpt-4o", "POST azure")
    assert call.start_time_unix_nano <= attempt.start_time_unix_nano < attempt.end_time_unix_nano
    assert attempt.end_time_unix_nano <= call.end_time_unix_nano
    assert {"tokenweir.first_byte", "tokenweir.first_token"} <= {event.name for event in call.events}
    said = attributes_of(call.attributes)
    assert (said["tokenweir.call_id"], said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (
        record["call_id"],
        record["input_tokens"],
        record["output_tokens"],
    )
    assert attributes_of(attempt.attributes)["http.response.status_code"] == 200
    assert collector.exports[0].resource["service.name"] == "weir"


def test_each_attempt_of_a_traced_call_is_beneath_it(serve: Serve, collector: Collector, sim: HostedSimulator) -> None:
    key = {"key": "upstream-key"}
    upstreams = [
        {"name": "gone", "endpoint": f"http://127.0.0.1:{closed_port()}", "credential": key},
        {"name": "sim", "endpoint": sim.url, "credential": key},
    ]
    targets = [{"upstream": "gone", "priority": 1}, {"upstream": "sim", "priority": 2}]
    with serve(
        TOKENWEIR_UPSTREAMS=json.dumps(upstreams),
        TOKENWEIR_DEPLOYMENTS=json.dumps([{"name": "gpt-4o", "targets": targets}]),
        TOKENWEIR_TRACING__SAMPLE="1",
    ) as gateway:
        Traced(gateway).call()
        call, failed, answered = until_spans(collector, 3)

    assert {failed.parent_span_id, answered.parent_span_id} == {call.span_id}
    assert (failed.name, answered.name) == ("POST gone", "POST sim")
    assert (failed.status.code, answered.status.code, call.status.code) == (2, 0, 0)
    assert call.start_time_unix_nano <= failed.start_time_unix_nano <= failed.end_time_unix_nano
    assert failed.end_time_unix_nano <= answered.start_time_unix_nano <= answered.end_time_unix_nano
    assert attributes_of(failed.attributes)["error.type"]
    assert attributes_of(answered.attributes)["http.request.resend_count"] == 1
    assert attributes_of(call.attributes)["tokenweir.trace.reasons"] == ["sampled"]


def test_prompts_stay_here_though_the_journal_keeps_them(serve: Serve, collector: Collector) -> None:
    with serve() as gateway:
        Traced(gateway).call()
        until_spans(collector, 2)
        call_id = httpx.get(f"{gateway.admin_url}/api/calls").json()[0]["call_id"]
        kept = httpx.get(f"{gateway.admin_url}/api/calls/{call_id}").text

    assert "A secret question" in kept
    assert not any(b"secret question" in export.message.SerializeToString() for export in collector.exports)


def test_a_call_that_its_caller_does_not_record_is_left_out(serve: Serve, collector: Collector) -> None:
    with serve() as gateway:
        Traced(gateway, ALWAYS_OFF).call()
        recorded, _ = Traced(gateway).call()
        spans = until_spans(collector, 2)
    with serve(OTEL_TRACES_SAMPLER="always_on") as gateway:
        unrecorded, _ = Traced(gateway, ALWAYS_OFF).call()
        later = until_spans(collector, 4)

    assert {int.from_bytes(span.trace_id) for span in spans} == {recorded}
    assert {int.from_bytes(span.trace_id) for span in later} == {recorded, unrecorded}


def test_a_collector_that_is_down_holds_up_no_call_and_has_all_spans_later(serve: Serve, collector: Collector) -> None:
    collector.answer = lambda export: Answer("503 Busy")
    with serve() as gateway:
        traces = [Traced(gateway).call()[0] for _ in range(3)]
        while not collector.exports:
            time.sleep(0.01)
        [told] = httpx.get(f"{gateway.admin_url}/api/sinks").json()
        ready = httpx.get(f"{gateway.admin_url}/readyz").status_code
    collector.answer = lambda export: Answer()
    with serve():
        until_spans(collector, 6)

    assert (told["name"], ready) == ("otlp", 200)
    assert {int.from_bytes(span.trace_id) for span in collector.spans} == set(traces)
    assert len({span.span_id for span in collector.spans}) == 6

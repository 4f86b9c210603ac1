"""A record has all that was read of a call, be it what few calls have."""

from typing import Any

import msgspec
import pytest

from support.asked import asked
from tokenweir.gateway.record_builder import SharedFields, record_of
from tokenweir.gateway.request import Ending, Request
from tokenweir.gateway.timings import Timings
from tokenweir.metering import NO_MEASUREMENT
from tokenweir.providers import ProviderKind
from tokenweir.records import CallRecord, SystemClock, Trace, Usage
from tokenweir.upstream import open_upstreams
from tokenweir.upstream.settings import CredentialSettings, UpstreamSettings
from tokenweir.wire import ResponseHead

SHARED = (
    *("replica", "api", "operation", "method", "path", "api_version", "deployment"),
    *("caller", "key_id", "subject", "client_address", "user_agent", "backend", "sku", "traceparent"),
    *("application", "identity_source"),
)


def shared(request: Request) -> SharedFields:
    return SharedFields(request.address, None, None, None, replica="", client_address=None)


def record(usage: Usage, **reading: Any) -> CallRecord:
    told = msgspec.structs.replace(NO_MEASUREMENT, **reading)
    request = asked("POST /v1/files", body=b"{}")
    return record_of(
        shared(request),
        request,
        None,
        Ending("completed", 200, None, told),
        usage,
        Timings(0.0),
        seq=1,
        attempts=1,
        bytes_in=2,
        bytes_out=3,
        keeps_content=False,
        trace=None,
    )


def test_the_usage_is_the_one_that_was_measured() -> None:
    usage = Usage("estimated", "cut", input_tokens=7)
    assert record(usage).usage is usage


@pytest.mark.parametrize(
    ("kind", "asked_for", "recorded"),
    [
        ("azure", "POST /openai/deployments/d/chat/completions?api-version=2024-06-01", "2024-06-01"),
        ("azure", "POST /openai/deployments/d/chat/completions", "2024-10-21"),
        ("azure", "POST /openai/v1/chat/completions", None),
        ("openai", "POST /openai/deployments/d/chat/completions", None),
    ],
)
def test_the_api_version_is_the_callers_else_the_one_that_was_added(
    kind: ProviderKind, asked_for: str, recorded: str | None
) -> None:
    settings = UpstreamSettings("u", "http://127.0.0.1:9", CredentialSettings(key="k"), kind, api_version="2024-10-21")
    (upstream,) = open_upstreams([settings], {}, SystemClock()).values()
    address = asked(asked_for, body=b"{}").address
    told = SharedFields(address, None, None, upstream, replica="", client_address=None)
    assert told.api_version == recorded


def test_every_field_has_its_own_value() -> None:
    """The record is made by place; each place has a value here that no other has."""
    request = asked("POST /v1/files")
    told = shared(request)
    for name in SHARED:
        setattr(told, name, name)
    told.tags, told.region, told.session_id = {"tag": "tags"}, "configured", "of the path"
    request.call_id, request.model, request.stream = "call_id", "requested_model", True
    request.service_tier, request.body = "requested_service_tier", b"request_body"
    fields = {
        b"x-ms-region": b"region",
        b"apim-request-id": b"upstream_request_id",
        b"x-ms-deployment-name": b"served_deployment",
        b"x-ms-spillover-from-deployment": b"spillover_from",
    }
    reading = msgspec.structs.replace(
        NO_MEASUREMENT,
        response_model="response_model",
        response_id="response_id",
        job_id="job_id",
        session_id="session_id",
        service_tier="service_tier",
        tool_usage={"tool": "usage"},
        tool_calls={"tool": 1},
        finish_reasons=["finish_reasons"],
        content_filter="content_filter",
        job={"job": "said"},
        chunks=4,
        content="response_body",
    )
    usage, trace = Usage("reported"), Trace(["asked"])
    timings = Timings(1.0)
    timings.own, timings.first_byte, timings.first_token, timings.ended = 0.5, 3.0, 5.0, 9.0
    timings.whole = 1.25
    made = record_of(
        told,
        request,
        ResponseHead(200, b"200 OK", fields, b"", None, is_chunked=False, keeps_alive=True, is_event_stream=False),
        Ending("timed_out", 504, "error_code", reading),
        usage,
        timings,
        seq=2,
        attempts=3,
        bytes_in=5,
        bytes_out=6,
        keeps_content=True,
        trace=trace,
    )
    numbers = {
        "seq": 2,
        "attempts": 3,
        "status": 504,
        "chunks": 4,
        "bytes_in": 5,
        "bytes_out": 6,
        "gateway_ms": 500.0,
        "body_ms": 250.0,
        "first_byte_ms": 2000.0,
        "first_token_ms": 4000.0,
        "stream_ms": 6000.0,
        "latency_ms": 8000.0,
    }
    others = {
        "started_at": request.started_at,
        "stream": True,
        "tags": told.tags,
        "outcome": "timed_out",
        "finish_reasons": ["finish_reasons"],
        "usage": usage,
        "tool_usage": {"tool": "usage"},
        "tool_calls": {"tool": 1},
        "trace": trace,
        "job": {"job": "said"},
    }
    priced_later = dict.fromkeys(["cost", "currency", "price_id", "cost_reason"]) | {"charges": []}
    expected = {name: name for name in CallRecord.__struct_fields__} | numbers | others | priced_later
    assert msgspec.structs.asdict(made) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service_tier", "flex"),
        ("tool_usage", {"web_search": 1}),
        ("tool_calls", {"web_search_call": 2}),
        ("job_id", "b-1"),
        ("session_id", "s-1"),
    ],
)
def test_what_few_answers_tell_is_in_the_record(name: str, value: object) -> None:
    assert getattr(record(Usage(), **{name: value}), name) == value

"""The spans of a call: who its parent is, what it is called, what it says, and where its attempts stand beneath it."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from opentelemetry.semconv._incubating.attributes import (
    azure_attributes,
    client_attributes,
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    openai_attributes,
    service_attributes,
    url_attributes,
    user_agent_attributes,
)

from support.call_records import a_call, any_record
from tokenweir.delivery.sinks.otlp.attributes import Servers
from tokenweir.delivery.sinks.otlp.calls import read_traceparent, spans_of
from tokenweir.delivery.sinks.otlp.span import CLIENT, SERVER, AnyValue, KeyValue, Span
from tokenweir.records import COLUMNS, CallRecord, Trace, TracedAttempt, TracedTarget

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STARTED = 1_795_348_800_000_250_000
"""When `a_call` begins, in nanoseconds."""

CONVENTIONS = {
    value
    for module in (
        azure_attributes,
        client_attributes,
        error_attributes,
        gen_ai_attributes,
        http_attributes,
        openai_attributes,
        service_attributes,
        url_attributes,
        user_agent_attributes,
    )
    for value in vars(module).values()
    if isinstance(value, str)
}
"""Every name that the package of conventions has."""

# In the conventions since they moved to a repository of their own, and not in the package.
NEWER = {"gen_ai.usage.audio.input_tokens", "gen_ai.usage.audio.output_tokens"}

TWO_TARGETS = Trace(
    reasons=["failed"],
    request_headers=[("authorization", "Bearer sk-secret")],
    targets=[TracedTarget("sweden", "gpt-ptu", "ptu"), TracedTarget("france", "gpt-std")],
    attempts=[
        TracedAttempt(0, 1.5, connected_ms=20.25, sent_ms=20.5, answered_ms=50.0, status=429, error="rate_limit"),
        TracedAttempt(1, 51.0, sent_ms=51.25, status=200, headers=[("x-ms-region", "France Central")]),
    ],
)


def said(span: Span) -> dict[str, Any]:
    assert len({one.key for one in span.attributes}) == len(span.attributes)
    return {one.key: _plain(one.value) for one in span.attributes}


def _plain(value: AnyValue) -> Any:
    if value.int_value is not None:
        return int(value.int_value)
    if value.array_value is not None:
        return tuple(_plain(one) for one in value.array_value.values)
    [one] = [each for each in msgspec.structs.astuple(value) if each is not None]
    return one


def the_call(record: CallRecord, **options: Any) -> Span:
    return spans_of(record, **options)[0]


# --- whose child ---


def test_the_call_is_a_child_of_its_callers_span_and_its_attempt_a_child_of_the_call() -> None:
    call, attempt = spans_of(a_call(attempts=1, traceparent=f"00-{TRACE}-{SPAN}-01"))

    assert (call.trace_id, call.parent_span_id, call.kind) == (TRACE, SPAN, SERVER)
    assert (attempt.trace_id, attempt.parent_span_id, attempt.kind) == (TRACE, call.span_id, CLIENT)
    assert (call.flags, attempt.flags) == (0x301, 0x101)  # sampled; a parent elsewhere, and one here


@pytest.mark.parametrize("traceparent", [None, f"00-{'0' * 32}-{SPAN}-01", "nonsense"])
def test_a_call_without_a_trace_to_join_begins_its_own(traceparent: str | None) -> None:
    record = a_call(traceparent=traceparent)
    call = the_call(record)

    assert (call.trace_id, call.parent_span_id) == (record.call_id.replace("-", ""), "")
    assert call.flags == 0x101


def test_a_record_that_comes_twice_has_the_same_spans() -> None:
    record = a_call(attempts=2, trace=TWO_TARGETS)

    assert spans_of(record) == spans_of(record)
    assert len({span.span_id for span in spans_of(record)}) == 3


# --- the call ---


def test_a_call_lasts_from_its_start_to_its_end_and_tells_its_first_byte_and_token() -> None:
    call = the_call(a_call(first_byte_ms=120.9, first_token_ms=130.125, latency_ms=200.456))

    assert int(call.start_time_unix_nano) == STARTED
    assert int(call.end_time_unix_nano) == STARTED + 200_456_000
    assert [(event.name, int(event.time_unix_nano) - STARTED) for event in call.events] == [
        ("tokenweir.first_byte", 120_900_000),
        ("tokenweir.first_token", 130_125_000),
    ]


def test_a_call_says_what_the_conventions_ask_for() -> None:
    record = a_call(
        stream=True,
        response_id="chatcmpl-1",
        finish_reasons=["stop", "length"],
        cached_input_tokens=4,
        reasoning_tokens=2,
        user_agent="OpenAI/Python",
        client_address="10.0.0.9",
    )

    assert (
        said(the_call(record)).items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": gen_ai_attributes.GenAiProviderNameValues.AZURE_AI_OPENAI.value,
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.request.stream": True,
            "gen_ai.response.model": "gpt-4o-2024-11-20",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.response.finish_reasons": ("stop", "length"),
            "gen_ai.response.time_to_first_chunk": 0.1209,
            "gen_ai.usage.input_tokens": 9,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 2,
            "openai.api.type": "chat_completions",
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "url.path": "/openai/deployments/gpt/chat/completions",
            "user_agent.original": "OpenAI/Python",
            "client.address": "10.0.0.9",
        }.items()
    )


def test_the_servers_of_call_and_attempts_are_said_and_no_query_of_theirs() -> None:
    upstreams = {"sweden": "https://sweden.openai.azure.com/openai?key=secret", "france": "http://[::1]:8443"}
    record = a_call(attempts=2, trace=TWO_TARGETS, path="/openai/deployments/gpt-4o/chat/completions")
    call, *attempts = spans_of(record, servers=Servers("https://gateway.example", upstreams))
    names = ("server.address", "server.port", "url.scheme")
    assert [said(call)[name] for name in names] == ["gateway.example", 443, "https"]
    assert "url.path" in said(call)
    first, last = ([said(attempt).get(name) for name in names] for attempt in attempts)
    assert (first, last) == (["sweden.openai.azure.com", 443, "https"], ["::1", 8443, "http"])
    assert "secret" not in str([*map(said, attempts), said(call)])


def test_what_no_convention_has_a_name_for_has_ours() -> None:
    record = a_call(cost=Decimal("0.000012500"), currency="USD", attempts=1)

    assert (
        said(the_call(record)).items()
        >= {
            "tokenweir.call_id": record.call_id,
            "tokenweir.caller": "team-a",
            "tokenweir.deployment": "gpt",
            "tokenweir.backend": "sweden",
            "tokenweir.outcome": "completed",
            "tokenweir.usage_source": "reported",
            "tokenweir.cost": "0.000012500",
            "tokenweir.currency": "USD",
            "tokenweir.tags.cost_centre": "4711",
        }.items()
    )


@given(any_record())
def test_every_name_is_ours_or_one_of_the_conventions(record: CallRecord) -> None:
    names = {name for span in spans_of(record, with_content=True) for name in said(span)}

    assert {name for name in names if not name.startswith("tokenweir.")} - NEWER <= CONVENTIONS


def test_names_are_those_of_the_conventions_also_where_everything_is_said() -> None:
    counts = [column.name for column in COLUMNS if column.kind == "count" and not column.is_optional]
    everything = {name: 7 for name in counts if name != "attempts"}
    record = a_call(**everything, attempts=2, trace=TWO_TARGETS, stream=True, outcome="upstream_error", subject="s")
    names = {name for span in spans_of(record, with_content=True, is_shed=True) for name in said(span)}

    assert {name for name in names if not name.startswith("tokenweir.")} - NEWER <= CONVENTIONS
    assert names >= NEWER


@pytest.mark.parametrize(
    ("fields", "name", "operation"),
    [
        ({}, "chat gpt-4o", "chat"),
        ({"requested_model": None}, "chat gpt", "chat"),
        ({"requested_model": None, "deployment": None}, "chat", "chat"),
        ({"requested_model": "x" * 129}, "chat", "chat"),
        ({"api": "completions", "operation": "text_completion"}, "text_completion gpt-4o", "text_completion"),
        ({"api": "embeddings", "operation": "embeddings"}, "embeddings gpt-4o", "embeddings"),
        ({"api": "responses", "operation": "responses"}, "chat gpt-4o", "chat"),
        ({"api": "realtime", "operation": "realtime"}, "chat gpt-4o", "chat"),
        ({"api": "realtime", "operation": "session", "method": "GET"}, "GET session", None),
        ({"api": "other", "operation": "files", "method": "GET"}, "GET files", None),
        ({"api": "other", "operation": "", "method": ""}, "call", None),
    ],
)
def test_a_span_is_named_for_what_was_asked(fields: dict[str, Any], name: str, operation: str | None) -> None:
    call = the_call(a_call(**fields))

    assert call.name == name
    assert said(call).get("gen_ai.operation.name") == operation


@pytest.mark.parametrize(
    ("path", "region", "provider"),
    [
        ("/openai/deployments/gpt/chat/completions", None, "azure.ai.openai"),
        ("/openai/v1/chat/completions", None, "azure.ai.openai"),
        ("/v1/chat/completions", "Sweden Central", "azure.ai.openai"),
        ("/v1/chat/completions", None, "openai"),
    ],
)
def test_the_provider_is_known_by_path_and_region(path: str, region: str | None, provider: str) -> None:
    call, attempt = spans_of(a_call(path=path, region=region, attempts=1))
    is_azure = provider == "azure.ai.openai"

    assert said(call)["gen_ai.provider.name"] == provider
    assert ("azure.resource_provider.namespace" in said(attempt)) is is_azure


def test_claude_is_anthropics_wherever_it_runs() -> None:
    call, _ = spans_of(a_call(api="messages", path="/anthropic/v1/messages", cache_write_tokens=3, attempts=1))
    told = said(call)
    assert (told["gen_ai.provider.name"], told["gen_ai.operation.name"]) == ("anthropic", "chat")
    assert told["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert "openai.api.type" not in told


def test_tokens_that_nobody_knows_are_not_said_to_be_none() -> None:
    names = said(the_call(a_call(usage_source="none", input_tokens=0, output_tokens=0)))

    assert not [name for name in names if name.startswith("gen_ai.usage.")]


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({}, None, 0),
        ({"outcome": "client_gone", "status": None}, None, 0),
        ({"outcome": "refused", "status": 401, "error_code": "invalid_key"}, "invalid_key", 0),
        ({"outcome": "upstream_error", "status": 400, "error_code": "content_filter"}, "content_filter", 0),
        ({"outcome": "upstream_error", "status": 502, "error_code": "unreachable"}, "unreachable", 2),
        ({"outcome": "upstream_error", "status": 500}, "500", 2),
        ({"outcome": "upstream_broken", "status": 200}, "upstream_broken", 2),
        ({"outcome": "timed_out", "status": None}, "timed_out", 2),
    ],
)
def test_a_call_that_failed_says_why_and_only_a_callers_mistake_is_no_error(
    fields: dict[str, Any], error: str | None, code: int
) -> None:
    call = the_call(a_call(**fields))

    assert said(call).get("error.type") == error
    assert call.status.code == code


# --- attempts ---


def test_each_attempt_of_a_trace_stands_where_it_was() -> None:
    _, first, last = spans_of(a_call(attempts=2, trace=TWO_TARGETS, latency_ms=200.0, upstream_request_id="r-1"))

    assert [(one.name, one.status.code) for one in (first, last)] == [("POST sweden", 2), ("POST france", 0)]
    assert (int(first.start_time_unix_nano), int(first.end_time_unix_nano)) == (
        STARTED + 1_500_000,
        STARTED + 50_000_000,
    )
    assert (int(last.start_time_unix_nano), int(last.end_time_unix_nano)) == (
        STARTED + 51_000_000,
        STARTED + 200_000_000,
    )
    assert [event.name for event in first.events] == ["tokenweir.connected", "tokenweir.sent", "tokenweir.answered"]
    assert (
        said(first).items()
        >= {
            "http.response.status_code": 429,
            "error.type": "rate_limit",
            "service.peer.name": "sweden",
            "tokenweir.deployment": "gpt-ptu",
            "tokenweir.sku": "ptu",
        }.items()
    )
    assert (
        said(last).items()
        >= {
            "http.response.status_code": 200,
            "http.request.resend_count": 1,
            "azure.resource_provider.namespace": "Microsoft.CognitiveServices",
            "azure.service.request.id": "r-1",
            "tokenweir.region": "Sweden Central",
        }.items()
    )
    assert "azure.service.request.id" not in said(first)


def test_an_attempt_that_nobody_answered_ends_where_the_next_begins() -> None:
    attempts = [TracedAttempt(0, 0.0, error="unreachable"), TracedAttempt(7, 30.0, status=200)]
    record = a_call(attempts=1, trace=Trace([], targets=[TracedTarget("sweden")], attempts=attempts))
    _, first, last = spans_of(record)

    assert int(first.end_time_unix_nano) == STARTED + 30_000_000
    assert first.status.code == 2
    assert last.name == "POST"  # a target that is not listed


def test_without_a_trace_the_last_attempt_is_known_as_long_as_the_call() -> None:
    call, attempt = spans_of(a_call(attempts=3, status=429, outcome="upstream_error", error_code="429"))

    assert (attempt.start_time_unix_nano, attempt.end_time_unix_nano) == (
        call.start_time_unix_nano,
        call.end_time_unix_nano,
    )
    assert said(attempt).items() >= {"http.request.resend_count": 2, "http.response.status_code": 429}.items()
    assert attempt.status.code == 2


def test_an_answer_of_our_own_is_not_taken_for_the_upstreams() -> None:
    record = a_call(attempts=1, status=502, outcome="upstream_error", error_code="unreachable", first_byte_ms=None)
    _, attempt = spans_of(record)

    assert "http.response.status_code" not in said(attempt)
    assert said(attempt)["error.type"] == "unreachable"


def test_where_an_upstream_refuses_the_gateways_own_credential_both_spans_are_errors_that_say_so() -> None:
    code = "upstream_refused_credential"
    refused = a_call(status=502, outcome="refused", error_code=code, first_byte_ms=None, backend="sweden", attempts=1)
    answered = Trace(
        reasons=["failed"],
        targets=[TracedTarget("sweden")],
        attempts=[TracedAttempt(0, began_ms=1.0, status=401)],
    )
    for record, why in ((refused, code), (msgspec.structs.replace(refused, trace=answered), "401")):
        call, attempt = spans_of(record)
        assert (call.status.code, said(call)["error.type"]) == (2, code)
        assert (attempt.status.code, said(attempt)["error.type"]) == (2, why)


def test_a_call_that_was_never_sent_has_no_attempt() -> None:
    assert len(spans_of(a_call(attempts=0, outcome="refused", status=401))) == 1


def test_attempts_count_no_tokens_a_second_time() -> None:
    _, *attempts = spans_of(a_call(attempts=2, trace=TWO_TARGETS))

    assert not [name for attempt in attempts for name in said(attempt) if name.startswith("gen_ai.")]


# --- what stays here ---


def test_no_prompt_no_answer_and_no_header_is_in_a_span_that_nobody_asked_for() -> None:
    record = a_call(request_body="a prompt", response_body="an answer", attempts=2, trace=TWO_TARGETS)
    text = msgspec.json.encode(spans_of(record)).decode()

    assert not [secret for secret in ("a prompt", "an answer", "sk-secret", "France Central") if secret in text]


@given(any_record())
def test_every_record_has_a_call_that_ends_after_it_began_in_a_valid_trace(record: CallRecord) -> None:
    call, *attempts = spans_of(record)

    assert all(int(span.start_time_unix_nano) <= int(span.end_time_unix_nano) for span in (call, *attempts))
    assert read_traceparent(f"00-{call.trace_id}-{call.span_id}-01") is not None
    assert all(isinstance(one, KeyValue) for one in call.attributes)

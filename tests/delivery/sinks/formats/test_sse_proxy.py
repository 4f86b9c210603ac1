"""The proxy function's events: its keys, order and types, and what it never logged."""

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from support.call_records import a_call, any_record, chat_request, stream_of
from tokenweir.delivery.sinks.formats.shapes import proxy_event
from tokenweir.records import CallRecord

COMPLETION = ["type", "content", "usage", "model", "prompt", "region", "latency_ms", "timestamp"]
STREAM_COMPLETION = [*COMPLETION[:-1], "time_to_first_chunk_ms", "streaming_duration_ms", "timestamp"]


def event_of(record: CallRecord) -> dict[str, Any]:
    """As a reader of the hub gets it."""
    event: dict[str, Any] = json.loads(msgspec.json.encode(proxy_event(record)))
    return event


def a_stream(*deltas: dict[str, Any], **fields: Any) -> CallRecord:
    body = stream_of(*({"index": 0, "delta": delta} for delta in deltas))
    return a_call(**({"stream": True, "stream_ms": 79.556, "response_body": body} | fields))


def test_a_plain_call_is_a_completion_with_the_functions_keys_in_its_order() -> None:
    event = event_of(a_call())

    assert list(event)[: len(COMPLETION)] == COMPLETION
    assert {key: event[key] for key in COMPLETION} == {
        "type": "completion",
        "content": "Hi.",
        "usage": {
            "completion_tokens": 3,
            "prompt_tokens": 9,
            "total_tokens": 12,
            "completion_tokens_details": None,
            "prompt_tokens_details": None,
        },
        "model": "gpt-4o-2024-11-20",
        "prompt": [{"role": "user", "content": "Say hi."}],
        "region": "Sweden Central",
        "latency_ms": 200,
        "timestamp": "2026-11-22T12:00:00.200706",
    }


def test_a_stream_is_a_stream_completion_with_two_more_timings() -> None:
    event = event_of(a_stream({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo 📏"}, {}))

    assert list(event)[: len(STREAM_COMPLETION)] == STREAM_COMPLETION
    assert event["type"] == "stream_completion"
    assert event["content"] == "Hello 📏"
    assert (event["time_to_first_chunk_ms"], event["streaming_duration_ms"], event["latency_ms"]) == (120, 79, 200)


def test_the_clock_starts_when_the_body_is_there_as_the_functions_does() -> None:
    event = event_of(a_stream({"content": "x"}, body_ms=100.4))
    assert (event["time_to_first_chunk_ms"], event["streaming_duration_ms"], event["latency_ms"]) == (20, 79, 100)
    early = event_of(a_stream({"content": "x"}, body_ms=10_000.0))  # it answered before it had read all
    assert (early["time_to_first_chunk_ms"], early["latency_ms"]) == (0, 0)


_microseconds = st.integers(0, 10**10).map(lambda microseconds: microseconds / 1000)


@given(_microseconds, _microseconds, _microseconds)
@example(1.374, 6777215.0, 10000000.0)
@example(0.001, 0.999, 0.001)
def test_latency_is_first_chunk_plus_duration_to_within_a_millisecond(body: float, first: float, rest: float) -> None:
    times = {"body_ms": body, "first_byte_ms": body + first, "stream_ms": rest, "latency_ms": body + first + rest}
    event = event_of(a_stream({"content": "x"}, **times))

    assert 0 <= event["latency_ms"] - event["time_to_first_chunk_ms"] - event["streaming_duration_ms"] <= 1


def test_the_timestamp_is_naive_and_always_has_microseconds() -> None:
    started = datetime.fromisoformat("2026-11-22T14:00:00+02:00")

    assert event_of(a_call(started_at=started, latency_ms=1000.0))["timestamp"] == "2026-11-22T12:00:01.000000"


@given(any_record())
def test_every_call_has_an_event_with_the_same_keys_and_types_whatever_its_bodies_are(record: CallRecord) -> None:
    event = event_of(record)

    usual = event_of(a_stream({"content": "x"}) if record.stream else a_call())
    assert list(event) == list(usual)
    assert isinstance(event["content"], str)
    assert isinstance(event["usage"], dict)
    assert isinstance(event["prompt"], list)
    assert isinstance(event["model"], str) and event["model"]
    assert isinstance(event["region"], str) and event["region"]
    assert event["call_id"] == record.call_id


# --- usage ---


def test_usage_is_what_the_upstream_reported_with_members_nobody_here_knows() -> None:
    usage = {
        "prompt_tokens": 1,
        "total_tokens": 2,
        "prompt_tokens_details": {"y": 1},
        "new_details": {"x": [1.5, None]},
    }

    assert event_of(a_call(usage=usage))["usage"] == usage | {"completion_tokens_details": None}


def test_usage_is_in_the_order_in_which_the_functions_sdk_has_it() -> None:
    usage = {"total_tokens": 2, "prompt_tokens_details": {}, "prompt_tokens": 1, "new": 0, "completion_tokens": 1}

    names = ["completion_tokens", "prompt_tokens", "total_tokens", "completion_tokens_details", "prompt_tokens_details"]
    assert list(event_of(a_call(usage=usage))["usage"]) == [*names, "new"]


def test_usage_that_was_not_reported_is_our_estimate_under_the_same_names_and_says_so() -> None:
    event = event_of(a_call(usage=None, usage_source="estimated"))

    assert event["usage"]["prompt_tokens"] == 9
    assert event["usage"]["completion_tokens"] == 3
    assert event["usage"]["total_tokens"] == 12
    assert event["usage_source"] == "estimated"


def test_a_call_that_used_nothing_counts_nothing() -> None:
    event = event_of(CallRecord(call_id="c", started_at=a_call().started_at, outcome="refused", status=401))

    assert event["usage"]["total_tokens"] == 0
    assert event["usage_source"] == "none"
    assert (event["model"], event["region"]) == ("unknown", "unknown")


# --- what the function never logged ---


def test_a_call_that_failed_says_how() -> None:
    error = '{"error": {"code": "429", "message": "slow down"}}'
    event = event_of(a_stream(status=429, outcome="upstream_error", error_code="429", response_body=error))

    assert event["content"] == ""
    assert (event["status"], event["outcome"], event["error_code"]) == (429, "upstream_error", "429")


def test_an_empty_stream_has_an_event() -> None:
    event = event_of(a_stream(response_body="", first_byte_ms=None, stream_ms=None))

    assert event["content"] == ""
    assert event["time_to_first_chunk_ms"] is None
    assert event["streaming_duration_ms"] is None


def test_a_tool_call_is_the_same_from_a_stream_and_from_a_whole_answer() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    pieces = [
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Ulm"}'}}]},
    ]
    whole = json.dumps({"choices": [{"index": 0, "message": {"content": None, "tool_calls": [call]}}]})

    assert event_of(a_stream(*pieces))["tool_calls"] == [call]
    assert event_of(a_call(response_body=whole))["tool_calls"] == [call]
    assert event_of(a_call(response_body=whole))["content"] == ""


def test_further_choices_are_not_mixed_into_the_first() -> None:
    choices = [{"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "A"}}] * 2
    event = event_of(a_stream(response_body=stream_of(*choices)))

    assert event["content"] == "AA"
    assert event["other_contents"] == ["BB"]


# --- bodies ---


def test_without_bodies_prompt_and_content_are_empty_and_the_event_says_so() -> None:
    bare = {"request_body": None, "response_body": None}
    plain, stream = event_of(a_call(**bare)), event_of(a_stream(**bare))

    assert (plain["prompt"], plain["content"], plain["bodies_kept"]) == ([], "", False)
    assert (stream["prompt"], stream["content"], stream["bodies_kept"]) == ([], "", False)
    assert event_of(a_call())["bodies_kept"] is True


def test_the_prompt_is_the_requests_messages_and_stays_on_one_line() -> None:
    messages = '[\n  {"role": "user", "content": "a\\nb", "seed": 123456789012345678901234567890, "t": 1.0}\n]'
    body = msgspec.json.encode(proxy_event(a_call(request_body=f'{{"messages": {messages}}}')))

    assert b"\n" not in body
    assert b'"prompt":[{"role":"user","content":"a\\nb","seed":123456789012345678901234567890,"t":1.0}]' in body


@pytest.mark.parametrize(
    ("api", "members", "expected"),
    [
        ("completions", {"prompt": "Once upon a time"}, "Once upon a time"),
        ("embeddings", {"input": ["a", "b"]}, ["a", "b"]),
        ("chat_completions", {}, None),
    ],
)
def test_what_was_asked_without_messages_is_the_input(api: str, members: dict[str, Any], expected: Any) -> None:
    body = chat_request() if api == "chat_completions" else json.dumps(members)
    event = event_of(a_call(api=api, request_body=body))

    assert event["input"] == expected
    assert bool(event["prompt"]) == (api == "chat_completions")

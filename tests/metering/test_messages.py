"""The Messages API: usage that leaves out the cache and grows from event to event, and what is counted without it."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement, estimate
from tokenweir.records import Quantity, Usage

Read = Callable[..., Measurement]
USES_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 2048,
    "cache_read_input_tokens": 30_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 2048, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 90,
    "output_tokens_details": {"thinking_tokens": 40},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    "service_tier": "standard",
}
COUNTED = Usage(
    source="reported",
    input_tokens=32_060,
    cached_input_tokens=30_000,
    cache_write_tokens=2048,
    output_tokens=90,
    reasoning_tokens=40,
    total_tokens=32_150,
    raw=USAGE,
    quantities={"cache_write_5m_tokens": Quantity(2048), "web_searches": Quantity(2)},
)


def message(**members: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": [{"type": "text", "text": "Water flows."}],
        "stop_reason": "end_turn",
        "usage": USAGE,
    } | members


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


BEGUN = event("message_start", message=message(content=[], stop_reason=None, usage={**USAGE, "output_tokens": 1}))
WRITTEN = [
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("ping"),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Water"}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": " flows."}),
    event("content_block_stop", index=0),
]
TOLD = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 90})
STOPPED = event("message_stop")


def body(**members: Any) -> bytes:
    return json.dumps(message(**members)).encode()


def test_a_body_tells_usage_with_the_cache_in_its_input(read: Read) -> None:
    reading = read(body(), api="messages", event_stream=False)
    assert reading.usage == COUNTED
    assert (reading.response_id, reading.response_model) == ("msg_1", "claude-opus-4-6")
    assert (reading.finish_reasons, reading.service_tier, reading.done) == (["end_turn"], "standard", True)
    assert reading.tool_calls == {"web_search_requests": 2}
    assert [choice.text for choice in reading.output.choices()] == ["Water flows."]


def test_a_stream_tells_it_in_two_events(read: Read) -> None:
    reading = read(BEGUN, *WRITTEN, TOLD, STOPPED, api="messages")
    assert reading.usage == COUNTED
    assert (reading.response_id, reading.response_model) == ("msg_1", "claude-opus-4-6")
    assert (reading.finish_reasons, reading.done, reading.chunks) == (["end_turn"], True, 8)
    assert not reading.wrote_since_usage
    assert [choice.text for choice in reading.output.choices()] == ["Water flows."]


COMPACTED = {
    **{"type": "compaction", "input_tokens": 150_000, "cache_read_input_tokens": 7, "output_tokens": 3_500},
    **{"cache_creation_input_tokens": 11, "cache_creation": {"ephemeral_1h_input_tokens": 11}},
}
ADVISED = {
    **{"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 900, "output_tokens": 80},
    **{"cache_read_input_tokens": 50, "cache_creation_input_tokens": 5},
}


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_usage_leaves_out_at_its_top_is_billed_too(read: Read, streamed: bool) -> None:
    message_itself = {**USAGE, "type": "message"}
    usage = {**USAGE, "iterations": [COMPACTED, message_itself, ADVISED, {"type": "compaction"}, None, "odd"]}
    if streamed:
        told = event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
        found = read(BEGUN, told, event("message_stop"), api="messages").usage
    else:
        found = read(body(usage=usage), api="messages", event_stream=False).usage
    assert found is not None
    assert (found.input_tokens, found.output_tokens) == (32_060 + 150_018, 3_590)
    assert (found.cached_input_tokens, found.cache_write_tokens) == (30_007, 2_059)
    assert found.quantities == {
        "cache_write_5m_tokens": Quantity(2048),
        "cache_write_1h_tokens": Quantity(11),
        "web_searches": Quantity(2),
        "advisor_input_tokens": Quantity(955),
        "advisor_output_tokens": Quantity(80),
    }


def test_fast_mode_is_a_tier_of_its_own_as_it_has_its_own_price(read: Read) -> None:
    tiers = [
        read(body(usage={**USAGE, "speed": speed}), api="messages", event_stream=False).service_tier
        for speed in ("fast", "standard")
    ]
    assert tiers == ["fast", "standard"]


def test_a_later_count_takes_the_place_of_an_earlier_one(read: Read) -> None:
    growing = [
        event("message_delta", delta={}, usage={"output_tokens": count, "input_tokens": 15, "iterations": []})
        for count in (20, 55, 90)
    ]
    usage = read(BEGUN, *WRITTEN, *growing, STOPPED, api="messages").usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (32_063, 90)


def test_a_stream_that_breaks_off_has_no_whole_usage(read: Read) -> None:
    reading = read(BEGUN, *WRITTEN, api="messages")
    assert reading.wrote_since_usage
    assert reading.usage is not None
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (32_060, 1)
    assert not reading.done


def test_the_first_token_is_the_first_that_is_written() -> None:
    from tokenweir.metering import meter_for

    meter = meter_for(
        surface_of("messages"), event_stream=True, content_encoding="", keep_content=False, monotonic=lambda: 7.0
    )
    for piece in (BEGUN, *WRITTEN[:2]):
        meter.feed(piece)
    assert meter.first_token_at is None
    meter.feed(WRITTEN[2])
    assert meter.first_token_at == 7.0


def test_calls_of_tools_come_with_their_arguments(read: Read) -> None:
    called = [
        event("content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "open_gate"}),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"gate":'}),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "1}"}),
    ]
    streamed = read(BEGUN, *WRITTEN, *called, TOLD, STOPPED, api="messages")
    whole = read(
        body(content=[{"type": "tool_use", "name": "open_gate", "input": {"gate": 1}}]),
        api="messages",
        event_stream=False,
    )
    for reading in (streamed, whole):
        assert [choice.calls for choice in reading.output.choices()] == [[("open_gate", '{"gate":1}')]]


def test_errors_are_told_by_their_type(read: Read) -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    assert read(BEGUN, event("error", error=error), api="messages").error_code == "overloaded_error"
    refused = json.dumps({"type": "error", "error": {"type": "invalid_request_error"}}).encode()
    assert read(refused, api="messages", event_stream=False).error_code == "invalid_request_error"


@pytest.mark.parametrize("usage", [{}, {"input_tokens": "12"}, {"input_tokens": -1}, {"service_tier": "standard"}])
def test_a_usage_that_tells_no_counts_is_none(read: Read, usage: dict[str, Any]) -> None:
    reading = read(body(usage=usage), api="messages", event_stream=False)
    assert reading.usage is None


def test_a_very_long_body_still_tells_its_usage(read: Read) -> None:
    long = body(content=[{"type": "text", "text": "x" * 3_000_000}])
    assert read(long, api="messages", event_stream=False).usage == COUNTED


def test_a_very_long_event_still_tells_its_usage(read: Read) -> None:
    long = event("message_start", message=message(content=["x" * 600_000]))
    reading = read(long[:300_000], long[300_000:], TOLD, STOPPED, api="messages")
    assert reading.usage == COUNTED


@USES_FIXTURE
@given(st.integers(0, 10**6))
def test_however_it_is_cut_it_says_the_same(
    read: Read, cut: Callable[[bytes, int], Iterable[bytes]], seed: int
) -> None:
    stream = b"".join([BEGUN, *WRITTEN, TOLD, STOPPED])
    assert read(*cut(stream, seed), api="messages").usage == COUNTED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "usage", "message", "delta", "content", "content_block", "text", "index", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@USES_FIXTURE
@given(st.lists(st.dictionaries(st.sampled_from([*message(), "delta", "message", "index"]), JSON), max_size=4))
def test_no_answer_makes_the_meter_raise(read: Read, events: list[dict[str, Any]]) -> None:
    written = [f"data: {json.dumps(one)}\n\n".encode() for one in events]
    read(*written, api="messages")
    for one in events:
        read(json.dumps(one).encode(), api="messages", event_stream=False).output.choices()


REQUEST = {
    "model": "claude",
    "system": [{"type": "text", "text": "You watch a weir."}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "How high is the water?"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "level", "input": {"gate": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "2.31 m"}]},
    ],
    "tools": [
        {"name": "level", "description": "Level at a gate", "input_schema": {"type": "object", "properties": {}}}
    ],
}


def test_a_call_without_usage_is_estimated_from_its_words(read: Read) -> None:
    reading = read(BEGUN, *WRITTEN, api="messages")
    usage = estimate(
        "messages", json.dumps(REQUEST).encode(), reading, "claude-opus-4-6", ended_normally=False, azure=False
    )
    assert usage.source == "estimated"
    assert usage.output_tokens == 3  # "Water", " flows", "."
    assert 50 <= usage.input_tokens <= 110


@given(JSON)
def test_no_request_makes_an_estimate_raise(request: Any) -> None:
    asked = {**REQUEST, "messages": request, "system": request, "tools": request}
    estimate("messages", json.dumps(asked).encode(), None, None, ended_normally=True, azure=False)

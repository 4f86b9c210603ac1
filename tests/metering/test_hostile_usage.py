"""Whatever an upstream says it used: a reading, and never an exception."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement, meter_for, read_usage

NAMES = [
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "cached_tokens",
    "audio_tokens",
    "reasoning_tokens",
    "x_details",
]
APIS = ["chat_completions", "completions", "embeddings", "responses", "other"]

numbers = (
    st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from([10**400, 2**53, 2**63, 2**64, -1, 0, True, False, 1e308])
)
scalars = numbers | st.none() | st.text(max_size=5) | st.sampled_from(["7", "\ud800", ""])
usages = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)


@given(usages, st.sampled_from(APIS), st.booleans())
def test_an_answer_with_any_usage_has_a_reading(usage: Any, api: str, streams: bool) -> None:
    body = json.dumps({"id": "a", "model": "m", "choices": [{"finish_reason": "stop"}], "usage": usage}).encode()
    if streams:
        body = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    meter = meter_for(
        surface_of(api), event_stream=streams, content_encoding="", keep_content=False, monotonic=lambda: 1.0
    )
    meter.feed(body)
    told = meter.finish().usage
    if told is not None:
        assert min(told.input_tokens, told.output_tokens, told.total_tokens, told.cached_input_tokens) >= 0


@given(st.dictionaries(st.sampled_from(NAMES), usages), st.sampled_from(APIS))
def test_any_object_can_be_read_as_usage(usage: dict[str, Any], api: str) -> None:
    read_usage(usage, api)


def test_details_that_are_a_number_cost_nothing_but_the_details() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16, "prompt_tokens_details": 1}
    told = read_usage(usage, "chat_completions")
    assert (told.source, told.input_tokens, told.output_tokens, told.total_tokens) == ("reported", 7, 9, 16)


@pytest.mark.parametrize("wrong", ['"seven"', "[]", "{}", "-5", "1e400", "NaN", "true", "9" * 60, "0.5"])
def test_a_count_that_is_no_count_is_not_zero_tokens(read: Callable[..., Measurement], wrong: str) -> None:
    body = f'{{"choices":[],"usage":{{"prompt_tokens":{wrong},"completion_tokens":9}}}}'.encode()
    reading = read(body, event_stream=False)
    assert reading.usage is None
    assert reading.unreadable == "its usage has no counts that can be read"


def test_an_object_without_counts_is_no_usage(read: Callable[..., Measurement]) -> None:
    reading = read(b'{"choices":[],"usage":{"a":1}}', event_stream=False)
    assert reading.usage is None
    assert reading.done

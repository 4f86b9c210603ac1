"""Estimates: what closes an answer, what a broken one is worth, and that no request can make one fail."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tokenweir.metering import Measurement, estimate
from tokenweir.records import Usage
from tokenweir.vocabulary import count

Read = Callable[..., Measurement]

HELLO = {"messages": [{"role": "user", "content": "Say hello."}]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def o200k(text: str) -> int:
    return count(text, "o200k_base")


def answer(*messages: dict[str, Any], finish: str = "stop") -> bytes:
    choices = [
        {"index": index, "finish_reason": finish, "message": {"role": "assistant"} | message}
        for index, message in enumerate(messages)
    ]
    return json.dumps({"id": "x", "model": "gpt-4o", "choices": choices}).encode()


def calls(*written: tuple[str, str]) -> dict[str, Any]:
    functions = [{"type": "function", "function": {"name": name, "arguments": text}} for name, text in written]
    return {"content": None, "tool_calls": functions}


def output_of(
    reading: Measurement,
    request: dict[str, Any] = HELLO,
    model: str = "gpt-4o",
    *,
    whole: bool = True,
    azure: bool = False,
) -> int:
    body = json.dumps(request).encode()
    return estimate("chat_completions", body, reading, model, ended_normally=whole, azure=azure).output_tokens


def test_an_estimate_says_what_it_is(read: Read) -> None:
    reading = read(answer({"content": "Hello!"}), event_stream=False)
    usage = estimate(
        "chat_completions", json.dumps(HELLO).encode(), reading, "gpt-4o", ended_normally=True, azure=False
    )
    prompt = 3 + 3 + o200k("user") + o200k("Say hello.")
    assert usage == Usage("estimated", input_tokens=prompt, output_tokens=2, total_tokens=prompt + 2)


def test_text_counts_as_it_is_and_azure_adds_one(read: Read) -> None:
    reading = read(answer({"content": "Hello there, friend."}), event_stream=False)
    text = o200k("Hello there, friend.")
    assert output_of(reading) == text
    assert output_of(reading, azure=True) == text + 1
    assert output_of(reading, HELLO | {"tools": [TOOL]}) == text + 1
    assert output_of(reading, HELLO | {"tools": [TOOL]}, azure=True) == text + 1
    assert output_of(reading, model="gpt-5-mini") == text + 9
    assert output_of(reading, model="gpt-5.2", azure=True) == text + 4


def test_calls_count_with_what_surrounds_them(read: Read) -> None:
    written = o200k("get_weather") + o200k('{"city":"Oslo"}')
    call = ("get_weather", '{"city":"Oslo"}')
    one, two, three = (
        read(answer(calls(*[call] * number), finish="tool_calls"), event_stream=False) for number in (1, 2, 3)
    )
    assert output_of(one, HELLO | {"tools": [TOOL]}) == written + 7
    assert output_of(two, HELLO | {"tools": [TOOL]}) == 2 * written + 28
    assert output_of(three, HELLO | {"tools": [TOOL]}) == 3 * written + 35
    assert output_of(one, HELLO | {"tools": [TOOL]}, azure=True) == written + 8
    assert output_of(one, HELLO | {"functions": [TOOL["function"]]}) == written + 4


@pytest.mark.parametrize("message", [{"content": "Once upon a"}, calls(("get_weather", '{"city":'))])
def test_what_was_cut_counts_as_seen(read: Read, message: dict[str, Any]) -> None:
    seen = o200k("Once upon a") if message["content"] else o200k("get_weather") + o200k('{"city":')
    reading = read(answer(message), event_stream=False)
    assert output_of(reading, HELLO | {"tools": [TOOL]}, model="gpt-5", whole=False, azure=True) == seen
    limited = read(answer(message, finish="length"), event_stream=False)
    assert output_of(limited, HELLO | {"tools": [TOOL]}, model="gpt-5", azure=True) == seen


@pytest.mark.parametrize("choice", [{"tool_choice": {"type": "function", "function": {"name": "f"}}},
                                    {"function_call": {"name": "f"}}])  # fmt: skip
def test_a_call_that_was_demanded_is_written_without_its_name(read: Read, choice: dict[str, Any]) -> None:
    function = {"name": "f", "arguments": '{"city":"Oslo"}'}
    answer = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"tool_calls": [{"function": function}]}}]}
    reading = read(json.dumps(answer).encode(), event_stream=False)
    request = {"messages": [], "tools": [{"function": {"name": "f"}}], **choice}
    usage = estimate(
        "chat_completions", json.dumps(request).encode(), reading, "gpt-4o", ended_normally=True, azure=False
    )
    assert usage.output_tokens == count('{"city":"Oslo"}', "o200k_base")


def test_every_choice_counts(read: Read) -> None:
    reading = read(answer({"content": "Hello!"}, {"content": "Good day!"}, {"content": None}), event_stream=False)
    assert output_of(reading, azure=True) == o200k("Hello!") + o200k("Good day!") + 2


@pytest.mark.parametrize("done", [True, False])
def test_a_stream_counts_whether_glanced_at_or_read(read: Read, done: bool) -> None:
    frames: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("Hel", "lo", " there")
    ]
    frames.append({"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 1}})
    raw = b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames)
    reading = read(raw + (b"data: [DONE]\n\n" if done else b""))
    assert reading.done == done
    assert output_of(reading) == output_of(reading) == o200k("Hello there")


def test_no_answer_costs_its_prompt(read: Read) -> None:
    refused = read(b'{"error":{"code":"content_filter"}}', event_stream=False)
    for reading in (refused, None):
        usage = estimate("chat_completions", json.dumps(HELLO).encode(), reading, None, ended_normally=True, azure=True)
        assert (usage.source, usage.output_tokens) == ("estimated", 0)
        assert usage.input_tokens == usage.total_tokens > 0


@pytest.mark.parametrize(
    ("request_fields", "text", "counted"),
    [
        ({"prompt": "Once upon"}, " a time", " a time"),
        ({"prompt": "Once upon", "echo": True}, "Once upon a time", " a time"),
        ({"prompt": ["Once", "Once upon"], "echo": True}, "Once upon a time", " a time"),
        ({"prompt": [12, 13], "echo": True}, "Once upon a time", "Once upon a time"),
        ({"prompt": "Once upon"}, "Once upon a time", "Once upon a time"),
    ],
)
def test_completions_leave_an_echo_aside(read: Read, request_fields: dict[str, Any], text: str, counted: str) -> None:
    body = json.dumps({"model": "gpt-4o", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}).encode()
    reading = read(body, api="completions", event_stream=False)
    usage = estimate(
        "completions", json.dumps(request_fields).encode(), reading, "gpt-4o", ended_normally=True, azure=False
    )
    assert usage.output_tokens == o200k(counted)


def test_what_is_not_metered_is_not_estimated(read: Read) -> None:
    reading = read(b"...", api="other")
    assert estimate("other", b'{"input":"Hello"}', reading, None, ended_normally=True, azure=False) == Usage("none")


def test_a_prompt_beyond_every_context_window_is_counted_up_to_the_limit() -> None:
    request = {
        "messages": [{"role": "user", "content": "weir " * 900_000}, {"role": "user", "content": "weir " * 900_000}]
    }
    usage = estimate("chat_completions", json.dumps(request).encode(), None, "gpt-4o", ended_normally=True, azure=False)
    assert 1_000_000 < usage.input_tokens < 5_000_000


keys = st.sampled_from(
    ["messages", "role", "content", "type", "text", "image_url", "url", "name", "tools", "function", "functions",
     "parameters", "properties", "items", "$ref", "$defs", "anyOf", "enum", "required", "default", "description",
     "title", "tool_calls", "function_call", "tool_choice", "arguments", "response_format", "json_schema", "schema",
     "prompt", "input", "echo", "detail", "parallel_tool_calls", "text", "format", "instructions", "output"]
)  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(["object", "array", "string", "system", "tool", "#", "#/properties/a",
                     "data:image/png;base64,iVBORw0KGgo="]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    request=st.dictionaries(keys, values, max_size=5),
    answered=st.dictionaries(st.sampled_from(["choices", "error", "usage"]), values, max_size=3),
    api=st.sampled_from(["chat_completions", "completions", "embeddings", "responses", "messages"]),
    model=st.sampled_from([None, "", "gpt-4o", "gpt-5-mini", "o1-mini", "gpt-4.1-mini", "gpt-35-turbo"]),
    whole=st.booleans(),
)
def test_no_request_makes_an_estimate_fail(
    read: Read, request: dict[str, Any], answered: dict[str, Any], api: str, model: str | None, whole: bool
) -> None:
    reading = read(json.dumps(answered).encode(), api=api, event_stream=False)
    usage = estimate(api, json.dumps(request).encode(), reading, model, ended_normally=whole, azure=True)
    assert usage.source == "estimated"
    assert usage.input_tokens >= 0
    assert usage.output_tokens >= 0


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", b'{"messages":', b"[" * 100_000, b'{"a":' * 100_000])
def test_a_request_that_is_no_json_object_counts_as_nothing(body: bytes) -> None:
    usage = estimate("embeddings", body, None, None, ended_normally=False, azure=False)
    assert usage == Usage("estimated")


def test_a_request_with_half_a_character_is_counted() -> None:
    def tokens(body: bytes) -> int:
        return estimate("embeddings", body, None, "gpt-4o", ended_normally=True, azure=False).input_tokens

    assert tokens(rb'{"input":"the weir \ud83d"}') == tokens('{"input":"the weir \N{REPLACEMENT CHARACTER}"}'.encode())

"""Prompts, against counts that OpenAI's API gave for the cookbook's own examples, and rule by rule."""

import base64
import json
from typing import Any

import pytest

from tokenweir.metering import estimate
from tokenweir.vocabulary import count

JARGON = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon "
        "into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities "
        "for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}
WEATHER = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]


def prompt_tokens(request: dict[str, Any], model: str = "gpt-4o", api: str = "chat_completions") -> int:
    body = json.dumps(request).encode()
    return estimate(api, body, None, model, ended_normally=True, azure=False).input_tokens


def o200k(text: str) -> int:
    return count(text, "o200k_base")


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-3.5-turbo", 129), ("gpt-4-0613", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
)
def test_cookbook_messages_count_as_the_api_counted_them(model: str, tokens: int) -> None:
    assert prompt_tokens({"messages": JARGON}, model) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]
)
def test_cookbook_tool_counts_as_the_api_counted_it(model: str, tokens: int) -> None:
    assert prompt_tokens({"messages": WEATHER, "tools": [WEATHER_TOOL]}, model) == tokens


def test_functions_of_old_count_like_tools() -> None:
    old = {"messages": WEATHER, "functions": [WEATHER_TOOL["function"]]}
    assert prompt_tokens(old) == prompt_tokens({"messages": WEATHER, "tools": [WEATHER_TOOL]})


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.2", "ft:gpt-5-mini:acme"])
def test_reasoning_models_begin_their_reply_with_one_token_less(model: str) -> None:
    request = {"messages": [{"role": "user", "content": "Hi"}]}
    assert prompt_tokens(request, model) == prompt_tokens(request, "gpt-4o") - 1


def test_a_name_costs_itself_and_one_more() -> None:
    plain = prompt_tokens({"messages": [{"role": "user", "content": "Hi"}]})
    assert prompt_tokens({"messages": [{"role": "user", "name": "Ada", "content": "Hi"}]}) == plain + o200k("Ada") + 1


def test_parts_count_as_text_and_what_is_not_text_is_not_counted() -> None:
    sound = {"type": "input_audio", "input_audio": {"format": "wav", "data": "UklGR" * 10_000}}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "A" * 9_000}}
    parts = [{"type": "text", "text": "Describe this."}, sound, file, {"type": "refusal", "refusal": "No."}, "loose"]
    request = {"messages": [{"role": "user", "content": parts}]}
    expected = 3 + 3 + o200k("user") + o200k("Describe this.") + o200k("No.") + o200k("loose")
    assert prompt_tokens(request) == expected


def test_an_image_in_the_prompt_counts_by_its_size() -> None:
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (1024).to_bytes(4) + (1024).to_bytes(4)
    url = "data:image/png;base64," + base64.b64encode(header + bytes(30_000)).decode()
    part = {"type": "image_url", "image_url": {"url": url, "detail": "high"}}
    request = {"messages": [{"role": "user", "content": [part]}]}
    assert prompt_tokens(request) == 3 + 3 + 1 + 765


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_earlier_calls_count_with_what_surrounds_them() -> None:
    user = {"role": "user", "content": "Hi"}
    base = prompt_tokens({"messages": [user]}) + 3 + o200k("assistant")
    written = o200k("get_weather") + o200k('{"city":"Oslo"}')
    one = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", '{"city":"Oslo"}')]}
    two = one | {"tool_calls": [call("get_weather", '{"city":"Oslo"}')] * 2}
    old = {"role": "assistant", "function_call": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    assert prompt_tokens({"messages": [user, one]}) == base + written + o200k("get_weather") + 5
    assert prompt_tokens({"messages": [user, two]}) == base + 2 * written + 29
    assert prompt_tokens({"messages": [user, old]}) == base + written + o200k("get_weather") + 5


def test_arguments_count_without_the_spaces_of_their_client() -> None:
    spaced = {"role": "assistant", "tool_calls": [call("get_weather", '{ "city":  "Oslo",\n "at": [1, 2] }')]}
    packed = {"role": "assistant", "tool_calls": [call("get_weather", '{"city":"Oslo","at":[1,2]}')]}
    assert prompt_tokens({"messages": [spaced]}) == prompt_tokens({"messages": [packed]})


@pytest.mark.parametrize("arguments", ["{ not JSON", "[" * 200_000, "\ud800", "", None, 7])
def test_arguments_that_are_no_json_count_as_they_are(arguments: Any) -> None:
    odd = {"role": "assistant", "tool_calls": [call("get_weather", arguments)]}
    none = {"role": "assistant", "tool_calls": [call("get_weather", "")]}
    assert prompt_tokens({"messages": [odd]}) >= prompt_tokens({"messages": [none]})


def test_gpt_5_says_the_channel_of_each_message_of_the_model() -> None:
    user = {"role": "user", "content": "Hi"}
    base = prompt_tokens({"messages": [user]}, "gpt-5") + 3 + o200k("assistant")
    said = {"role": "assistant", "content": "Hello"}
    one = {"role": "assistant", "tool_calls": [call("get_weather", "{}")]}
    two = {"role": "assistant", "tool_calls": [call("get_weather", "{}")] * 2}
    written = o200k("get_weather") + o200k("{}")
    assert prompt_tokens({"messages": [user, said]}, "gpt-5") == base + o200k("Hello") + 2
    assert prompt_tokens({"messages": [user, one]}, "gpt-5") == base + written + o200k("get_weather") + 12
    assert prompt_tokens({"messages": [user, two]}, "gpt-5") == base - 4 + 2 * (written + 14)


def test_the_responses_api_has_less_around_tools_and_formats() -> None:
    def response_tokens(request: dict[str, Any]) -> int:
        body = json.dumps({"model": "gpt-4o"} | request).encode()
        return estimate("responses", body, None, "gpt-4o", ended_normally=True, azure=False).input_tokens

    messages = [{"role": "user", "content": "Hi"}]
    schema = {"name": "r", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    flat = {"type": "function", **WEATHER_TOOL["function"]}  # type: ignore[dict-item]
    assert response_tokens({"input": "Hi"}) == prompt_tokens({"messages": messages})
    assert response_tokens({"input": "Hi", "tools": [flat]}) == (
        prompt_tokens({"messages": messages, "tools": [WEATHER_TOOL]}) - 6
    )
    wanted = {"type": "json_schema", "json_schema": schema}
    assert response_tokens({"input": "Hi", "text": {"format": {"type": "json_schema", **schema}}}) == (
        prompt_tokens({"messages": messages, "response_format": wanted}) - 8
    )


def test_results_of_tools_are_text_and_their_name_is_free() -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "name": "get_weather", "content": "12 °C"}
    assert prompt_tokens({"messages": [result]}) == 3 + 3 + o200k("tool") + o200k("12 °C")


def test_messages_of_the_function_role_cost_two_less() -> None:
    result = {"role": "function", "content": "12 °C"}
    assert prompt_tokens({"messages": [result]}) == 3 + 1 + o200k("function") + o200k("12 °C")


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("The weir", 3),
        (["The weir", "The weir holds"], 7),
        ([464, 289, 404], 3),
        ([[464, 289], [1, 2, 3]], 5),
        ([], 0),
        ({}, 0),
        (None, 0),
        ([None, 1.5], 0),
    ],
)
@pytest.mark.parametrize(("api", "key"), [("embeddings", "input"), ("completions", "prompt")])
def test_inputs_count_as_text_or_as_tokens(api: str, key: str, value: Any, tokens: int) -> None:
    assert prompt_tokens({key: value}, "gpt-4o", api) == tokens

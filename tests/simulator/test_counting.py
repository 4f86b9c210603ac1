"""The oracle for prompts: against the published examples, and against recordings of real calls."""

import json
from pathlib import Path
from typing import Any

import pytest

from tokenweir import vocabulary
from tokenweir.simulator.counting import chat_tokens, input_tokens, namespace

COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for "
        "increased leverage.",
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


@pytest.mark.parametrize(("model", "expected"), [("gpt-4-0613", 129), ("gpt-4o-2024-08-06", 124)])
def test_the_cookbooks_example_counts_as_the_api_counted_it(model: str, expected: int) -> None:
    assert chat_tokens({"messages": COOKBOOK}, model, vocabulary.encoding_name(model)) == expected


def test_a_reasoning_model_has_one_token_less() -> None:
    body = {"messages": COOKBOOK}
    assert chat_tokens(body, "gpt-5-2025-08-07", "o200k_base") == 123


def test_parts_count_like_text_and_pictures_are_flat() -> None:
    def parts(*content: dict[str, Any]) -> int:
        body = {"messages": [{"role": "user", "content": list(content)}]}
        return chat_tokens(body, "gpt-4o", "o200k_base")

    text = {"type": "text", "text": "Hello"}
    bare = chat_tokens({"messages": [{"role": "user", "content": "Hello"}]}, "gpt-4o", "o200k_base")
    assert parts(text) == bare
    low = {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}
    assert parts(text, low) == bare + 85
    assert parts(text, {"type": "image_url", "image_url": {"url": "https://x"}}) == bare + 765


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Hello world", 2), (["Hello world", "Hello"], 3), ([1, 2, 3], 3), ([[1, 2], [3]], 3), (None, 0)],
)
def test_an_input_is_text_texts_or_token_numbers(value: Any, expected: int) -> None:
    assert input_tokens(value, "cl100k_base") == expected


def recordings(shared: Path, endpoint: str) -> list[tuple[dict[str, Any], str, int]]:
    """Requests of genuine successful calls with their model and the prompt tokens reported for them."""
    found = []
    for line in (shared / "recorded" / "index.jsonl").read_text().splitlines():
        entry = json.loads(line)
        usable = entry["openai_model"] and entry["has_usage"] and entry["status"] == 200
        if not usable or entry["endpoint"] != endpoint or "edited" in str(entry["notes"]):
            continue
        exchange = json.loads((shared / "recorded" / entry["file"]).read_text())
        try:
            body = json.loads(exchange["request"]["body"])
        except TypeError:
            continue
        model = entry["model"] or body["model"]
        found.append((body, model, entry["usage"]["prompt_tokens"]))
    return found


def is_plain_text(body: dict[str, Any]) -> bool:
    text = json.dumps(body)
    return not any(extra in text for extra in ('"tools"', "json_schema", "image_url", "input_audio", '"file'))


def test_recorded_plain_chats_counted_as_reported(shared: Path) -> None:
    plain = [call for call in recordings(shared, "chat/completions") if is_plain_text(call[0])]
    exact = sum(chat_tokens(body, model, vocabulary.encoding_name(model)) == n for body, model, n in plain)
    assert len(plain) > 200
    assert exact / len(plain) > 0.9


def test_recorded_embeddings_counted_as_reported(shared: Path) -> None:
    calls = recordings(shared, "embeddings")
    exact = sum(input_tokens(body["input"], vocabulary.encoding_name(model)) == n for body, model, n in calls)
    assert len(calls) > 30
    assert exact / len(calls) > 0.9


def test_recorded_first_turns_with_tools_counted_about_as_reported(shared: Path) -> None:
    calls = [
        (body, model, n)
        for body, model, n in recordings(shared, "chat/completions")
        if body.get("tools") and "gpt-5" not in model and "tool_calls" not in json.dumps(body["messages"])
    ]
    errors = [abs(chat_tokens(body, model, vocabulary.encoding_name(model)) - n) for body, model, n in calls]
    assert len(calls) > 50
    assert sum(error <= 2 for error in errors) / len(errors) > 0.5


def test_tools_are_rendered_as_the_model_sees_them() -> None:
    properties = {
        "place": {"type": "string", "description": "Where to look"},
        "unit": {"type": "string", "enum": ["km", "miles"]},
        "limits": {"type": "array", "items": {"type": "integer"}},
        "box": {"type": "object", "properties": {"width": {"type": "number"}}, "required": ["width"]},
    }
    find = {
        "name": "find",
        "description": "Finds things",
        "parameters": {"type": "object", "properties": properties, "required": ["place"]},
    }
    assert namespace([find, {"name": "now"}]).splitlines() == [
        "namespace functions {",
        "",
        "// Finds things",
        "type find = (_: {",
        "// Where to look",
        "place: string,",
        'unit?: "km" | "miles",',
        "limits?: number[],",
        "box?: {",
        "  width: number,",
        "},",
        "}) => any;",
        "",
        "type now = () => any;",
        "",
        "} // namespace functions",
    ]


def test_a_forced_tool_is_named_in_the_prompt() -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    body = {"messages": [{"role": "user", "content": "Hello"}], "tools": [tool]}
    free = chat_tokens(body, "gpt-4o", "o200k_base")
    assert chat_tokens({**body, "tool_choice": tool}, "gpt-4o", "o200k_base") == free + 1 + 4
    assert chat_tokens(body, "gpt-5", "o200k_base") == free - 1 + 80


def test_a_schema_for_the_answer_and_earlier_tool_calls_are_part_of_the_prompt() -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
    bare = chat_tokens({"messages": messages}, "gpt-4o", "o200k_base")
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    assert chat_tokens({"messages": messages, "response_format": schema}, "gpt-4o", "o200k_base") > bare + 5
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": "{}"}}]}
    told = chat_tokens({"messages": [*messages, called]}, "gpt-4o", "o200k_base")
    assert told == bare + 3 + 1 + 1 + 1 + 5

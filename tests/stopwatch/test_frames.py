"""Every shape in which these APIs say something is told apart, and nonsense is no error."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.stopwatch.frames import FrameKind, read_chunk, read_event


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def choice(**members: Any) -> dict[str, Any]:
    return {"id": "a", "model": "gpt-4o", "choices": [{"index": 0, **members}]}


SAID: list[tuple[Any, FrameKind, str]] = [
    (choice(delta={"content": "Hi"}), "text", "Hi"),
    (choice(delta={"refusal": "No."}), "text", "No."),
    (choice(text="Once"), "text", "Once"),
    (choice(delta={"reasoning_content": "Hm"}), "reasoning", "Hm"),
    (choice(delta={"tool_calls": [{"function": {"name": "weather", "arguments": ""}}]}), "tool", "weather"),
    (choice(delta={"tool_calls": [{"function": {"arguments": '{"a'}}]}), "tool", '{"a'),
    (choice(delta={"tool_calls": [{"custom": {"name": "shell", "input": "ls"}}]}), "tool", "shellls"),
    (choice(delta={"role": "assistant", "content": ""}), "role", ""),
    (choice(delta={}, finish_reason="stop"), "finish", "stop"),
    (choice(content_filter_offsets={"check_offset": 0}), "filter", ""),
    ({"choices": [], "prompt_filter_results": []}, "filter", ""),
    ({"choices": [], "usage": {"total_tokens": 3}}, "usage", ""),
    ({"choices": []}, "progress", ""),
    ({"error": {"message": "overloaded"}}, "error", "overloaded"),
    ({"error": "overloaded"}, "error", "overloaded"),
    ({"statusCode": 401, "message": "Access denied"}, "error", "Access denied"),
    ({"type": "response.output_text.delta", "delta": "Hi"}, "text", "Hi"),
    ({"type": "response.function_call_arguments.delta", "delta": "{"}, "tool", "{"),
    ({"type": "response.reasoning_summary_text.delta", "delta": "Hm"}, "reasoning", "Hm"),
    ({"type": "response.created", "response": {}}, "progress", "response.created"),
    ({"type": "response.completed", "response": {"usage": {"total_tokens": 3}}}, "finish", "response.completed"),
    ({"type": "response.failed", "response": {"error": {"message": "broke"}}}, "error", "broke"),
    ({"type": "error", "message": "overloaded"}, "error", "overloaded"),
]


@pytest.mark.parametrize(("said", "kind", "text"), SAID)
def test_what_is_said_is_told_apart(said: Any, kind: FrameKind, text: str) -> None:
    frame = read_event(event(said))
    assert (frame.kind, frame.text) == (kind, text)
    assert frame.is_output == (kind in ("text", "tool", "reasoning"))


def test_text_and_the_reason_to_finish_in_one_event_are_both_kept() -> None:
    frame = read_event(event(choice(delta={"content": "end"}, finish_reason="length")))
    assert (frame.kind, frame.text, frame.finish) == ("text", "end", "length")


def test_usage_and_model_are_found_where_each_api_puts_them() -> None:
    completed = {"type": "response.completed", "response": {"model": "m", "usage": {"output_tokens": 3}}}
    assert read_event(event(completed)).usage == {"output_tokens": 3}
    assert read_event(event(completed)).finish == "completed"
    assert read_event(event({"choices": [], "model": "m", "usage": {"total_tokens": 3}})).usage == {"total_tokens": 3}
    assert read_event(event(choice(delta={"content": "x"}))).model == "gpt-4o"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"data: [DONE]\n\n", "done"),
        (b"data:[DONE]\r\n\r\n", "done"),
        (b": keep-alive\n\n", "comment"),
        (b"event: ping\nid: 4\nretry: 10\n\n", "comment"),
        (b"<html>\n\n", "broken"),
        (b"data: {not json\n\n", "broken"),
        (b"data: [1, 2]\n\n", "broken"),
        (b"\xef\xbb\xbfdata: [DONE]\n\n", "done"),
        (b'event: error\ndata: {"error": {"message": "x"}}\n\n', "error"),
    ],
)
def test_the_format_of_an_event_decides_first(raw: bytes, kind: FrameKind) -> None:
    assert read_event(raw).kind == kind


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "content", "error", "usage", "tool_calls", "function", "type", "response"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(_JSON)
def test_no_json_is_too_odd(value: Any) -> None:
    read_chunk(json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(raw: bytes) -> None:
    read_event(raw)

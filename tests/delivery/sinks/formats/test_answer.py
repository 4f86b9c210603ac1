"""What is read from kept bodies, in every form in which models answer."""

import json
from typing import Any

from hypothesis import given, strategies as st

from support.call_records import stream_of
from tokenweir.delivery.sinks.formats.content import ChoiceContent, read_answer


def test_azures_frames_without_choices_or_delta_are_passed_over() -> None:
    body = stream_of([], {"index": 0, "content_filter_offsets": {}}, {"index": 0, "delta": {"content": "Hi"}})

    assert read_answer(body) == [ChoiceContent("Hi")]


def test_crlf_comments_and_a_missing_end_make_no_difference() -> None:
    first, second = (f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}" for text in "ab")

    assert read_answer(f": hello\r\n\r\n{first}\r\n\r\n{second}") == [ChoiceContent("ab")]


def test_a_legacy_completion_has_its_text() -> None:
    assert read_answer('{"choices": [{"index": 0, "text": "Once"}]}') == [ChoiceContent("Once")]


def test_content_in_parts_is_joined() -> None:
    message = {"content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]}

    assert read_answer(json.dumps({"choices": [{"message": message}]})) == [ChoiceContent("ab")]


def test_a_refusal_is_no_content() -> None:
    body = stream_of({"delta": {"refusal": "No"}}, {"delta": {"refusal": "."}})

    assert read_answer(body) == [ChoiceContent(None, "No.")]


def test_the_older_function_call_and_a_custom_tool_are_tool_calls() -> None:
    old = stream_of(
        {"delta": {"function_call": {"name": "f", "arguments": ""}}}, {"delta": {"function_call": {"arguments": "{}"}}}
    )
    custom = {"id": "c", "type": "custom", "custom": {"name": "run", "input": "ls"}}

    assert read_answer(old)[0].tool_calls == [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert read_answer(json.dumps({"choices": [{"message": {"tool_calls": [custom]}}]}))[0].tool_calls == [custom]


def test_half_a_character_costs_one_character() -> None:
    assert read_answer('{"choices": [{"message": {"content": "x\\ud83d"}}]}') == [
        ChoiceContent("x\N{REPLACEMENT CHARACTER}")
    ]


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "index",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "function_call",
                    "arguments",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(st.lists(_anything, max_size=4), st.booleans())
def test_no_shape_of_an_answer_is_an_error(frames: list[Any], whole: bool) -> None:
    body = json.dumps(frames[0]) if whole and frames else stream_of(*({"delta": one} for one in frames))

    assert isinstance(read_answer(body), list)
    assert isinstance(read_answer("".join(f"data: {json.dumps(one)}\n\n" for one in frames)), list)


def test_what_claude_says_in_blocks_is_one_choice_whole_and_in_a_stream() -> None:
    tool = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"in":"Oslo"}'}}
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"in": "Oslo"}},
    ]
    whole = json.dumps({"type": "message", "role": "assistant", "content": blocks})
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " see."}},
        {"type": "content_block_start", "index": 1, "content_block": blocks[2] | {"input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"in":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Oslo"}'}},
        {"type": "message_stop"},
    ]
    stream = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    for body in (whole, stream):
        assert read_answer(body) == [ChoiceContent("Let me see.", None, [tool])]

"""Frames are read the same by their shape and one by one in full."""

import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from tokenweir.apis import ApiAnswer, surface_of
from tokenweir.metering.accumulator import Accumulator

CHAT = surface_of("chat_completions")

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["", '"', "\\", '\\"', '"}', "\n", "é", "😀", '{"a":', '"content":"', "\\\\", "filtered"]
)
_IDS = st.sampled_from(["chatcmpl-1", "chatcmpl-2"])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    delta: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries({"content": _TEXTS}),
            st.fixed_dictionaries({"content": _TEXTS}, optional={"role": st.just("assistant"), "refusal": _TEXTS}),
            st.builds(
                lambda index, text: {"tool_calls": [{"index": index, "function": {"arguments": text}}]},
                st.integers(0, 1),
                _TEXTS,
            ),
        )
    )
    choice = {
        "index": draw(st.integers(0, 1)),
        "delta": delta,
        "finish_reason": draw(st.sampled_from([None, None, "stop"])),
    }
    if draw(st.booleans()):
        choice["content_filter_results"] = {"hate": {"filtered": draw(st.sampled_from([False, False, True]))}}
    frame: dict[str, Any] = {"choices": [choice], "id": draw(_IDS), "model": "gpt-4o"}
    if draw(st.booleans()):
        frame["obfuscation"] = draw(st.text("abC1", max_size=4) | st.just('x"y'))
    frame["usage"] = draw(st.sampled_from([None, None, None, {"prompt_tokens": 3, "completion_tokens": 1}]))
    spaces = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")]))
    return json.dumps(frame, separators=spaces, ensure_ascii=draw(st.booleans())).encode()


def facts_of(read: Accumulator) -> dict[str, object]:
    names = ["model", "id", "service_tier", "usage", "wrote_since_usage", "finish_reasons", "filtered", "error_code"]
    choices = [(choice.text, choice.calls) for choice in read.choices()]
    return {name: getattr(read, name) for name in names} | {"chunks": read.chunks, "choices": choices}


def usual(text: str, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return json.dumps({"choices": [choice], "id": "c", "model": "m"} | more, separators=(",", ":")).encode()


@given(st.lists(frames() | st.sampled_from([usual("a"), usual("b", obfuscation="x"), b"{", b'{"id":7}']), max_size=12))
@example([usual("a"), usual("b")[:-1] + b',"x":1}', usual("c")])
@example([usual("a", obfuscation="q"), usual("b", obfuscation='q","model":"other'), usual("c", obfuscation="")])
@example([usual("a"), usual('b","refusal":"no'), usual("c")])
def test_frames_are_read_the_same_by_their_shape_and_in_full(sent: list[bytes]) -> None:
    by_shape, in_full = Accumulator(CHAT), Accumulator(CHAT)
    by_shape.read_events(b"".join(b"data: %b\n\n" % frame for frame in sent))
    for frame in sent:
        in_full.chunks += 1
        in_full.read(frame)
        in_full.read_filters(frame)
    assert facts_of(by_shape) == facts_of(in_full)


def responses_event(number: int, text: str, noise: str | None, *, sorts: bool, kind: str, item: str) -> dict[str, Any]:
    event: dict[str, Any] = {"type": f"response.{kind}.delta", "sequence_number": number, "item_id": item}
    event |= {"output_index": 0, "content_index": 0, "delta": text, "logprobs": []}
    if noise is not None:
        event["obfuscation"] = noise
    return dict(sorted(event.items(), key=lambda pair: "" if pair[0] == "type" else pair[0])) if sorts else event


_RESPONSES: st.SearchStrategy[dict[str, Any]] = st.builds(
    responses_event,
    st.integers(0, 10**6),
    _TEXTS,
    st.none() | st.text("abC1", max_size=4) | st.just('x"y'),
    sorts=st.booleans(),
    kind=st.sampled_from(["output_text", "output_text", "function_call_arguments", "reasoning_text", "other"]),
    item=st.sampled_from(["msg_1", "msg_2"]),
) | st.sampled_from(
    [
        {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5"}},
        {"type": "response.output_text.delta", "sequence_number": "x", "delta": "odd"},
        {"type": "response.output_text.delta", "sequence_number": 1, "delta": "a", "response": {"id": "resp_2"}},
        {"type": "response.output_item.done", "item": {"type": "web_search_call"}},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": {"input_tokens": 3, "output_tokens": 1}}},
    ]
)
_CLAUDE: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda index, of, text: {"type": "content_block_delta", "index": index, "delta": {"type": f"{of}_delta", of: text}},
    st.integers(0, 1),
    st.sampled_from(["text", "text", "partial_json", "thinking"]),
    _TEXTS,
) | st.sampled_from(
    [
        {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "f"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
)


@given(
    st.data(),
    st.sampled_from(["responses", "messages"]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.integers(0, 1),
)
def test_events_are_read_the_same_by_their_shape_and_in_full(
    data: st.DataObject, api: str, spaces: tuple[str, str], named: int
) -> None:
    sent: list[dict[str, Any]] = data.draw(st.lists(_RESPONSES if api == "responses" else _CLAUDE, max_size=12))
    frames = [json.dumps(event, separators=spaces, ensure_ascii=False).encode() for event in sent]
    by_shape, in_full = Accumulator(surface_of(api)), Accumulator(surface_of(api))
    for event, frame in zip(sent, frames, strict=True):
        name = b"event: %b\n" % str(event["type"]).encode() if named else b""
        by_shape.read_events(name + b"data: %b\n\n" % frame)
        in_full.chunks += 1
        in_full.read(frame)
        in_full.read_filters(frame)
    assert facts_of(by_shape) == facts_of(in_full)
    assert (by_shape.tool_calls, by_shape.done) == (in_full.tool_calls, in_full.done)


@pytest.mark.parametrize("sorts", [False, True])
@pytest.mark.parametrize("noise", [None, "xYz"])
@pytest.mark.parametrize("api", ["responses", "messages"])
def test_an_event_of_a_known_shape_is_not_decoded(api: str, noise: str | None, sorts: bool) -> None:
    decoded: list[bytes] = []
    read = Accumulator(surface_of(api))
    decode = read.read_answer

    def noted(data: bytes) -> ApiAnswer | None:
        decoded.append(data)
        return decode(data)

    read.read_answer = noted
    for number, text in enumerate(["one", ' "two" ', "\\", "three\n"], 9):
        event = responses_event(number, text, noise, sorts=sorts, kind="output_text", item="msg_1")
        if api == "messages":
            event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        read.read_events(b"event: x\ndata: %b\n\n" % json.dumps(event, separators=(",", ":")).encode())
    assert read.choices()[0].text == 'one "two" \\three\n'
    assert (read.chunks, len(decoded)) == (4, 1)


@pytest.mark.parametrize("more", [{}, {"obfuscation": "xYz"}])
@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("tool", [False, True])
def test_a_frame_of_a_known_shape_is_not_decoded(more: dict[str, str], spaces: tuple[str, str], tool: bool) -> None:
    def frame(text: str) -> bytes:
        delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]} if tool else {"content": text}
        told = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "model": "m"} | more
        return b"data: %b\n\n" % json.dumps(told, separators=spaces).encode()

    decoded: list[bytes] = []
    read = Accumulator(CHAT)
    decode = read.read_answer

    def noted(data: bytes) -> ApiAnswer | None:
        decoded.append(data)
        return decode(data)

    read.read_answer = noted
    for text in ["one", ' "two" ', "\\", "three\n"]:
        read.read_events(frame(text))
    written = read.choices()[0]
    assert (written.calls[0][1] if tool else written.text) == 'one "two" \\three\n'
    assert read.chunks == 4
    assert len(decoded) == 1

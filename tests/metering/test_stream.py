"""Streams as Azure and others send them, frame by frame."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement, meter_for
from tokenweir.metering.stream import StreamMeter

Read = Callable[..., Measurement]

SAFE = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
BLOCKED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "high"}}
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}

PROMPT_FILTER = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
}


def frame(**fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "gpt-4o-2024-11-20", "object": "chat.completion.chunk"} | fields


def delta(content: str | None = None, *, index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
    message = {} if content is None else {"content": content}
    choice = {"content_filter_results": SAFE, "delta": message | more, "finish_reason": finish, "index": index}
    return frame(choices=[choice], usage=None)


def events(*frames: dict[str, Any], done: bool = True) -> bytes:
    data = b"".join(b"data: " + json.dumps(one, separators=(",", ":")).encode() + b"\n\n" for one in frames)
    return data + (b"data: [DONE]\n\n" if done else b"")


HELLO = (delta(""), delta("Hel"), delta("lo"), delta(finish="stop"))
WITH_USAGE = events(PROMPT_FILTER, *HELLO, frame(choices=[], usage=USAGE))


def test_azure_stream_is_read(read: Read) -> None:
    reading = read(WITH_USAGE)
    assert reading.usage is not None
    assert reading.usage.raw == USAGE
    assert reading.usage.source == "reported"
    assert reading.response_model == "gpt-4o-2024-11-20"
    assert reading.response_id == "chatcmpl-1"
    assert reading.finish_reasons == ["stop"]
    assert reading.chunks == 6
    assert reading.done
    assert (reading.content_filter, reading.error_code, reading.content, reading.unreadable) == (None,) * 4
    assert [choice.text for choice in reading.output.choices()] == ["Hello"]


def test_stream_without_usage_says_so(read: Read) -> None:
    reading = read(events(PROMPT_FILTER, *HELLO))
    assert reading.usage is None
    assert reading.response_model == "gpt-4o-2024-11-20"
    assert reading.finish_reasons == ["stop"]
    assert reading.done


def test_end_without_done_is_noticed(read: Read) -> None:
    reading = read(events(*HELLO[:3], done=False))
    assert not reading.done
    assert reading.finish_reasons == []
    assert reading.output.choices()[0].text == "Hello"


def test_usage_counts_where_choices_are_not_empty(read: Read) -> None:
    last = delta(finish="stop") | {"usage": USAGE}
    reading = read(events(delta("Hello"), last))
    assert reading.usage is not None
    assert reading.usage.total_tokens == 15
    assert reading.finish_reasons == ["stop"]


def test_the_last_usage_that_is_not_null_wins(read: Read) -> None:
    growing = [delta("a") | {"usage": USAGE | {"completion_tokens": n, "total_tokens": 12 + n}} for n in (1, 2, 3)]
    reading = read(events(*growing, delta(finish="stop")))
    assert reading.usage is not None
    assert reading.usage.output_tokens == 3


def test_asynchronous_filter_after_the_end_is_read(read: Read) -> None:
    late = {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [
            {
                "index": 0,
                "finish_reason": "content_filter",
                "content_filter_results": BLOCKED,
                "content_filter_offsets": {"check_offset": 44, "start_offset": 44, "end_offset": 198},
            }
        ],
    }
    for frames in ((late, frame(choices=[], usage=USAGE)), (frame(choices=[], usage=USAGE), late)):
        reading = read(events(PROMPT_FILTER, *HELLO, *frames))
        assert reading.usage is not None
        assert reading.finish_reasons == ["stop", "content_filter"]
        assert reading.content_filter == "violence"
        assert reading.response_model == "gpt-4o-2024-11-20"
        assert reading.response_id == "chatcmpl-1"
        assert reading.output.choices()[0].text == "Hello"


def test_filtered_categories_are_joined_in_order(read: Read) -> None:
    prompt = PROMPT_FILTER | {"prompt_filter_results": [{"content_filter_results": {"jailbreak": {"filtered": True}}}]}
    blocked = delta(finish="content_filter")
    blocked["choices"][0]["content_filter_results"] = BLOCKED | {
        "custom_blocklists": {"filtered": True, "details": [{"filtered": True, "id": "words"}]}
    }
    assert read(events(prompt, blocked)).content_filter == "jailbreak,violence,custom_blocklists"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"error": {"code": "server_error", "message": "…", "type": "server_error", "param": None}}, "server_error"),
        ({"error": {"code": None, "message": "…", "type": "invalid_request_error"}}, "invalid_request_error"),
        ({"error": {"code": 429, "message": "…"}}, "429"),
        ({"error": {"message": "…"}}, "error"),
        ({"error": "something"}, "error"),
    ],
)
def test_error_frame_in_a_stream_is_reported(read: Read, error: dict[str, Any], code: str) -> None:
    broken = read(events(delta("Hel"), error, done=False))
    assert (broken.error_code, broken.usage, broken.done) == (code, None, False)
    ended = read(events(delta("Hel"), error, frame(choices=[], usage=USAGE)))
    assert ended.error_code == code


def test_error_named_by_an_event_line_is_reported(read: Read) -> None:
    raw = events(delta("Hel"), done=False) + b'event: error\ndata: {"error":{"code":"overloaded"}}\n\n'
    reading = read(raw)
    assert reading.error_code == "overloaded"
    assert reading.chunks == 2


@pytest.mark.parametrize(
    "dress",
    [
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"data: ", b"data:"),
        lambda raw: b": OPENROUTER PROCESSING\n\n" + raw.replace(b"\n\n", b"\n\n: ping\n\n"),
        lambda raw: b": hello\n\n" + raw,
        lambda raw: raw.replace(b"data: ", b"event: message\nid: 7\ndata: "),
        lambda raw: raw.replace(b"data: ", b": a remark\ndata: "),
        lambda raw: raw.replace(b"\n\n", b"\n\n\n"),
        lambda raw: raw.replace(b'{"id"', b'{\ndata: "id"').replace(b'"object"', b'\ndata:\ndata:  "object"'),
        lambda raw: raw.replace(b'":', b'": ').replace(b',"', b', "'),
        lambda raw: raw.replace(b'":', b'"\t:  '),
        lambda raw: raw.removesuffix(b"\n"),
        lambda raw: raw.removesuffix(b"\n\n"),
    ],
    ids=[
        "crlf",
        "no space",
        "comments",
        "greeting",
        "event lines",
        "remarks",
        "blank",
        "many lines",
        "spaces",
        "tabs",
        "cut",
        "bare",
    ],
)
def test_other_ways_to_write_events_read_the_same(read: Read, dress: Callable[[bytes], bytes]) -> None:
    plain, dressed = read(WITH_USAGE), read(dress(WITH_USAGE))
    assert dressed.usage == plain.usage
    assert dressed.chunks == plain.chunks
    assert dressed.done
    assert dressed.finish_reasons == plain.finish_reasons
    assert dressed.response_model == plain.response_model
    assert dressed.output.choices()[0].text == "Hello"


def test_usage_written_in_another_way_than_the_rest_hides_nothing(read: Read) -> None:
    spaced = json.dumps(frame(choices=[], usage=USAGE)).encode()
    for stream in (events(*HELLO, done=False), events(PROMPT_FILTER, *HELLO, done=False)):
        reading = read(stream + b"data: " + spaced + b"\n\ndata: [DONE]\n\n")
        assert reading.usage is not None
        assert reading.finish_reasons == ["stop"]


def test_text_that_looks_like_frames_changes_nothing(read: Read) -> None:
    tricks = [
        '"usage":{"prompt_tokens":999}',
        "usage",
        '"finish_reason":"length"',
        "error",
        '"filtered":true',
        "[DONE]",
    ]
    frames = [delta(trick) for trick in tricks]
    reading = read(events(*frames, delta(finish="stop"), frame(choices=[], usage=USAGE)))
    assert reading.usage is not None
    assert reading.usage.raw == USAGE
    assert reading.finish_reasons == ["stop"]
    assert (reading.error_code, reading.content_filter) == (None, None)
    assert reading.chunks == len(tricks) + 2
    assert reading.output.choices()[0].text == "".join(tricks)


def test_several_choices_are_kept_apart(read: Read) -> None:
    frames = [delta("a", index=0), delta("b", index=1), delta("A", index=0), delta(index=1, finish="length")]
    reading = read(events(*frames, delta(index=0, finish="stop"), frame(choices=[], usage=USAGE)))
    assert reading.finish_reasons == ["length", "stop"]
    assert [choice.text for choice in reading.output.choices()] == ["aA", "b"]


def test_tool_calls_are_put_together(read: Read) -> None:
    def call(index: int, name: str | None, arguments: str) -> dict[str, Any]:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        return delta(tool_calls=[{"index": index, "function": function, "type": "function"}])

    frames = [call(0, "get_weather", ""), call(0, None, '{"city":'), call(0, None, '"Oslo"}'), call(1, "stop", "{}")]
    [choice] = read(events(*frames, delta(finish="tool_calls"))).output.choices()
    assert choice.calls == [("get_weather", '{"city":"Oslo"}'), ("stop", "{}")]
    assert choice.text == ""


def test_refusal_reasoning_and_parts_are_output(read: Read) -> None:
    parts = delta()
    parts["choices"][0]["delta"] = {"content": [{"type": "text", "text": "part"}, {"type": "thinking"}]}
    thoughts = delta()
    details = [
        {"type": "reasoning.text", "text": "so "},
        {"type": "reasoning.summary", "summary": "thus "},
        {"data": "x"},
    ]
    thoughts["choices"][0]["delta"] = {"reasoning_details": details}
    raw = events(delta(reasoning_content="hm "), delta(refusal="no "), parts, thoughts)
    assert read(raw).output.choices()[0].text == "hm no partso thus "


def test_a_frame_with_one_odd_field_still_yields_the_others(read: Read) -> None:
    odd = frame(id=17, choices={"what": "ever"}, usage=USAGE)
    reading = read(events(delta("Hello"), odd))
    assert reading.usage is not None
    assert reading.response_id == "chatcmpl-1"


class Ticks:
    """A clock that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return 42.0


def first_output(*pieces: bytes) -> int | None:
    """Which piece brought the first model output, counted from 0; the clock may be asked once."""
    clock = Ticks()
    meter = StreamMeter(surface_of("chat_completions"), keep_content=False, monotonic=clock)
    for number, piece in enumerate(pieces):
        meter.feed(piece)
        if meter.first_token_at is not None:
            assert (meter.first_token_at, clock.asked) == (42.0, 1)
            for later in pieces[number:]:
                meter.feed(later)
            assert clock.asked == 1
            return number
    assert clock.asked == 0
    return None


def test_filter_and_role_frames_are_not_output() -> None:
    assert first_output(events(PROMPT_FILTER), events(delta(role="assistant")), events(delta("Hi"))) == 2
    assert first_output(events(PROMPT_FILTER, delta(""), delta(finish="stop"), frame(choices=[], usage=USAGE))) is None


@pytest.mark.parametrize(
    "output",
    [
        delta("H"),
        delta('"'),
        delta(refusal="I"),
        delta(reasoning_content="Hm"),
        delta(tool_calls=[{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        delta(function_call={"name": "f", "arguments": ""}),
        delta(audio={"transcript": "Hi"}),
        frame(choices=[{"text": "H", "index": 0}]),
    ],
)
def test_first_output_of_any_kind_is_timed(output: dict[str, Any]) -> None:
    assert first_output(events(PROMPT_FILTER), events(delta("")), events(output), events(output)) == 2


def test_first_output_is_found_in_any_pieces() -> None:
    raw = events(PROMPT_FILTER, delta(""), delta("Hi"))
    end_of_key = raw.index(b'"content":"H') + len(b'"content":"H')
    assert first_output(*(raw[at : at + 1] for at in range(len(raw)))) == end_of_key - 1


def test_long_stream_is_folded_and_reads_the_same(read: Read) -> None:
    words = [f"word{number} " for number in range(2_000)]
    frames = [PROMPT_FILTER, *(delta(word) for word in words), delta(finish="stop"), frame(choices=[], usage=USAGE)]
    meter = StreamMeter(surface_of("chat_completions"), keep_content=False, monotonic=lambda: 0.0)
    held = 0
    for one in frames:
        meter.feed(events(one, done=False))
        held = max(held, sum(len(piece) for piece in meter._pieces))
    meter.feed(b"data: [DONE]\n\n")
    reading = meter.finish()
    assert len(meter._read._written[0]._text) < 500  # joined at every fold, or small strings would pile up
    assert held < 70_000 < sum(len(events(one, done=False)) for one in frames)
    assert reading.chunks == len(frames)
    assert reading.usage is not None
    assert reading.finish_reasons == ["stop"]
    assert reading.output.choices()[0].text == "".join(words)


def test_content_is_kept_whole_where_it_is_kept(read: Read) -> None:
    raw = events(*(delta(f"wörd{number} ") for number in range(1_000)), frame(choices=[], usage=USAGE))
    pieces = [raw[at : at + 997] for at in range(0, len(raw), 997)]
    assert read(*pieces, keep_content=True).content == raw.decode()
    assert read(*pieces).content is None


def test_of_an_event_that_seems_to_have_no_end_nothing_is_held(read: Read) -> None:
    blob = b'data: {"choices":[{"index":0,"delta":{"audio":{"data":"' + b"A" * 3_000_000
    meter = StreamMeter(surface_of("chat_completions"), keep_content=False, monotonic=lambda: 0.0)
    held = 0
    for at in range(0, len(blob), 10_000):
        meter.feed(blob[at : at + 10_000])
        held = max(held, sum(len(piece) for piece in meter._pieces))
    meter.feed(b'"}}}]}\n\n' + WITH_USAGE)
    reading = meter.finish()
    assert held < 400_000
    assert reading.unreadable is None
    assert reading.usage is not None
    assert reading.done


def test_completions_stream_is_read(read: Read) -> None:
    raw = events(
        {"id": "cmpl-1", "model": "gpt-35-turbo", "choices": [{"text": "One", "index": 0, "finish_reason": None}]},
        {"id": "cmpl-1", "model": "gpt-35-turbo", "choices": [{"text": " two", "index": 0, "finish_reason": "length"}]},
        {"id": "cmpl-1", "model": "gpt-35-turbo", "choices": [], "usage": USAGE},
    )
    reading = read(raw, api="completions")
    assert reading.usage is not None
    assert reading.finish_reasons == ["length"]
    assert reading.output.choices()[0].text == "One two"


def test_a_page_instead_of_a_stream_is_read_as_nothing() -> None:
    meter = meter_for(
        surface_of("chat_completions"),
        event_stream=True,
        content_encoding="",
        keep_content=False,
        monotonic=lambda: 0.0,
    )
    meter.feed(b"<html><body>Bad Gateway</body></html>")
    reading = meter.finish()
    assert (reading.usage, reading.chunks, reading.done) == (None, 0, False)


@pytest.mark.parametrize("tiered", [0, 2, 4])
def test_the_tier_that_served_is_read_in_whichever_frame_it_stands(read: Read, tiered: int) -> None:
    frames = [*HELLO, frame(choices=[], usage=USAGE)]
    frames[tiered] = frames[tiered] | {"service_tier": "priority"}
    assert read(events(*frames)).service_tier == "priority"
    spaced = b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in frames) + b"data: [DONE]\n\n"
    assert read(spaced).service_tier == "priority"


def test_an_odd_tier_leaves_the_rest(read: Read) -> None:
    reading = read(events(*HELLO, frame(choices=[], usage=USAGE, service_tier=7)))
    assert reading.usage is not None and reading.service_tier is None

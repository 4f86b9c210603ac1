"""The extra usage event is taken out of a stream, and nothing else is; nothing else waits."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.http_bytes import cut
from tokenweir.wire import UsageStripper, data_of, split_events

USAGE = b'{"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"total_tokens":12}}'

_EXTRA = [
    USAGE,
    b'{"usage":{"total_tokens":3},"choices":[]}',
    b'{ "choices" : [ ] , "usage" : { "total_tokens" : 3 } }',
    b'{"usage":{"total_tokens":3}}',
    b'{"choices":null,"usage":{"total_tokens":3}}',
    b'{"choices":[],"usage":{"total_tokens":3,"rate":NaN}}',
    b'{"choices":[],"usage":{},"system_fingerprint":"\\"choices\\":[{"}',
]
_OTHERS = [
    b'{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}',
    b'{"choices":[],"usage":null,"prompt_filter_results":[]}',
    b'{"choices":[{"delta":{"role":"assistant","content":""},"index":0}],"usage":null}',
    b'{"choices":[{"delta":{"content":"hi"},"index":0}],"usage":{"total_tokens":3}}',
    b'{"usage":{"total_tokens":3},"choices":[{"delta":{"content":"hi"}}]}',
    b'{"choices":[{"delta":{"content":"","finish_reason":"stop"}}]}',
    b'{"error":{"code":"429"},"usage":{"total_tokens":3}}',
    b'{"choices":[],"usage":{"total_tokens":3}',
    b'{"choices":[],"usage":null,"prompt":{"usage":{"total_tokens":3}}}',
    b'{"error":{"message":"The \\"usage\\":{} is wrong","code":"429"}}',
    b"[DONE]",
    b"",
]
_FRAMINGS = [b"data: %b\n\n", b"data:%b\n\n", b"data: %b\r\n\r\n", b"data: %b\n\r\n", b"event: x\nid: 7\ndata: %b\n\n"]
_NO_DATA = [b": keep-alive\n\n", b":\r\n\r\n", b"event: ping\n\n", b"retry: 10\n\n"]


@st.composite
def deltas(draw: st.DrawFn) -> bytes:
    """A delta whose text may hold what the stripper looks for, escaped as JSON must."""
    words = st.sampled_from(['"usage":{', '"choices":[{', '"choices":[]', "\n\n", "data: [DONE]", "ü", "x" * 50])
    text = "".join(draw(st.lists(words, max_size=4)))
    return msgspec.json.encode({"choices": [{"delta": {"content": text}}], "usage": None})


@st.composite
def events(draw: st.DrawFn) -> tuple[bytes, bool]:
    """An event, and whether it is the one to be taken out."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(_NO_DATA)), False
    is_extra = draw(st.integers(0, 3)) == 0
    data = draw(st.sampled_from(_EXTRA) if is_extra else st.one_of(st.sampled_from(_OTHERS), deltas()))
    return draw(st.sampled_from(_FRAMINGS)) % data, is_extra


@given(st.lists(events(), max_size=8), st.lists(st.integers(0, 1500), max_size=15))
def test_the_extra_event_and_nothing_else_is_taken_out_however_the_stream_is_cut(
    stream: list[tuple[bytes, bool]], places: list[int]
) -> None:
    raw = b"".join(event for event, _ in stream)
    stripper = UsageStripper()
    passed = [stripper.feed(piece) for piece in cut(raw, [place for place in places if place <= len(raw)])]
    assert b"".join(passed) + stripper.finish() == b"".join(event for event, is_extra in stream if not is_extra)


@given(st.lists(events(), max_size=5))
def test_byte_by_byte_comes_to_the_same(stream: list[tuple[bytes, bool]]) -> None:
    raw = b"".join(event for event, _ in stream)
    stripper = UsageStripper()
    passed = b"".join(stripper.feed(bytes([byte])) for byte in raw) + stripper.finish()
    assert passed == b"".join(event for event, is_extra in stream if not is_extra)


@given(st.lists(events(), max_size=5), st.lists(st.integers(0, 1500), max_size=6), events())
def test_after_whole_events_nothing_is_held(
    before: list[tuple[bytes, bool]], places: list[int], last: tuple[bytes, bool]
) -> None:
    raw = b"".join(event for event, _ in [*before, last])
    stripper = UsageStripper()
    passed = b"".join(stripper.feed(piece) for piece in cut(raw, [place for place in places if place <= len(raw)]))
    assert passed == b"".join(event for event, is_extra in [*before, last] if not is_extra)
    assert stripper.finish() == b""


@given(deltas(), st.sampled_from(_FRAMINGS), st.data())
def test_once_a_first_choice_is_seen_every_byte_passes_as_it_arrives(
    delta: bytes, framing: bytes, data: st.DataObject
) -> None:
    event = framing % delta
    shown = event.index(b'"choices":[{') + len(b'"choices":[{')
    pieces = cut(event, [shown, *data.draw(st.lists(st.integers(shown, len(event)), max_size=6))])
    stripper = UsageStripper()
    assert stripper.feed(pieces[0]) == pieces[0]
    for piece in pieces[1:]:
        assert stripper.feed(piece) == piece
    assert stripper.feed(b"data: " + USAGE + b"\n\n") == b""


def test_the_extra_event_goes_also_where_its_closing_line_is_missing() -> None:
    stripper = UsageStripper()
    assert stripper.feed(b'data: {"a":1}\n\ndata: ' + USAGE + b"\n") == b'data: {"a":1}\n\n'
    assert stripper.finish() == b""


@given(st.sampled_from([b"", b"\xef\xbb\xbf", b"\n\n"]), st.lists(st.integers(0, 30), max_size=5))
def test_a_stream_that_is_not_called_one_is_told_by_its_first_bytes_however_they_are_cut(
    before: bytes, cuts: list[int]
) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    text = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
    whole = before + text + usage
    edges = [0, *sorted(cuts), len(whole)]
    for body in (whole, b'{"usage":{}, "data": "' + whole + b'"}', b"data"):
        stripper = UsageStripper(may_be_body=True)
        passed = [stripper.feed(body[a:b]) for a, b in zip(edges, [*edges[1:-1], len(body)], strict=False)]
        assert b"".join([*passed, stripper.finish()]) == (before + text if body is whole else body)


def test_the_extra_event_goes_from_a_stream_that_only_its_first_bytes_betray() -> None:
    stripper = UsageStripper(may_be_body=True)
    assert stripper.feed(b"\xef\xbb\xbfdata: " + USAGE + b"\n\ndata: [DONE]\n\n") == b"data: [DONE]\n\n"


def test_a_body_passes_as_it_arrives_where_a_stream_was_asked_for() -> None:
    stripper = UsageStripper(may_be_body=True)
    for piece in (b'{"choices":[],', b'"usage":{"total_tokens":3}}\n\n', b"x"):
        assert stripper.feed(piece) == piece
    assert stripper.finish() == b""


def test_a_beginning_that_could_be_the_extra_event_is_held_until_it_is_told() -> None:
    stripper = UsageStripper()
    assert stripper.feed(b'data: {"id":"c1","choices":[') == b""
    assert stripper.feed(b'],"prompt_filter_results":[]}\n\n') == (
        b'data: {"id":"c1","choices":[],"prompt_filter_results":[]}\n\n'
    )


def test_what_was_held_when_the_stream_broke_off_is_not_lost() -> None:
    stripper = UsageStripper()
    assert stripper.feed(b"data: [DO") == b""
    assert stripper.finish() == b"data: [DO"
    assert stripper.finish() == b""


def test_an_event_too_long_to_be_the_one_is_not_waited_for() -> None:
    stripper = UsageStripper()
    begin = b'data: {"choices":[],"prompt_filter_results":"' + b"x" * 70_000
    assert stripper.feed(begin) == begin
    assert stripper.feed(b"more") == b"more"
    assert stripper.feed(b'"}\n') == b'"}\n'
    assert stripper.feed(b"\ndata: " + USAGE + b"\n\ndata: [DONE]\n\n") == b"\ndata: [DONE]\n\n"


def test_the_usual_piece_passes_as_the_same_object() -> None:
    piece = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
    assert UsageStripper().feed(piece) is piece


@given(st.lists(events(), max_size=8))
def test_events_are_split_where_they_end(stream: list[tuple[bytes, bool]]) -> None:
    whole = [event for event, _ in stream]
    assert list(split_events(b"".join(whole))) == whole


def test_the_last_event_may_lack_its_end() -> None:
    assert list(split_events(b"data: a\n\ndata: b\n")) == [b"data: a\n\n", b"data: b\n"]
    assert list(split_events(b"")) == []


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a \n\n", b" a "),
        (b"data: a\r\n\r\n", b"a"),
        (b"data: a", b"a"),
        (b"data: \n\n", b""),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\r\ndata:b\r\n\r\n", b"a\nb"),
        (b"data: a\ndata: b", b"a\nb"),
        (b"data: a\nid: 1\n", b"a"),
        (b"id: 1\nevent: x\ndata: a\n: comment\n\n", b"a"),
        (b": comment\n\n", b""),
        (b"database: x\n\n", b""),
        (b"data: a\rb\n\n", b"a"),
        (b"data: a\rdata: b\r\r", b"a\nb"),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
    ],
)
def test_an_events_data_is_what_its_data_lines_hold(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


def test_recorded_streams_lose_their_usage_event_only(shared: Path) -> None:
    recorded = shared / "recorded"
    index = [msgspec.json.decode(line) for line in (recorded / "index.jsonl").read_bytes().splitlines()]
    stripped = 0
    for entry in index:
        if not entry["streaming"] or entry["status"] != 200 or "chat/completions" not in entry["endpoint"]:
            continue
        body = msgspec.json.decode((recorded / entry["file"]).read_bytes())["response"]["body"]
        if not isinstance(body, str):
            continue
        raw = body.encode()
        stripper = UsageStripper()
        passed = b"".join(stripper.feed(raw[at : at + 97]) for at in range(0, len(raw), 97)) + stripper.finish()
        events = list(split_events(raw))
        kept = list(split_events(passed))
        missing = [event for event in events if event not in kept]
        assert len(events) - len(kept) == len(missing) <= 1
        if missing:
            stripped += 1
            frame = msgspec.json.decode(data_of(missing[0]))
            assert frame["choices"] == [] and frame["usage"]["total_tokens"] > 0
    assert stripped > 20

"""Events are found however reads cut the stream, each with the time of the read that made it whole."""

from hypothesis import given, strategies as st

from support.captures import FINISH, a_call, began, capture_of, text_pieces
from support.streams import DONE, frame
from tokenweir.stopwatch import Head, Watching
from tokenweir.stopwatch.moments import BodyPiece

STREAM = [
    b": hello\n\n",
    frame("Überraschung 日本"),
    frame("two").replace(b"\n", b"\r\n"),
    b"data: {no\n\n",
    FINISH,
    DONE,
]


@given(st.lists(st.integers(0, len(b"".join(STREAM))), max_size=12))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    whole = b"".join(STREAM)
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [(float(number), whole[a:b]) for number, (a, b) in enumerate(zip(edges, edges[1:], strict=False))]
    capture = capture_of(a_call(pieces))

    assert [event.raw for event in capture.events] == STREAM
    assert capture.body == whole
    for event, end in zip(capture.events, _ends(STREAM), strict=True):
        assert event.at == next(number for number, edge in enumerate(edges[1:]) if edge >= end)


def _ends(events: list[bytes]) -> list[int]:
    return [len(b"".join(events[: number + 1])) for number in range(len(events))]


def test_an_event_is_told_when_its_empty_line_is_there() -> None:
    watching = Watching(began())
    watching.add(Head(0.1, 200, [("content-type", "text/event-stream")]))
    assert watching.add(BodyPiece(0.2, frame("one")[:-1], 1)) == []
    [event] = watching.add(BodyPiece(0.3, b"\n", 1))
    assert (event.at, event.frame.text) == (0.3, "one")


def test_what_has_no_end_is_the_last_event_and_marked() -> None:
    capture = capture_of(a_call([(0.1, frame("one")), (0.2, b'data: {"choi')]))
    assert [event.is_cut for event in capture.events] == [False, True]


def test_a_refusal_and_a_whole_answer_have_no_events() -> None:
    json = [("content-type", "application/json")]
    assert capture_of(a_call([(0.1, b'{"error": {}}\n\n')], status=401)).events == []
    assert capture_of(a_call([(0.1, b'{"choices": []}')], headers=json)).events == []


def test_a_stream_without_its_type_is_one_nevertheless() -> None:
    assert len(capture_of(a_call(text_pieces([0.1, 0.2]), headers=[])).events) == 2


TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "application/octet-stream",
    "text/html",
    "",
]


@given(st.sampled_from(TYPES), st.sampled_from([b"", b"\xef\xbb\xbf", b"\n\n", b"\r\n"]), st.integers(1, 12))
def test_events_are_events_under_any_type(kind: str, before: bytes, size: int) -> None:
    whole = before + b"".join([b"event: x\n" + frame("one"), b": hello\n\n", frame("two"), FINISH, DONE])
    headers = [("content-type", kind)] if kind else []
    cut = [(0.1, whole[at : at + 1]) for at in range(size)] + [(0.2, whole[size:])]
    capture = capture_of(a_call(cut, headers=headers))
    assert [event.frame.kind for event in capture.events] == ["text", "comment", "text", "finish", "done"]


@given(st.sampled_from([*TYPES, "text/plain"]), st.sampled_from([b'{"a": 1}\n\n', b"[1]", b"\n<html>data: x\n\n"]))
def test_json_and_pages_are_no_events_under_any_other_type(kind: str, body: bytes) -> None:
    headers = [("content-type", kind)] if kind else []
    assert capture_of(a_call([(0.1, body[:1]), (0.2, body[1:])], headers=headers)).events == []


@given(st.sampled_from([b"", b"d", b"\xef\xbb", b"\n", b"retry"]))
def test_a_body_that_ends_before_it_is_clear_is_no_stream_where_its_type_says_so(body: bytes) -> None:
    capture = capture_of(a_call([(0.1, body)], headers=[("content-type", "application/json")]))
    assert (capture.events, capture.is_stream) == ([], False)


def test_what_the_sdk_hands_over_are_events_too() -> None:
    data = frame("one").removeprefix(b"data: ").strip()
    [event] = capture_of(a_call([(0.4, data)], via="sdk")).events
    assert (event.at, event.frame.kind, event.frame.text) == (0.4, "text", "one")

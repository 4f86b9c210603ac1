"""Days on which an upstream tells its usage oddly: it is found all the same, or the record says why it was not."""

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import force_setattr

from support.raw_client import RawClient, chat_request
from support.scripted import Line, Play
from support.streams import DONE, USAGE, answer, frame
from support.world import World
from tokenweir.apis import ApiAnswer, surface_of
from tokenweir.records import CallRecord

BOM = b"\xef\xbb\xbf"
STOP = b'data: {"id":"a","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


ZEROS = (
    b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"total_tokens":0}}'
)


def play_once(told: bytes) -> Play:
    def play(line: Line) -> None:
        line.read_request()
        line.send(told)
        line.wait_closed()

    return play


def breaks_off(told: bytes) -> Play:
    def play(line: Line) -> None:
        line.read_request()
        line.send(told)

    return play


def stream(*events: bytes, content_type: str = "text/event-stream", more: int = 0) -> bytes:
    body = b"".join(events)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body) + more}\r\n\r\n"
    return head.encode() + body


def asked(world: World, play: Play, *, streams: bool = True, path: str | None = None) -> tuple[bytes, CallRecord]:
    """What a client got, and the record of its call."""
    relay = world.relay(world.upstream(play))
    request = chat_request(deployment="faulty", stream=streams)
    if path is not None:
        request = request.replace(b"chat/completions", path.encode())
    with RawClient(relay.address) as client:
        client.send(request)
        try:
            seen = client.read_answer().body
        except Exception:  # the answer has no end
            seen = b""
    return seen, relay.record()


def counts(record: CallRecord) -> tuple[str, str | None, int, int, int]:
    usage = record.usage.source, record.usage.reason
    return *usage, record.usage.input_tokens, record.usage.output_tokens, record.usage.total_tokens


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_a_stream_under_another_name_is_read_and_stripped(world: World, content_type: str, mark: bytes) -> None:
    told = stream(mark, frame("Hi"), STOP, USAGE, DONE, content_type=content_type)
    seen, record = asked(world, play_once(told))
    assert seen == mark + frame("Hi") + STOP + DONE
    assert counts(record) == ("reported", None, 7, 9, 16)
    assert record.outcome == "completed"


def test_a_body_to_a_streaming_request_is_read_and_passed_on(world: World) -> None:
    body = b'{"id":"a","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}'
    seen, record = asked(world, play_once(answer(body)))
    assert seen == body
    assert counts(record) == ("reported", None, 7, 9, 16)


@pytest.mark.parametrize("chunk", [b'"choices":null,', b""])
@pytest.mark.parametrize("end", [b"\n\n", b"\n", b""])
def test_the_chunk_that_was_asked_for_is_taken_out_without_choices_and_without_an_end(
    world: World, chunk: bytes, end: bytes
) -> None:
    last = b'data: {"id":"a","model":"gpt-4o",%b"usage":{"prompt_tokens":7,"completion_tokens":9}}' % chunk
    seen, record = asked(world, play_once(stream(frame("Hi"), STOP, last + end)))
    assert seen == frame("Hi") + STOP
    assert counts(record) == ("reported", None, 7, 9, 16)


def test_a_count_that_was_told_is_not_undone_by_zeros(world: World) -> None:
    zeros = USAGE.replace(b":7,", b":0,").replace(b":9,", b":0,").replace(b":16", b":0")
    _, record = asked(world, play_once(stream(frame("Hi"), STOP, USAGE, zeros, DONE)))
    assert counts(record) == ("reported", None, 7, 9, 16)


def test_two_halves_of_a_usage_are_one(world: World) -> None:
    first = USAGE.replace(b":9,", b":0,").replace(b":16", b":7")
    second = USAGE.replace(b":7,", b":0,").replace(b":16", b":9")
    _, record = asked(world, play_once(stream(first, frame("Hi"), STOP, second, DONE)))
    assert counts(record) == ("reported", None, 7, 9, 16)


def test_output_behind_an_early_usage_is_counted(world: World) -> None:
    early = USAGE.replace(b":9,", b":0,").replace(b":16", b":7")
    told = stream(early, *[frame("hello there world ")] * 30, more=100)
    _, record = asked(world, breaks_off(told))
    assert record.outcome == "upstream_broken"
    assert (record.usage.source, record.usage.reason, record.usage.input_tokens) == ("estimated", "cut", 7)
    assert 60 <= record.usage.output_tokens <= 120


def test_visible_reasoning_under_its_newer_name_is_counted(world: World) -> None:
    thought = frame("thinking hard about it ").replace(b'"content"', b'"reasoning"')
    _, record = asked(world, breaks_off(stream(*[thought] * 20, more=100)))
    assert (record.usage.source, record.usage.reason) == ("estimated", "cut")
    assert 60 <= record.usage.output_tokens <= 120
    assert record.first_token_ms is not None


def test_a_usage_in_the_answer_of_another_api_is_reported(world: World) -> None:
    usage = {"input_tokens": 139, "output_tokens": 438, "output_tokens_details": {"reasoning_tokens": 64}}
    body = json.dumps({"id": "r1", "output": [], "usage": usage}).encode()
    _, record = asked(world, play_once(answer(body)), streams=False, path="images/generations")
    assert counts(record) == ("reported", None, 139, 438, 577)
    assert record.usage.reasoning_tokens == 64


@pytest.mark.parametrize(
    ("body", "lines", "reason"),
    [
        (b'{"choices":[]}', [], "withheld"),
        (b"<html>", [], "unreadable"),
        (b'{"choices":[', [], "cut"),
        (b'{"usage":{"prompt_tokens":"seven"}}', [], "unreadable"),
        (b'{"usage":[1]}', [], "unreadable"),
        (b'{"usage":null}', [], "withheld"),
        (ZEROS, [], "withheld"),
        (ZEROS.decode().encode("utf-16"), [], "unreadable"),
        (b'{"usage":{"a":"' + b"x" * 2_000_000 + b'"}}', [], "too_large"),
        (b"?", ["content-encoding: br"], "unread_encoding"),
        (b"\x1f\x8b\x08\x00", ["content-encoding: gzip"], "cut"),
    ],
)
def test_the_record_says_why_a_usage_is_not_reported(world: World, body: bytes, lines: list[str], reason: str) -> None:
    seen, record = asked(world, play_once(answer(body, *lines)), streams=False)
    assert seen == body
    assert (record.usage.source, record.usage.reason) == ("estimated", reason)
    assert record.outcome == ("upstream_broken" if reason == "cut" else "completed")


def test_zeros_of_a_call_that_used_nothing_are_reported(world: World) -> None:
    body = b'{"data":[],"usage":{"prompt_tokens":0,"total_tokens":0}}'
    _, record = asked(world, play_once(answer(body)), streams=False, path="embeddings")
    assert counts(record) == ("reported", None, 0, 0, 0)


@pytest.fixture
def unreadable_chats() -> Iterator[None]:
    """A defect of ours: whoever reads an answer of a chat fails."""
    surface = surface_of("chat_completions")
    read_answer = surface.read_answer

    def fail(data: bytes) -> ApiAnswer | None:
        raise KeyError("secret words")

    force_setattr(surface, "read_answer", fail)
    yield
    force_setattr(surface, "read_answer", read_answer)


@pytest.mark.parametrize("streams", [True, False], ids=["while it is fed", "at the end"])
def test_a_meter_that_fails_ends_no_call(world: World, streams: bool, unreadable_chats: None) -> None:
    told = stream(frame("Hi"), STOP, USAGE, DONE) if streams else answer(ZEROS)
    seen, record = asked(world, play_once(told), streams=streams)
    assert seen == (frame("Hi") + STOP + DONE if streams else ZEROS)
    assert (record.outcome, record.usage.source, record.usage.reason) == ("completed", "estimated", "unreadable")
    assert not any("secret words" in message for message in world.errors.taken())

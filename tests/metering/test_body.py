"""One JSON body: an answer, an error, vectors, or too much of anything."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement
from tokenweir.metering.body import BodyMeter

Read = Callable[..., Measurement]
Cut = Callable[[bytes, int], Iterable[bytes]]

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-11-20",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
                ],
            },
            "content_filter_results": {"hate": {"filtered": False}, "violence": {"filtered": True}},
        },
        {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}},
    ],
    "usage": USAGE,
}


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_answer_is_read(read: Read) -> None:
    reading = read(encode(ANSWER), event_stream=False)
    assert reading.usage is not None
    assert reading.usage.raw == USAGE
    assert (reading.response_id, reading.response_model) == ("chatcmpl-1", "gpt-4o-2024-11-20")
    assert reading.finish_reasons == ["tool_calls", "stop"]
    assert reading.content_filter == "violence"
    assert (reading.chunks, reading.done, reading.content, reading.unreadable) == (1, True, None, None)
    first, second = reading.output.choices()
    assert first.calls == [("f", "{}"), ("g", "[]")]
    assert second.text == "Hello"


@pytest.mark.parametrize("seed", range(10))
def test_pieces_make_no_difference(read: Read, cut: Cut, seed: int) -> None:
    whole = read(encode(ANSWER), event_stream=False, keep_content=True)
    parts = read(*cut(encode(ANSWER), seed), event_stream=False, keep_content=True)
    assert parts.usage == whole.usage
    assert parts.content == whole.content == encode(ANSWER).decode()


@pytest.mark.parametrize(
    ("body", "code", "filtered"),
    [
        ({"error": {"code": "DeploymentNotFound", "message": "…"}}, "DeploymentNotFound", None),
        ({"error": {"code": None, "type": "invalid_request_error", "message": "…"}}, "invalid_request_error", None),
        ({"error": {"code": "429", "message": "…"}}, "429", None),
        ({"statusCode": 401, "message": "Access denied due to missing subscription key."}, "401", None),
        (
            {
                "error": {
                    "code": "content_filter",
                    "innererror": {
                        "code": "ResponsibleAIPolicyViolation",
                        "content_filter_result": {"hate": {"filtered": False}, "jailbreak": {"filtered": True}},
                    },
                }
            },
            "content_filter",
            "jailbreak",
        ),
    ],
)
def test_error_body_is_read(read: Read, body: dict[str, Any], code: str, filtered: str | None) -> None:
    reading = read(encode(body), event_stream=False)
    assert (reading.error_code, reading.content_filter, reading.usage) == (code, filtered, None)
    assert reading.done


@pytest.mark.parametrize("body", [b"", b'{"id":"x","usage":{"prompt_tok', b"<html>", b"[1]", b"null", b"\xff"])
def test_what_is_no_json_object_is_not_done(read: Read, body: bytes) -> None:
    reading = read(body, event_stream=False)
    assert (reading.usage, reading.done, reading.output.choices()) == (None, False, [])
    assert reading.chunks == (1 if body else 0)


def vectors(floats: int, *, first: dict[str, Any] | None = None, last: dict[str, Any] | None = None) -> bytes:
    data = [{"object": "embedding", "index": 0, "embedding": [-0.0123456] * floats}]
    if last is None:
        last = {"model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    return encode({"object": "list", **(first or {}), "data": data, **last})


@pytest.mark.parametrize("floats", [10, 1_536, 200_000])
def test_usage_of_vectors_is_read_whatever_their_length(read: Read, cut: Cut, floats: int) -> None:
    reading = read(*cut(vectors(floats), floats), api="embeddings", event_stream=False)
    assert reading.usage is not None
    assert (reading.usage.input_tokens, reading.usage.total_tokens) == (8, 8)
    assert reading.response_model == "text-embedding-3-small"
    assert reading.done


@pytest.mark.parametrize(
    "last",
    [
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}, "model": "text-embedding-3-small"},
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}, "model": "text-embedding-3-small", "more": {"model": "x"}},
    ],
)
def test_members_may_come_in_another_order(read: Read, last: dict[str, Any]) -> None:
    reading = read(vectors(5_000, last=last), api="embeddings", event_stream=False)
    assert reading.usage is not None
    assert reading.usage.total_tokens == 8
    assert reading.response_model == "text-embedding-3-small"


def test_usage_at_the_beginning_is_found_in_a_body_of_any_length(read: Read) -> None:
    first = {"usage": {"prompt_tokens": 8, "total_tokens": 8}}
    assert read(vectors(5_000, first=first, last={}), api="embeddings", event_stream=False).usage is not None
    reading = read(vectors(200_000, first=first, last={}), api="embeddings", event_stream=False)
    assert reading.usage is not None
    assert reading.done


def test_very_long_body_is_not_held() -> None:
    meter = BodyMeter(surface_of("chat_completions"), keep_content=False)
    held = 0
    long = encode({"id": "x", "choices": [{"message": {"audio": {"data": "A" * 5_000_000}}}]}).removesuffix(b"}")
    tail = encode({"model": "gpt-4o-audio-preview", "usage": USAGE}).removeprefix(b"{")
    body = long + b"," + tail
    for at in range(0, len(body), 10_000):
        meter.feed(body[at : at + 10_000])
        held = max(held, sum(len(piece) for piece in meter._pieces))
    reading = meter.finish()
    assert held < 1_200_000
    assert reading.usage is not None
    assert reading.usage.raw == USAGE
    assert reading.response_model == "gpt-4o-audio-preview"


def test_a_body_has_no_first_token() -> None:
    meter = BodyMeter(surface_of("chat_completions"), keep_content=False)
    meter.feed(encode(ANSWER))
    assert meter.first_token_at is None


def test_an_answer_with_half_a_character_is_read(read: Read) -> None:
    body = rb'{"model":"m","choices":[{"index":0,"message":{"content":"Hi \ud83d"}}],"usage":{"prompt_tokens":7}}'
    reading = read(body, event_stream=False)
    assert reading.usage is not None
    assert reading.usage.input_tokens == 7
    assert reading.output.choices()[0].text == "Hi \N{REPLACEMENT CHARACTER}"

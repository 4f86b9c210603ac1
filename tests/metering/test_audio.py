"""Transcriptions and translations: tokens or seconds where they are told, and never 0 where they are not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tokenweir.metering import Measurement, estimate
from tokenweir.records import Quantity, Usage, exact_amount

Read = Callable[..., Measurement]

TOKENS = {
    "type": "tokens",
    "input_tokens": 114,
    "input_token_details": {"text_tokens": 14, "audio_tokens": 100},
    "output_tokens": 45,
    "total_tokens": 159,
}
SECONDS = {"type": "duration", "seconds": 9}


def body(**members: Any) -> bytes:
    return json.dumps({"text": "Water flows."} | members).encode()


def event(kind: str, **members: Any) -> bytes:
    return f"data: {json.dumps({'type': kind} | members)}\n\n".encode()


WRITTEN = [event("transcript.text.delta", delta=delta) for delta in ("Water", " flows.")]


def test_a_body_tells_tokens(read: Read) -> None:
    reading = read(body(usage=TOKENS), api="audio_transcriptions", event_stream=False)
    usage = reading.usage
    assert usage is not None
    assert (usage.source, usage.raw) == ("reported", TOKENS)
    assert (usage.input_tokens, usage.input_audio_tokens, usage.output_tokens) == (114, 100, 45)
    assert usage.total_tokens == 159
    assert reading.done
    assert [choice.text for choice in reading.output.choices()] == ["Water flows."]


def test_a_stream_tells_them_in_its_last_event(read: Read) -> None:
    done = event("transcript.text.done", text="Water flows.", usage=TOKENS)
    reading = read(*WRITTEN, done, api="audio_transcriptions")
    assert reading.usage is not None
    assert (reading.usage.input_audio_tokens, reading.usage.output_tokens) == (100, 45)
    assert (reading.done, reading.chunks, reading.wrote_since_usage) == (True, 3, False)
    assert [choice.text for choice in reading.output.choices()] == ["Water flows."]


@pytest.mark.parametrize("api", ["audio_transcriptions", "audio_translations"])
@pytest.mark.parametrize(
    ("members", "raw"),
    [({"usage": SECONDS}, SECONDS), ({"duration": 8.47, "segments": []}, {"seconds": 8.47})],
)
def test_a_body_tells_seconds(read: Read, api: str, members: dict[str, Any], raw: dict[str, Any]) -> None:
    reading = read(body(**members), api=api, event_stream=False)
    assert reading.usage is not None
    assert (reading.usage.source, reading.usage.raw, reading.usage.total_tokens) == ("reported", raw, 0)
    assert reading.usage.quantities == {"input_audio_seconds": Quantity(exact_amount(raw["seconds"]))}


@pytest.mark.parametrize("answer", [b"Water flows.\n", b"1\n00:00:00,000 --> 00:00:01,000\nWater flows.\n", b"", b"\n"])
def test_a_text_is_a_whole_answer_that_tells_no_usage(read: Read, answer: bytes) -> None:
    reading = read(answer, api="audio_transcriptions", event_stream=False)
    assert (reading.usage, reading.reason, reading.unreadable, reading.done) == (None, None, None, True)


def test_a_text_of_a_day_is_one_too(read: Read) -> None:
    reading = read(b"Water flows.\n" * 200_000, api="audio_transcriptions", event_stream=False)
    assert (reading.usage, reading.reason, reading.done) == (None, None, True)


def test_a_body_without_a_usage_tells_none(read: Read) -> None:
    reading = read(body(), api="audio_transcriptions", event_stream=False)
    assert (reading.usage, reading.reason, reading.done) == (None, None, True)


def test_a_body_that_is_cut_is_not_whole(read: Read) -> None:
    reading = read(body(usage=TOKENS)[:40], api="audio_transcriptions", event_stream=False)
    assert (reading.usage, reading.done) == (None, False)


def test_a_very_long_body_still_tells_its_usage(read: Read) -> None:
    words = [{"word": "water", "start": 0.0, "end": 0.1}] * 40_000
    reading = read(body(words=words, duration=8.47), api="audio_transcriptions", event_stream=False)
    assert reading.usage is not None
    assert reading.usage.raw == {"seconds": 8.47}


@pytest.mark.parametrize("seconds", ["9", -1, None, True])
def test_seconds_that_cannot_be_are_none(read: Read, seconds: Any) -> None:
    usage = {"type": "duration", "seconds": seconds}
    assert read(body(usage=usage), api="audio_transcriptions", event_stream=False).usage is None


def test_an_error_is_told_by_its_code(read: Read) -> None:
    error = {"error": {"code": "invalid_value", "message": "…"}}
    assert (
        read(json.dumps(error).encode(), api="audio_transcriptions", event_stream=False).error_code == "invalid_value"
    )


def test_a_form_without_a_sound_has_no_length() -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'
    usage = estimate("audio_transcriptions", form, None, "whisper", ended_normally=True, azure=True)
    assert usage == Usage(quantities={"input_audio_seconds": Quantity(None, "unknown")})

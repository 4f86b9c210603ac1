"""Transcriptions and translations: a form with a file becomes a text, which says what it used in tokens or in seconds.

Models whose name begins with ``whisper`` tell seconds and do not stream; the others tell tokens, ten for a second of
audio, and stream if they are asked to. As text or subtitles an answer tells neither.
"""

import struct
import zlib
from collections.abc import Iterator
from math import ceil
from typing import Any

import msgspec

from ... import vocabulary
from .. import prose
from ..answers import DEFAULT_LENGTH
from ..failures import Refused
from ..headers import response_headers
from ..models import full_model_name
from ..pieces import ReplyPiece, events, until_fault
from ..said import Answer, Choice
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["TRANSCRIPTIONS", "TRANSLATIONS"]

_encode = msgspec.json.encode
# The `response_format` of answers that are no JSON.
_TEXTS = ("text", "srt", "vtt")

_TOKENS_A_SECOND = 10
# 16 kHz, 16 bits, one channel: what a file is taken for that does not say.
_BYTES_A_SECOND = 32_000


def _answer(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    if not isinstance(call.body.get("file"), bytes):
        raise Refused.missing("file")
    said = _heard(call, script)
    usage = script.usage == "auto" and call.body.get("response_format") not in _TEXTS
    made = Reply(headers=response_headers(call, script, moment, said), answer=said, usage=usage)
    if call.stream and _tells_tokens(call):
        made.pieces = events(_pieces(said, script, usage=usage), script, named=False)
    else:
        content_type, made.body = _body(call, said, usage=usage)
        made.headers[0] = ("content-type", content_type)
    return made


def _heard(call: SimulatedCall, script: Script) -> Answer:
    model = script.model or full_model_name(call.deployment)
    sound = call.body["file"]
    seconds = _seconds_of(sound)
    encoding = vocabulary.encoding_name(model)
    seed = zlib.crc32(sound)
    length = script.output_tokens or prose.about(DEFAULT_LENGTH, seed)
    by_tokens = _tells_tokens(call)
    audio = ceil(seconds * _TOKENS_A_SECOND) if by_tokens else 0
    text = vocabulary.count(str(call.body.get("prompt", "")), encoding) if by_tokens else 0
    return Answer(
        model=model,
        prompt_tokens=audio + text,
        cached_tokens=0,
        completion_tokens=length if by_tokens else 0,
        reasoning_tokens=0,
        choices=(Choice(0, prose.words(length, seed, encoding), (), "stop"),),
        audio_tokens=audio,
        quantities={} if by_tokens else {"input_audio_seconds": ceil(seconds)},
    )


def _body(call: SimulatedCall, said: Answer, *, usage: bool) -> tuple[str, bytes]:
    """Content type and body, by ``response_format``."""
    text, seconds = said.choices[0].text, _seconds_of(call.body["file"])
    told = {"usage": _usage(said)} if usage else {}
    match call.body.get("response_format", "json"):
        case "text":
            return "text/plain; charset=utf-8", f"{text}\n".encode()
        case "srt":
            return "text/plain; charset=utf-8", f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n".encode()
        case "vtt":
            return "text/plain; charset=utf-8", f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n".encode()
        case "verbose_json":
            more = {"task": "transcribe", "language": "english", "duration": seconds, "segments": []}
            return "application/json", _encode({**more, "text": text, **told})
        case _:
            return "application/json", _encode({"text": text, **told})


def _pieces(said: Answer, script: Script, *, usage: bool) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    delay = float(script.chunk_delay) or None
    text = said.choices[0]
    deltas = (
        ({"type": "transcript.text.delta", "delta": word}, ReplyPiece(b"", visible=1, delay=delay))
        for word in text.words
    )
    fault = script.fault()
    yield from until_fault(deltas, fault)
    if fault is None:
        done = {"type": "transcript.text.done", "text": text.text}
        yield {**done, "usage": _usage(said)} if usage else done, ReplyPiece(b"", usage=usage)


def _usage(said: Answer) -> dict[str, Any]:
    if seconds := said.quantities.get("input_audio_seconds"):
        return {"type": "duration", "seconds": seconds}
    text = said.prompt_tokens - said.audio_tokens
    return {
        "type": "tokens",
        "input_tokens": said.prompt_tokens,
        "input_token_details": {"text_tokens": text, "audio_tokens": said.audio_tokens},
        "output_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def _tells_tokens(call: SimulatedCall) -> bool:
    return not (call.deployment or "").startswith("whisper")


def _seconds_of(sound: bytes) -> float:
    """By the bytes a second that a WAV says of itself."""
    a_second = _BYTES_A_SECOND
    if sound[:4] == b"RIFF" and len(sound) > 44:
        a_second = struct.unpack_from("<I", sound, 28)[0] or a_second
    return max(0, len(sound) - 44) / a_second


TRANSCRIPTIONS = SimulatedSurface(
    api="audio_transcriptions",
    title="Transcriptions, in tokens or in seconds",
    routes=(SimulatedRoute(path="audio/transcriptions", answer=_answer, body="form", streams=True),),
)

TRANSLATIONS = SimulatedSurface(
    api="audio_translations",
    title="Translations of speech",
    routes=(SimulatedRoute(path="audio/translations", answer=_answer, body="form"),),
)

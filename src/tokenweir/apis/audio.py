"""Audio in, text out: transcriptions and translations, whose requests are forms with a file. And speech: text in, audio
out.

Newer models tell tokens, older ones the seconds of audio (``usage.type``). A stream tells it in its last event. An
answer that is plain text, or subtitles, tells nothing: then the seconds are those of the file. Sound tells nothing
either; its characters are counted.
"""

import re
from typing import Any

import msgspec

from ..records import Quantity
from ..wire import Path, decode_json
from .answer import seconds_heard
from .digest import FACTS, readers, told_error, told_usage
from .sound import seconds_of_sound
from .structs import AnswerChoice, AnswerMessage, ApiAnswer, EventAnswer
from .surface import Surface

__all__ = ["SPEECH", "TRANSCRIPTIONS", "TRANSLATIONS"]

_FACTS: dict[Path, int] = {**FACTS, ("duration",): FACTS[("status",)]}


class _Event(msgspec.Struct, gc=False):
    """An event, or a body, which has no type."""

    type: Any = None
    text: Any = None
    delta: Any = None
    usage: Any = None
    duration: Any = None
    error: Any = None
    code: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")


def _answer(event: _Event) -> ApiAnswer:
    text = event.delta if event.type == "transcript.text.delta" else event.text if event.type is None else None
    usage = event.usage
    if usage is None and type(event.duration) in (int, float):
        usage = {"seconds": event.duration}  # `verbose_json` told it so before there was a usage
    return EventAnswer(
        is_last=event.type in ("transcript.text.done", "speech.audio.done"),
        choices=[AnswerChoice(message=AnswerMessage(content=text))] if isinstance(text, str) and text else None,
        usage=told_usage(usage),
        error=told_error(event.type, event.code, event.error),
        status_code=event.status_code,
    )


def _heard(body: bytes) -> dict[str, Quantity]:
    seconds = seconds_of_sound(body)
    return {"input_audio_seconds": Quantity(seconds, "unknown" if seconds is None else "derived")}


def _spoken(body: bytes) -> dict[str, Quantity]:
    request = decode_json(body)
    text = request.get("input") if isinstance(request, dict) else None
    return {"input_characters": Quantity(len(text), "counted")} if isinstance(text, str) else {}


_READ, _ANSWER_OF = readers(_Event, _answer, _FACTS)

TRANSCRIPTIONS = Surface(
    name="audio_transcriptions",
    title="Audio transcriptions",
    operation="audio/transcriptions",
    paths=("audio/transcriptions",),
    body="form",
    read_answer=_READ,
    answer_of=_ANSWER_OF,
    facts=_FACTS,
    output=re.compile(rb'"type"\s*:\s*"transcript\.text\.(?:delta|segment)"'),
    ends_with_done=False,
    may_be_text=True,
    usage="input_tokens",
    quantities_of=seconds_heard,
    asked_for=_heard,
    units=("tokens", "seconds of audio"),
    otel_operation="transcription",
)

TRANSLATIONS = msgspec.structs.replace(
    TRANSCRIPTIONS,
    name="audio_translations",
    title="Audio translations",
    operation="audio/translations",
    paths=("audio/translations",),
    units=("seconds of audio",),
    otel_operation="translation",
)

SPEECH = msgspec.structs.replace(
    TRANSCRIPTIONS,
    name="audio_speech",
    title="Speech",
    operation="audio/speech",
    paths=("audio/speech",),
    body="json",
    prompt="input",
    output=re.compile(rb'"type"\s*:\s*"speech\.audio\.delta"'),
    quantities_of=None,
    asked_for=_spoken,
    units=("tokens", "characters"),
    otel_operation="speech",
)

"""Speech, and what is done with texts beside answering them: moderations and reranking.

Speech is silence, as WAV whatever format is asked for; with ``stream_format`` ``sse`` it is told in events, the last of
which says the tokens. Its characters are what is charged otherwise.
"""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from ... import vocabulary
from ..headers import response_headers
from ..pieces import ReplyPiece, events, until_fault
from ..said import Answer
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["MODERATIONS", "RERANK", "SPEECH"]

_BYTES_A_SECOND = 32_000
_CHARACTERS_A_SECOND = 15
_TOKENS_A_SECOND = 20
_PIECES = 3
_DOCUMENTS_A_UNIT = 100
_CATEGORIES = ("harassment", "hate", "self-harm", "sexual", "violence")


def _speak(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    text = str(call.body["input"])
    seconds = len(text) // _CHARACTERS_A_SECOND + 1
    model = script.model or call.deployment or "gpt-4o-mini-tts"
    is_told = call.body.get("stream_format") == "sse" and not model.startswith("tts-")
    prompt = vocabulary.count(text, vocabulary.encoding_name(model))
    said = Answer(
        model=model,
        prompt_tokens=prompt if is_told else 0,
        completion_tokens=_TOKENS_A_SECOND * seconds if is_told else 0,
        quantities={} if is_told else {"input_characters": len(text)},
    )
    made = Reply(headers=response_headers(call, script, moment, said), answer=said, usage=is_told)
    if is_told:
        made.headers[0] = ("content-type", "text/event-stream; charset=utf-8")
        made.pieces = events(_heard(said, seconds, script), script)
    else:
        made.headers[0] = ("content-type", "audio/wav")
        made.body = _wav(seconds)
    return made


def _heard(said: Answer, seconds: int, script: Script) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    sound = base64.b64encode(_wav(seconds)).decode()
    size = len(sound) // _PIECES // 4 * 4
    pieces = [sound[at : at + size] for at in range(0, len(sound), size)]
    deltas = (({"type": "speech.audio.delta", "audio": piece}, ReplyPiece(b"", visible=1)) for piece in pieces)
    fault = script.fault()
    yield from until_fault(deltas, fault)
    if fault is None:
        usage = {"input_tokens": said.prompt_tokens, "output_tokens": said.completion_tokens}
        usage["total_tokens"] = sum(usage.values())
        yield {"type": "speech.audio.done", "usage": usage}, ReplyPiece(b"", usage=True)


def _wav(seconds: int) -> bytes:
    data = bytes(seconds * _BYTES_A_SECOND)
    head = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, _BYTES_A_SECOND, 2, 16)
    size = struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data" + size + data


def _moderate(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    given = call.body["input"]
    clean = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0001),
    }
    count = len(given) if isinstance(given, list) else 1
    model = script.model or call.deployment or "omni-moderation-latest"
    body = {"id": f"modr-{moment.id}", "model": model, "results": [clean] * count}
    return Reply(headers=response_headers(call, script, moment), body=msgspec.json.encode(body))


def _rerank(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    documents = call.body["documents"]
    units = (len(documents) + _DOCUMENTS_A_UNIT - 1) // _DOCUMENTS_A_UNIT
    said = Answer(model=script.model or call.deployment or "", quantities={"search_units": units})
    ranks = [{"index": at, "relevance_score": round(1 / (at + 1), 6)} for at in range(len(documents))]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    return Reply(
        headers=response_headers(call, script, moment, said),
        body=msgspec.json.encode({"id": moment.id, "results": ranks[: call.body.get("top_n")], "meta": meta}),
        answer=said,
        usage=True,
    )


SPEECH = SimulatedSurface(
    api="audio_speech",
    title="Speech, in characters or in tokens",
    routes=(SimulatedRoute(path="audio/speech", answer=_speak, needs=("input",)),),
)

MODERATIONS = SimulatedSurface(
    api="moderations",
    title="Moderations, which find nothing and cost nothing",
    routes=(SimulatedRoute(path="moderations", answer=_moderate, needs=("input",), needs_model=False),),
)

RERANK = SimulatedSurface(
    api="rerank",
    title="Reranking, in search units",
    routes=tuple(
        SimulatedRoute(path=path, answer=_rerank, needs=("query", "documents"))
        for path in ("rerank", "/v2/rerank", "/providers/cohere/v2/rerank")
    ),
)

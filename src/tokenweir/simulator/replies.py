"""A call and its script become a reply: status, headers, and a body or the events of a stream."""

import hashlib
from collections.abc import Iterator
from math import ceil
from typing import Any, Literal

import msgspec

from ..apis import surface_of
from .answers import Answer, answer
from .failures import Refused, error_for
from .frames import Frames, whole_answer
from .headers import Moment, identity, response_headers
from .routes import AUDIO, Call, is_anthropic
from .script import Script
from .streams import Piece, stream
from .surfaces.audio import TEXTS, audio_answer, audio_body, audio_pieces
from .surfaces.embeddings import embeddings
from .surfaces.messages import message_answer, message_error, message_events, whole_message

__all__ = ["Ending", "Reply", "refusal", "reply"]

Ending = Literal["complete", "reset", "close", "hang"]
"""What happens after the last piece: all is said, TCP RST, EOF without a proper end, or nothing at all."""

_OPERATIONS = {
    "chat_completions": "ChatCompletions_Create",
    "completions": "Completions_Create",
    "embeddings": "Embeddings_Create",
}


class Reply(msgspec.Struct, kw_only=True):
    """An answer before it is HTTP: a body whole or, where ``pieces`` are given, in events."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    pieces: Iterator[Piece] | None = None
    answer: Answer | None = None
    usage: bool = False
    """Whether a whole body says what was used."""
    ending: Ending = "complete"
    silent: bool = False
    """Not even a head is sent before the ending."""


def reply(call: Call, script: Script, moment: Moment) -> Reply:
    """What Azure would say, with what the script wants of it. Raises Refused as Azure does."""
    if script.status is not None:
        return _failure(call, script, moment)
    if call.api in ("models", "other"):
        told = _models() if call.api == "models" else _echo(call, moment)
        return _with_fault(Reply(status=200, headers=response_headers(call, script, moment), body=told), script)
    if is_anthropic(call.request.path):
        return _with_fault(_message(call, script, moment), script)
    _check(call, script)
    if script.prompt_filter:
        return _failure(call, script, moment)
    if not call.stream and script.error_frame_after is not None:
        return _failure(call, msgspec.structs.replace(script, status=500), moment)
    said = audio_answer(call, script) if call.api in AUDIO else answer(call, script)
    headers = response_headers(call, script, moment, said)
    filters = script.filters if script.filters is not None else call.azure or script.async_filter
    usage = script.usage == "auto"
    if call.api in AUDIO:
        usage = usage and call.body.get("response_format") not in TEXTS
        made = _audio(call, script, said, headers, usage=usage)
    elif call.stream:
        frames = _frames(call, script, moment, said, filters=filters)
        usage = usage and call.include_usage
        made = Reply(status=200, headers=headers, pieces=stream(said, frames, script, usage=usage))
    elif call.api == "embeddings":
        made = Reply(status=200, headers=headers, body=_encode(embeddings(call.body, said, usage=usage)))
    else:
        chat = call.api == "chat_completions"
        body = whole_answer(
            said,
            chat=chat,
            id=_answer_id(call, moment),
            created=moment.created,
            filters=filters,
            usage=said.usage() if usage else None,
        )
        made = Reply(status=200, headers=headers, body=_encode(body))
    made.answer = said
    made.usage = usage
    return _with_fault(made, script)


def _audio(call: Call, script: Script, said: Answer, headers: list[tuple[str, str]], *, usage: bool) -> Reply:
    if call.stream:
        return Reply(status=200, headers=headers, pieces=audio_pieces(said, script, usage=usage))
    content_type, body = audio_body(call, said, usage=usage)
    return Reply(status=200, headers=[("content-type", content_type), *headers[1:]], body=body)


def refusal(error: Refused, moment: Moment, path: str, *, azure: bool = True) -> Reply:
    """An error answer that no script asked for."""
    headers = [("content-type", "application/json"), *identity(moment, azure=azure)]
    return Reply(status=error.status, headers=headers, body=_error_body(error, path, moment))


def _error_body(error: Refused, path: str, moment: Moment) -> bytes:
    return _encode(message_error(error, f"req_{moment.id}") if is_anthropic(path) else {"error": error.error})


def _message(call: Call, script: Script, moment: Moment) -> Reply:
    """The answer of the Messages API. Foundry leaves Anthropic's rate limit headers out."""
    said = message_answer(call, script)
    kind = "text/event-stream; charset=utf-8" if call.stream else "application/json"
    headers = [("content-type", kind), *identity(moment, azure=True), ("request-id", f"req_{moment.id}")]
    if script.gzip:
        headers.append(("content-encoding", "gzip"))
    made = Reply(status=200, headers=headers)
    if call.api == "count_tokens":  # used nothing
        made.body = _encode({"input_tokens": said.prompt_tokens})
        return made
    made.answer, made.usage = said, script.usage == "auto"
    if call.stream:
        made.pieces = message_events(said, script, moment.id)
    else:
        made.body = _encode(whole_message(said, script, moment.id))
    return made


def _failure(call: Call, script: Script, moment: Moment) -> Reply:
    """The status that was asked for; without one, the refusal of the prompt, which counts as used."""
    status = script.status or 400
    wait = float(script.retry_after) if script.retry_after is not None else 1.0
    headers = response_headers(call, script, moment)
    if status == 429 or script.retry_after is not None:
        headers += [("retry-after", str(ceil(wait))), ("retry-after-ms", str(round(wait * 1000)))]
    said = None
    if script.status is None:
        error = Refused.prompt_filtered().error
        said = msgspec.structs.replace(answer(call, script), completion_tokens=0, reasoning_tokens=0, choices=())
    else:
        operation = _OPERATIONS.get(call.api, call.operation)
        error = error_for(status, operation, call.api_version, ceil(wait))
    body = _error_body(Refused(status, error), call.request.path, moment)
    made = Reply(status=status, headers=headers, body=body, answer=said)
    return _with_fault(made, script)


def _check(call: Call, script: Script) -> None:
    """The refusals that are about the body."""
    if script.refuse_stream_options and "stream_options" in call.body:
        raise Refused.bad_request("Unrecognized request argument supplied: stream_options")
    if call.body.get("stream_options") is not None and not call.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused.bad_request(message, "stream_options")
    for limit in ("max_tokens", "max_completion_tokens", "n"):
        value = call.body.get(limit)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise Refused.bad_request(f"Invalid '{limit}': expected an integer of at least 1.", limit)
    surface = surface_of(call.api)
    needed = surface.prompt if surface.has_choices else ""
    if needed and not call.body.get(needed):
        message = f"Missing required parameter: '{needed}'."
        raise Refused.bad_request(message, needed, "missing_required_parameter")


def _with_fault(made: Reply, script: Script) -> Reply:
    fault = script.fault()
    if fault is not None and fault[0] != "error_frame":
        made.ending = fault[0]
        made.silent = fault[1] == 0
    return made


def _frames(call: Call, script: Script, moment: Moment, said: Answer, *, filters: bool) -> Frames:
    return Frames(
        chat=call.api == "chat_completions",
        id=_answer_id(call, moment),
        created=moment.created,
        model=said.model,
        filters=filters,
        async_filter=script.async_filter,
        obfuscation=script.obfuscation,
        latency=script.latency,
        null_usage=call.include_usage and script.usage == "auto",
    )


def _answer_id(call: Call, moment: Moment) -> str:
    kind = "chatcmpl" if call.api == "chat_completions" else "cmpl"
    return f"{kind}-{moment.id.replace('-', '')[:29]}"


def _models() -> bytes:
    names = ("gpt-4o-2024-11-20", "gpt-4o-mini-2024-07-18", "gpt-5-2025-08-07", "text-embedding-3-small")
    data = [{"id": name, "object": "model", "created": 1_732_000_000, "owned_by": "system"} for name in names]
    return _encode({"object": "list", "data": data})


def _echo(call: Call, moment: Moment) -> bytes:
    """What arrived, in few words; enough of a file object for the SDK that uploaded one."""
    body = call.request.body
    digest = hashlib.sha256(body).hexdigest()
    kind = "file" if call.operation == "files" else "simulated"
    return _encode(
        {
            "id": f"{kind}-{digest[:24]}",
            "object": kind,
            "created_at": moment.created,
            "method": call.request.method,
            "path": call.request.path,
            "content_type": call.request.headers.get("content-type"),
            "bytes": len(body),
            "sha256": digest,
        }
    )


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value)

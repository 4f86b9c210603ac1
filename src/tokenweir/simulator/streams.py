"""A streamed answer as server-sent events: each with the time before it and what it carries.

    opening    prompt filter result, then a role for each choice
    output     text or tool calls in chunks, choices taking turns; filter results of their own in between
    closing    finish reasons, late filter results, usage, [DONE]

A fault cuts the output short, and then nothing closes.
"""

from collections.abc import Iterator
from itertools import zip_longest

import msgspec

from .frames import Frames
from .pieces import ReplyPiece, until_fault
from .said import Answer, Choice
from .script import Script

__all__ = ["stream"]

_FILTER_EVERY = 8  # chunks that an asynchronous filter looks at together
_CLEAN = 3  # tokens in a chunk that has passed Azure's default filter

_ERROR_FRAME = msgspec.json.encode(
    {
        "error": {
            "message": "The server had an error while processing your request. Sorry about that!",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
)


def stream(answer: Answer, frames: Frames, script: Script, *, usage: bool) -> Iterator[ReplyPiece]:
    """The events of one answer, as far as the script lets them come."""
    newline = b"\r\n" if script.crlf else b"\n"
    before = b": simulated" + newline + newline if script.comments else b""
    after = newline + newline
    for piece in _as_told(answer, frames, script, usage=usage):
        piece.data = b"%bdata: %b%b" % (before, piece.data, after)
        yield piece


def _as_told(answer: Answer, frames: Frames, script: Script, *, usage: bool) -> Iterator[ReplyPiece]:
    yield from _opening(answer, frames)
    fault = script.fault()
    for _, piece in until_fault(((None, piece) for piece in _output(answer, frames, script)), fault):
        yield piece
    if fault is None:
        yield from _closing(answer, frames, script, usage=usage)
    elif fault[0] == "error_frame":
        yield ReplyPiece(_ERROR_FRAME)


def _opening(answer: Answer, frames: Frames) -> Iterator[ReplyPiece]:
    if frames.filters:
        yield ReplyPiece(frames.prompt_filter())
    if frames.chat:
        for choice in answer.choices:
            yield ReplyPiece(frames.role(choice))


def _output(answer: Answer, frames: Frames, script: Script) -> Iterator[ReplyPiece]:
    size = script.chunk_tokens or (_CLEAN if frames.filters and not frames.async_filter else 1)
    delay = float(script.chunk_delay) or None
    turns = [_said(choice, frames, size) for choice in answer.choices]
    for turn in zip_longest(*turns):
        for piece in turn:
            if piece is not None:
                if piece.visible:
                    piece.delay = delay
                yield piece


def _said(choice: Choice, frames: Frames, size: int) -> Iterator[ReplyPiece]:
    return _called(choice, frames, size) if choice.tool_calls else _told(choice, frames, size)


def _told(choice: Choice, frames: Frames, size: int) -> Iterator[ReplyPiece]:
    words = choice.words
    plain = frames.alternatives is None
    before, after = frames.text(choice) if plain else (b"", b"")
    checked = said = 0
    for number, first in enumerate(range(0, len(words), size), start=1):
        chunk = words[first : first + size]
        text = "".join(chunk)
        frame = before + _escaped(text) + after if plain else frames.worded(choice, chunk, said)
        yield ReplyPiece(frame, visible=len(chunk))
        said += len(text)
        if frames.async_filter and number % _FILTER_EVERY == 0:
            yield ReplyPiece(frames.offsets(choice.index, checked, said))
            checked = said


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


def _called(choice: Choice, frames: Frames, size: int) -> Iterator[ReplyPiece]:
    for number, call in enumerate(choice.tool_calls):
        yield ReplyPiece(frames.tool_call(choice.index, number, call), visible=call.name_tokens)
        for first in range(0, len(call.pieces), size):
            chunk = call.pieces[first : first + size]
            text = "".join(piece for piece, _ in chunk)
            tokens = sum(tokens for _, tokens in chunk)
            yield ReplyPiece(frames.arguments(choice.index, number, call, text), visible=tokens)


def _closing(answer: Answer, frames: Frames, script: Script, *, usage: bool) -> Iterator[ReplyPiece]:
    blocked = [choice for choice in answer.choices if choice.finish_reason == "content_filter"]
    late = frames.filters and frames.async_filter
    for choice in answer.choices:
        if not (late and choice in blocked):
            yield ReplyPiece(frames.finish(choice))
    if late:
        for choice in answer.choices:
            reason = "content_filter" if choice in blocked else None
            yield ReplyPiece(frames.offsets(choice.index, 0, len(choice.text), reason))
    if usage:
        yield ReplyPiece(frames.usage(answer), usage=True)
    if not script.no_done:
        yield ReplyPiece(b"[DONE]")

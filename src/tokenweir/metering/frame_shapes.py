"""Frames of a chat's stream by their shape: what those of one stream have in common is worked out once.

Strategy: most frames of a stream are the same bytes but for a piece of what the model wrote, and the noise by which
newer models hide its length (``obfuscation``). So a frame that was decoded, and turned out to hold such a piece and
nothing else, is taken apart around it. Of the next frames it is asked whether they have the same bytes before and
behind a string; then that string is all that is new in them, and nothing else of them need be read.
"""

import msgspec

from ..apis import AnswerChoice, AnswerMessage, ApiAnswer, CalledTool, FunctionCall
from .filters import mentions_filtered
from .written import WrittenChoice, join

__all__ = ["FrameShapes"]

# A stream has one for each choice and tool whose pieces alternate.
_MOST_SHAPES = 4
# What never settles is decoded for ever.
_MOST_LESSONS = 64

# A small string takes some sixty bytes.
_JOINED_AT = 32

# Where a piece begins: compact, and with a blank after each colon.
_TEXT = (b'"delta":{"content":"', b'"delta": {"content": "')
_ARGUMENTS = (b'"function":{"arguments":"', b'"function": {"arguments": "')
_NOISE = (b'"obfuscation":"', b'"obfuscation": "')

_decode_text = msgspec.json.Decoder(str).decode


class _FrameShape:
    """The bytes that frames share, and where their pieces go."""

    def __init__(self, before: bytes, behind: bytes | None, end: bytes) -> None:
        """``end`` stands behind the piece, or behind the noise; then ``behind`` stands between the two."""
        self.before = before
        self.behind = behind
        self.end = end
        self.start = len(before)
        self.behind_size = len(behind or b"")
        self.end_size = len(end)
        self.into: list[str] = []
        self.pieces = 0
        self.is_call = False
        """Whether pieces are a tool's arguments: to name a tool is to write something, be the piece empty."""


class FrameShapes:
    """The shapes of one stream."""

    def __init__(self) -> None:
        self.known: list[_FrameShape] = []
        self._facts: tuple[str | None, str | None, str | None] = (None, None, None)
        self._lessons = 0

    def take(self, event: bytes) -> bool | None:
        """Adds the piece that an event of a known shape holds to what was written, and returns whether anything was.
        None: it has another shape, or is not one event, and has to be decoded."""
        for shape in self.known:
            start = shape.start
            if not event.startswith(shape.before) or not event.endswith(shape.end):
                continue
            at = event.find(b'"', start)
            if at > 0 and event[at - 1] == 0x5C:
                at = _closing_quote(event, start)
            if at < 0:
                continue
            behind, noise, end = shape.behind, at, len(event) - shape.end_size
            if behind is not None:
                noise += shape.behind_size
                if noise > end or event[at:noise] != behind or not (noise == end or event[noise:end].isalnum()):
                    continue
            elif at != end:
                continue
            try:
                piece = _decode_text(event[start - 1 : at + 1])
            except ValueError:
                return None
            if piece:
                shape.into.append(piece)
                shape.pieces += 1
                if shape.pieces % _JOINED_AT == 0:
                    join(shape.into)
                return True
            return shape.is_call
        return None

    def learn(
        self,
        event: bytes,
        answer: ApiAnswer,
        facts: tuple[str | None, str | None, str | None],
        written: dict[int, WrittenChoice],
    ) -> None:
        """``answer`` is what the one data line of ``event`` says. ``facts`` is all that the events until now have said
        of the whole answer: where that changes, an event of an older shape would say something new again, so its shape
        is forgotten."""
        if facts != self._facts:
            self._facts = facts
            self.known.clear()
        if type(answer) is not ApiAnswer or not answer.choices or len(answer.choices) != 1:
            return
        if self._lessons == _MOST_LESSONS or len(self.known) == _MOST_SHAPES:
            return
        choice = answer.choices[0]
        if answer.usage or answer.error is not None or answer.status_code is not None or choice.delta is None:
            return
        piece, tool, marks = _only_piece(choice, choice.delta)
        if not piece:
            return
        for mark in marks:
            if event.count(mark) == 1 and not mentions_filtered(event):
                self._lessons += 1
                start = event.find(mark) + len(mark)
                end = _closing_quote(event, start)
                if end >= 0 and _decode_text(event[start - 1 : end + 1]) == piece:
                    shape = _shape(event, start, end)
                    shape.into, shape.is_call = written[choice.index or 0].place_of(tool), tool is not None
                    self.known.append(shape)
                return


def _only_piece(choice: AnswerChoice, delta: AnswerMessage) -> tuple[str | None, int | None, tuple[bytes, bytes]]:
    """The piece that a choice holds, and nothing else; the tool that it is for; and what stands before it."""
    if isinstance(delta.content, str):
        alone = AnswerMessage(content=delta.content)
        piece, tool, marks = delta.content, None, _TEXT
    elif delta.tool_calls is not None and len(delta.tool_calls) == 1 and delta.tool_calls[0].function is not None:
        call, function = delta.tool_calls[0], delta.tool_calls[0].function
        if not isinstance(function.arguments, str):
            return None, None, _ARGUMENTS
        alone = AnswerMessage(tool_calls=[CalledTool(call.index, FunctionCall(arguments=function.arguments))])
        piece, tool, marks = function.arguments, call.index or 0, _ARGUMENTS
    else:
        return None, None, _TEXT
    return (piece if choice == AnswerChoice(choice.index, alone) else None), tool, marks


def _shape(event: bytes, start: int, end: int) -> _FrameShape:
    """That of an event whose piece stands from ``start`` to ``end``."""
    before, behind = event[:start], event[end:]
    for mark in _NOISE:
        at = behind.find(mark)
        if at >= 0:
            noise = at + len(mark)
            return _FrameShape(before, behind[:noise], behind[behind.find(b'"', noise) :])
    return _FrameShape(before, None, behind)


def _closing_quote(event: bytes, start: int) -> int:
    """Where the string ends whose text begins at ``start``; -1 where it does not."""
    end = event.find(b'"', start)
    while end >= 0:
        at = end
        while event[at - 1] == 0x5C:  # backslashes; they end at the opening quote
            at -= 1
        if (end - at) % 2 == 0:
            return end
        end = event.find(b'"', end + 1)
    return -1

"""Frames of a stream by their shape: what those of one stream have in common is worked out once.

Strategy: most frames of a stream are the same bytes but for a piece of what the model wrote, the noise by which newer
models hide its length (``obfuscation``), and a number that counts them (``sequence_number``). So a frame that was
decoded, and turned out to hold such a piece and nothing else, is taken apart around these. Of the next frames it is
asked whether they have the same bytes everywhere else; then the piece is all that is new in them, and nothing else of
them need be read.
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
_EVENT = (b'"delta":"', b'"delta": "', b'"text":"', b'"text": "', b'"partial_json":"', b'"partial_json": "')
"""Of APIs with events of their own."""
_NOISE = (b'"obfuscation":"', b'"obfuscation": "')
_NUMBER = (b'"sequence_number":', b'"sequence_number": ')

_decode_text = msgspec.json.Decoder(str).decode


class _FrameShape:
    """The bytes that frames share, and where their pieces go."""

    def __init__(self, before: bytes, infix: bytes | None, behind: list[bytes]) -> None:
        """``before`` stands before the piece, or before a number; then ``infix`` stands between the two. ``behind`` are
        the bytes behind the piece, with noise between each two of them; the last one ends the event."""
        is_usual = len(behind) == 2 and behind[0].endswith(b'"')
        self.before = before
        self.infix = infix
        self.behind: bytes | None = behind[0] if is_usual else None
        """Before a noise that is a text, where there is one and no other."""
        self.parts: list[bytes] | None = behind if len(behind) > 1 and not is_usual else None
        """All of them, where there is other noise."""
        self.end = behind[len(behind) - 1]
        self.start = len(before)
        self.behind_size = len(self.behind or b"")
        self.end_size = len(self.end)
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
            if not event.startswith(shape.before) or not event.endswith(shape.end):
                continue
            start = shape.start
            if shape.infix is not None:
                start = _behind_number(event, start, shape.infix)
                if start < 0:
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
            elif shape.parts is not None:
                if not _is_noise_only(event, at, end, shape.parts):
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
        if not answer.choices or len(answer.choices) != 1 or self._lessons == _MOST_LESSONS:
            return
        choice = answer.choices[0]
        if answer.usage or answer.error is not None or answer.status_code is not None:
            return
        is_event = type(answer) is not ApiAnswer
        if is_event and (
            answer.tools is not None or answer.job is not None or answer.ends or answer.id or answer.model
        ):
            return
        message = choice.message if is_event else choice.delta
        if message is None:
            return
        piece, tool, marks = _only_piece(choice, message)
        if not piece:
            return
        if is_event:
            marks = _EVENT
        for mark in marks:
            if event.count(mark) == 1 and not mentions_filtered(event):
                self._lessons += 1
                start = event.find(mark) + len(mark)
                end = _closing_quote(event, start)
                if end >= 0 and _decode_text(event[start - 1 : end + 1]) == piece:
                    shape = _shape(event, start, end)
                    if len(self.known) == _MOST_SHAPES:
                        del self.known[0]
                    shape.into, shape.is_call = written[choice.index or 0].place_of(tool), tool is not None
                    self.known.append(shape)
                return


def _only_piece(choice: AnswerChoice, delta: AnswerMessage) -> tuple[str | None, int | None, tuple[bytes, ...]]:
    """The piece that a choice holds, and nothing else; the tool that it is for; and what stands before it."""
    calls = delta.tool_calls
    if isinstance(delta.content, str):
        alone = AnswerMessage(content=delta.content, tool_calls=calls if calls == [] else None)
        piece, tool, marks = delta.content, None, _TEXT
    elif calls is not None and len(calls) == 1 and calls[0].function is not None:
        call, function = calls[0], calls[0].function
        if not isinstance(function.arguments, str):
            return None, None, _ARGUMENTS
        alone = AnswerMessage(tool_calls=[CalledTool(call.index, FunctionCall(arguments=function.arguments))])
        piece, tool, marks = function.arguments, call.index or 0, _ARGUMENTS
    else:
        return None, None, _TEXT
    whole = AnswerChoice(choice.index, alone) if choice.delta is not None else AnswerChoice(choice.index, message=alone)
    return (piece if choice == whole else None), tool, marks


def _shape(event: bytes, start: int, end: int) -> _FrameShape:
    """That of an event whose piece stands from ``start`` to ``end``."""
    before, infix, behind = event[:start], None, event[end:]
    for mark in _NUMBER:
        at = before.find(mark)
        if at >= 0:
            number = at + len(mark)
            rest = _end_of_number(before, number)
            before, infix = before[:number], before[rest:]
            break
    parts: list[bytes] = []
    for mark in (*_NOISE, *_NUMBER):
        at = behind.find(mark)
        if at >= 0:
            noise = at + len(mark)
            parts.append(behind[:noise])
            behind = behind[behind.find(b'"', noise) :] if mark in _NOISE else behind[_end_of_number(behind, noise) :]
    return _FrameShape(before, infix, [*parts, behind])


def _behind_number(event: bytes, start: int, infix: bytes) -> int:
    """Where a piece begins that stands behind a number and ``infix``; -1 where there is something else."""
    end = event.find(infix[:1], start)
    if end <= start or not event[start:end].isdigit() or not event.startswith(infix, end):
        return -1
    return end + len(infix)


def _is_noise_only(event: bytes, at: int, end: int, behind: list[bytes]) -> bool:
    """Whether there is nothing but noise between the ``behind`` of a piece that ends ``at``; the last one begins at
    ``end``."""
    last = len(behind) - 1
    for number in range(last):
        part = behind[number]
        if not event.startswith(part, at):
            return False
        at += len(part)
        following = end if number == last - 1 else event.find(behind[number + 1][:1], at)
        if following < at:
            return False
        noise = event[at:following]
        if part.endswith(b'"'):
            if following > at and not noise.isalnum():
                return False
        elif not noise.isdigit():
            return False
        at = following
    return at == end


def _end_of_number(data: bytes, start: int) -> int:
    end = start
    while end < len(data) and 0x30 <= data[end] <= 0x39:
        end += 1
    return end


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

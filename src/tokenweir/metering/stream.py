"""Meters an event stream (server-sent events) while it passes.

Each piece costs an append and an addition. Until the first model output has been seen one search is added,
for its time. When more than 64 KB have gathered they are folded: read in full, their text kept, their
bytes let go. At the end of a stream that ended as streams do, a few searches find the frames that matter
(the usage, the reasons to finish, a filter, an error) and only these are decoded; what else was written is
decoded if somebody has to count it. A stream that ended in any other way is read in full.
"""

import re
from collections.abc import Callable

from ..apis import Surface
from ..wire import MemberScanner, Path
from .accumulator import Accumulator
from .body import BodyMeter
from .measurement import Measurement
from .meter import Meter

__all__ = ["StreamMeter"]

# These hold about a hundred frames, and reading them takes a quarter of a millisecond. An open stream is to
# take 30 KB at most, so on average half of this is there.
_FOLD_AT = 32 * 1024

# An event that has not ended after this much is no frame of a chat, but may be the last of a response. It is not
# held any more: its facts are read as it passes, and its text is not.
_LONGEST_HELD = 256 * 1024

# What a surface's pattern finds is not longer than this, unless somebody writes a lot of white space.
_LONGEST_FOUND = 72

_NEXT = b"\n\ndata: {"
_END = b"\n\ndata: [DONE]\n\n"

# What marks the frames that matter: usage, a reason to finish, a filter, an error. In compact JSON, and in JSON
# with a space after each colon; the beginning of the first frame shows which, within these many bytes.
_COMPACT = (b'"usage":{', b'"finish_reason":"', b'"filtered":true', b'"error":')
_SPACED = (b'"usage": {', b'"finish_reason": "', b'"filtered": true', b'"error": ')
_BEGINNING = 64
_FIRST_FRAMES = 4096

# The tier stands in every frame, or in every one but the last.
_COMPACT_TIER, _SPACED_TIER = b'"service_tier":"', b'"service_tier": "'

# The end of an event too long to be held; the grammar has no longest line.
_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_LONGEST_END = 4
_FIELD = b"data:"


class StreamMeter(Meter):
    """A meter for ``text/event-stream``. It holds 32 KB, an unfinished event up to 256 KB and the text so far."""

    def __init__(self, surface: Surface, *, keep_content: bool, monotonic: Callable[[], float]) -> None:
        self._surface = surface
        self._monotonic = monotonic
        self._output = surface.output
        self._read = Accumulator(surface)
        self._kept: list[bytes] | None = [] if keep_content else None
        self._pieces: list[bytes] = []
        self._room = 0  # bytes that may come before anything is looked at: none until the first output was seen
        self._unfolded = 0
        self._before = b""
        self._long: _LongEvent | None = None

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._room -= len(piece)
        if self._room < 0:
            self._look(piece)

    def finish(self) -> Measurement:
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._long is not None:
            raw = self._read_long(raw)
        glanced = self._glance(raw)
        if not glanced:
            self._read.read_events(raw)
        if not self._read.chunks and raw.lstrip().startswith(b"{"):
            return self._read_as_body(raw)
        return self._read.measurement(
            content=None if self._kept is None else b"".join([*self._kept, raw]),
            rest=raw if glanced else None,
        )

    def _read_as_body(self, raw: bytes) -> Measurement:
        """Some servers call a stream whatever they were asked to stream."""
        meter = BodyMeter(self._surface, keep_content=self._kept is not None)
        meter.feed(raw)
        return meter.finish()

    def _look(self, piece: bytes) -> None:
        if self.first_token_at is not None:
            self._fold()
            self._room = _FOLD_AT
            return
        seen = self._before + piece
        if self._output.search(seen) is None:
            self._before = seen[-_LONGEST_FOUND:]
        else:
            self.first_token_at, self._before = self._monotonic(), b""
        self._unfolded += len(piece)
        if self._unfolded > _FOLD_AT:
            self._fold()
            self._unfolded = 0
        self._room = 0 if self.first_token_at is None else _FOLD_AT - self._unfolded

    def _fold(self) -> None:
        raw = b"".join(self._pieces)
        if self._long is not None:
            raw = self._read_long(raw)
        end = _end_of_last_event(raw)
        whole, rest = raw[:end], raw[end:]
        self._read.read_events(whole)
        if self._kept is not None:
            self._kept.append(whole)
        if len(rest) > _LONGEST_HELD and not rest.lstrip().startswith(b"{"):
            self._long = _LongEvent(self._surface.facts)
            rest = self._read_long(rest)
        self._pieces = [rest]

    def _read_long(self, raw: bytes) -> bytes:
        """Reads what belongs to a long event, and returns what follows it."""
        event = self._long
        if event is None:
            return raw
        rest = event.feed(raw)
        if self._kept is not None:
            self._kept.append(raw[: len(raw) - len(rest)])
        if event.has_ended:
            self._long = None
            self._read.chunks += 1
            self._read.note_facts(event.scanner)
        return rest

    def _glance(self, raw: bytes) -> bool:
        """Read only the frames that matter. False if ``raw`` has to be read in full, because it does not end
        with a frame of usage and ``[DONE]``, or because not all frames are written in the same way."""
        if not raw.endswith(_END) or not raw.startswith(_NEXT[:-1], raw.find(b"\n")):
            return False
        end = len(raw) - len(_END)
        start = raw.rfind(b"\n", 0, end) + 1
        last = raw[start + 5 : end]
        usage, *marks = _COMPACT if raw.find(b'": ', 0, _BEGINNING) < 0 else _SPACED
        answer = self._read.read_answer(last) if usage in last else None
        if answer is None or not (answer.usage and answer.model and answer.id):
            return False
        if raw.find(usage, 0, start) >= 0:
            return False  # usage in several frames: all of them count
        reasons, filtered, errors = (_lines_with(raw, mark) for mark in marks)
        if not reasons and not self._read.finish_reasons:
            return False

        frames = reasons | filtered | errors
        frames.pop(start, None)
        for _, data in sorted(frames.items()):
            self._read.read_facts(data)
        self._read.note(answer)
        self._read.read_filters(last)
        if self._read.service_tier is None:
            tiered = raw.find(_COMPACT_TIER if usage is _COMPACT[0] else _SPACED_TIER, 0, _FIRST_FRAMES)
            if tiered >= 0:
                self._read.read_facts(_line_at(raw, tiered))
        self._read.chunks += raw.count(_NEXT) + raw.startswith(b"data:")
        self._read.done = True
        return True


class _LongEvent:
    """An event that is too long to be held, shown in pieces from its beginning on: its facts are read as it passes."""

    def __init__(self, facts: dict[Path, int]) -> None:
        self.scanner = MemberScanner(facts)
        self.has_ended = False
        self._end = b""  # what may be the beginning of the event's end
        self._line: bytes | None = b""  # the beginning of a line whose field is not known yet; None: it is known
        self._is_data = False

    def feed(self, raw: bytes) -> bytes:
        """Reads what belongs to the event, and returns what follows it."""
        seen = self._end + raw
        found = _EVENT_END.search(seen)
        if found is not None:
            self.has_ended = True
            self._read(seen[: found.end()])
            return seen[found.end() :]
        lines = seen.rstrip(b"\r\n")
        keep = max(len(lines), len(seen) - _LONGEST_END)
        self._read(seen[:keep])
        self._end = seen[keep:]
        return b""

    def _read(self, part: bytes) -> None:
        """Shows the scanner the data of each line, without the name of the field."""
        for line in part.splitlines(keepends=True):
            text = line
            if self._line is not None:
                text = self._line + line
                if len(text) <= len(_FIELD) and not text.endswith((b"\n", b"\r")):
                    self._line = text
                    continue
                self._is_data = text.startswith(_FIELD)
                text = text[len(_FIELD) :]
            if self._is_data:
                self.scanner.feed(text)
            self._line = b"" if line.endswith((b"\n", b"\r")) else None


def _end_of_last_event(raw: bytes) -> int:
    if raw.endswith(b"\n\n"):
        return len(raw)
    lf, crlf = raw.rfind(b"\n\n"), raw.rfind(b"\n\r\n")
    end = max(lf + 2 if lf >= 0 else 0, crlf + 3 if crlf >= 0 else 0)
    return end or raw.rfind(b"\r\r", 0, -1) + 2 if b"\r\r" in raw[:-1] else end


def _lines_with(raw: bytes, mark: bytes) -> dict[int, bytes]:
    """The data of each line that contains ``mark``, by where the line starts."""
    lines = {}
    at = raw.find(mark)
    while at >= 0:
        end = raw.find(b"\n", at)
        start = raw.rfind(b"\n", 0, at) + 1
        lines[start] = raw[start + 5 : end]
        at = raw.find(mark, end)
    return lines


def _line_at(raw: bytes, at: int) -> bytes:
    """The data of the line that ``at`` is in."""
    return raw[raw.rfind(b"\n", 0, at) + 6 : raw.find(b"\n", at)]

"""Meters an event stream (server-sent events) while it passes.

Most events of a chat come one at a time and are known by their shape: of these only the text is kept. Others are
gathered, and when there are some KB of them they are folded: decoded, their text kept, their bytes let go. Until the
first model output has been seen one search a piece is added, for its time.
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

# These hold some twenty frames. An open stream is to take 10 KB.
_FOLD_AT = 4 * 1024

# An event that has not ended after this much is no frame of a chat, but may be the last of a response. It is not
# held any more: its facts are read as it passes, and its text is not.
_LONGEST_HELD = 256 * 1024

# What a surface's pattern finds is not longer than this, unless somebody writes a lot of white space.
_LONGEST_FOUND = 72

# Of English; other languages and code have fewer.
_LETTERS_PER_TOKEN = 4

# The end of an event too long to be held; the grammar has no longest line.
_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_LONGEST_END = 4
_FIELD = b"data:"


class StreamMeter(Meter):
    """A meter for ``text/event-stream``. It holds 4 KB, an unfinished event up to 256 KB and the text so far."""

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
        self.knew_last = not self._pieces and self._read.take(piece)
        if self.knew_last:
            if self._kept is not None:
                self._kept.append(piece)
            return
        self._pieces.append(piece)
        self._room -= len(piece)
        if self._room < 0:
            self._look(piece)

    def finish(self) -> Measurement:
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._long is not None:
            raw = self._read_long(raw)
        self._read.read_events(raw)
        if not self._read.chunks and raw.lstrip().startswith(b"{"):
            return self._read_as_body(raw)
        return self._read.measurement(content=None if self._kept is None else b"".join([*self._kept, raw]))

    def written(self) -> int | None:
        if self._pieces:
            last = self._pieces[len(self._pieces) - 1]
            if self._long is not None or not last.endswith((b"\n\n", b"\r\n\r\n")):
                return None
        return max(self._read.chunks, self._read.letters() // _LETTERS_PER_TOKEN)

    def _read_as_body(self, raw: bytes) -> Measurement:
        """Some servers call a stream whatever they were asked to stream."""
        meter = BodyMeter(self._surface, keep_content=self._kept is not None)
        meter.feed(raw)
        return meter.finish()

    def _look(self, piece: bytes) -> None:
        if self.first_token_at is not None:
            self._room = self._fold()
            return
        seen = self._before + piece
        if self._output.search(seen) is None:
            self._before = seen[-_LONGEST_FOUND:]
        else:
            self.first_token_at, self._before = self._monotonic(), b""
            self._room = self._fold()
            return
        self._unfolded += len(piece)
        if self._unfolded > _FOLD_AT:
            self._unfolded = _FOLD_AT - self._fold()
        self._room = 0

    def _fold(self) -> int:
        """Returns how many bytes may come before the next time: as many as there are of a long event, which would be
        joined again and again."""
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
        self._pieces = [rest] if rest else []
        return max(len(rest), 0 if self._read.knows_shapes else _FOLD_AT)

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

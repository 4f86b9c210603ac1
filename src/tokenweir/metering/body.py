"""Meters an answer that is one JSON body."""

from ..apis import Surface
from ..records import UsageReason
from ..wire import MemberScanner
from .accumulator import Accumulator
from .measurement import Measurement
from .meter import Meter

__all__ = ["BodyMeter"]

# A longer body has pictures, a sound, log probabilities or many vectors. It is not held: its facts are read as it
# passes, but what was written is not known then.
_HELD = 1024 * 1024
_END = 64 * 1024

_BLANK = b"\xef\xbb\xbf \t\r\n"

# Vectors are long and say nothing. Beyond this only the end of an embedding's body is decoded.
_VECTORS = 4 * 1024


class BodyMeter(Meter):
    """A meter for ``application/json``. It holds the body, or nothing but the facts of a very long one."""

    def __init__(self, surface: Surface, *, keep_content: bool) -> None:
        self._surface = surface
        self._keep_content = keep_content
        self._pieces: list[bytes] = []
        self._size = 0
        self._scanner: MemberScanner | None = None

    def feed(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= _HELD:
            self._pieces.append(piece)
        else:
            self._feed_long(piece)

    def _feed_long(self, piece: bytes) -> None:
        if self._scanner is None:
            self._scanner = MemberScanner(self._surface.facts)
            for held in self._pieces:
                self._scanner.feed(held)
            if not self._keep_content:
                self._pieces = []
        self._scanner.feed(piece)
        if self._keep_content:
            self._pieces.append(piece)

    def finish(self) -> Measurement:
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        read = Accumulator(self._surface)
        read.chunks = 1 if raw else 0
        answer = None
        reason: UsageReason | None = None
        surface = self._surface
        if self._scanner is not None:
            read.chunks = 1
            read.note_facts(self._scanner)
            is_text = surface.may_be_text and self._scanner.is_invalid
            read.done = is_text or (self._scanner.is_whole and not self._scanner.is_invalid)
            reason = "unreadable" if self._scanner.is_invalid and not is_text else None
        elif surface.facts_are_last and self._size > _VECTORS and _read_end(raw[-_END:], read):
            read.done = True
        else:
            answer = read.read_answer(raw)
            if answer is not None:
                read.note(answer)
                read.done = True
            elif surface.may_be_text:
                read.done = not raw.lstrip(_BLANK).startswith(b"{")
            elif raw and not raw.lstrip(_BLANK).startswith(b"{"):
                reason = "unreadable"
            read.read_filters(raw)
        is_kept = self._keep_content and not (surface.may_be_text and _is_sound(raw))
        return read.measurement(
            content=raw if is_kept else None,
            rest=answer,
            reason=reason,
        )


def _is_sound(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


def _read_end(end: bytes, read: Accumulator) -> bool:
    """Read the last members of a JSON object, from the model on. False if there are not both it and a usage.

    A member of an inner object is not taken for one: behind it there would be a brace too many.
    """
    at = end.rfind(b'"model"')
    answer = read.read_answer(b"{" + end[at:]) if at >= 0 else None
    if answer is None or not answer.usage:
        return False
    read.note(answer)
    return True

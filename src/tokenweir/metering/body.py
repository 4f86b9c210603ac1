"""Meters an answer that is one JSON body."""

from functools import partial

from ..apis import surface_of
from ..records import UsageReason
from ..wire import MemberScanner
from .reading import reading_of
from .structs import Reading
from .tally import Tally

__all__ = ["BodyMeter"]

# A longer body has pictures, a sound, log probabilities or many vectors. It is not held: its facts are read as it
# passes, but what was written is not known then.
_HELD = 1024 * 1024
_END = 64 * 1024

_BLANK = b"\xef\xbb\xbf \t\r\n"

# Vectors are long and say nothing. Beyond this only the end of an embedding's body is decoded.
_VECTORS = 4 * 1024


class BodyMeter:
    """A meter for ``application/json``. It holds the body, or nothing but the facts of a very long one."""

    def __init__(self, api: str, *, keep_content: bool) -> None:
        self.first_token_at: float | None = None
        self._api = api
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
            self._scanner = MemberScanner(surface_of(self._api).facts)
            for held in self._pieces:
                self._scanner.feed(held)
            if not self._keep_content:
                self._pieces = []
        self._scanner.feed(piece)
        if self._keep_content:
            self._pieces.append(piece)

    def finish(self) -> Reading:
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        tally = Tally(self._api)
        tally.chunks = 1 if raw else 0
        answer = None
        reason: UsageReason | None = None
        surface = surface_of(self._api)
        if self._scanner is not None:
            tally.chunks = 1
            tally.note_facts(self._scanner)
            is_text = surface.may_be_text and self._scanner.is_invalid
            tally.done = is_text or (self._scanner.is_whole and not self._scanner.is_invalid)
            reason = "unreadable" if self._scanner.is_invalid and not is_text else None
        elif surface.facts_are_last and self._size > _VECTORS and _read_end(raw[-_END:], tally):
            tally.done = True
        else:
            answer = tally.read_answer(raw)
            if answer is not None:
                tally.note(answer)
                tally.done = True
            elif surface.may_be_text:
                tally.done = not raw.lstrip(_BLANK).startswith(b"{")
            elif raw and not raw.lstrip(_BLANK).startswith(b"{"):
                reason = "unreadable"
            tally.read_filters(raw)
        return reading_of(
            tally,
            self._api,
            content=raw if self._keep_content else None,
            read_rest=partial(tally.add_text, answer) if answer is not None else None,
            reason=reason,
        )


def _read_end(end: bytes, tally: Tally) -> bool:
    """Read the last members of a JSON object, from the model on. False if there are not both it and a usage.

    A member of an inner object is not taken for one: behind it there would be a brace too many.
    """
    at = end.rfind(b'"model"')
    answer = tally.read_answer(b"{" + end[at:]) if at >= 0 else None
    if answer is None or not answer.usage:
        return False
    tally.note(answer)
    return True

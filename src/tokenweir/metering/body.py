"""Meters an answer that is one JSON body."""

from functools import partial

from .reading import Reading, reading_of
from .tally import Tally

__all__ = ["BodyMeter"]

# A longer body is a sound, a list of log probabilities or many vectors. Only its end is held then: the
# usage is there, but what was written is not known.
_HELD = 1024 * 1024
_END = 64 * 1024

# Vectors are long and say nothing. Beyond this only the end of an embedding's body is decoded.
_VECTORS = 4 * 1024


class BodyMeter:
    """A meter for ``application/json``. It holds the body, or the last 64 KB of a very long one."""

    first_token_at: float | None = None

    def __init__(self, api: str, *, keep_content: bool) -> None:
        self._api = api
        self._keep_content = keep_content
        self._pieces: list[bytes] = []
        self._size = 0
        self._cut_at = _HELD + _END

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._cut_at and not self._keep_content:
            self._pieces = [b"".join(self._pieces)[-_END:]]
            self._cut_at = self._size + _HELD

    def finish(self) -> Reading:
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        tally = Tally(self._api)
        tally.chunks = 1 if raw else 0
        answer = unreadable = None
        long = self._size > (_VECTORS if self._api == "embeddings" else _HELD)
        if long and _read_end(raw[-_END:], tally):
            tally.done = True
        elif self._size <= _HELD:
            answer = tally.read_answer(raw)
            if answer is not None:
                tally.note(answer)
                tally.done = True
            tally.read_filters(raw)
        else:
            unreadable = f"a body of more than {_HELD} bytes did not end with its usage"
        return reading_of(
            tally,
            self._api,
            content=raw if self._keep_content else None,
            read_rest=partial(tally.add_text, answer) if answer is not None else None,
            unreadable=unreadable,
        )


def _read_end(end: bytes, tally: Tally) -> bool:
    """Read the last members of a JSON object, from the model or the usage on. False if there is no usage.

    A member of an inner object is not taken for one: behind it there would be a brace too many.
    """
    for key in (b'"model"', b'"usage"'):
        answer = tally.read_answer(b"{" + end[end.rfind(key) :])
        if answer is not None and answer.usage:
            tally.note(answer)
            return True
    return False

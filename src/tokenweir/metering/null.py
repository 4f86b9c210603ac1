"""The meter for answers that are not metered, or cannot be: it counts pieces and reads nothing."""

from .reading import Reading, reading_of
from .tally import Tally

__all__ = ["NullMeter"]


class NullMeter:
    """Holds nothing, unless content is kept. ``chunks`` are pieces as they came."""

    first_token_at: float | None = None

    def __init__(self, *, keep_content: bool, unreadable: str | None = None) -> None:
        self._pieces: list[bytes] | None = [] if keep_content else None
        self._count = 0
        self._unreadable = unreadable

    def feed(self, piece: bytes) -> None:
        self._count += 1
        if self._pieces is not None:
            self._pieces.append(piece)

    def finish(self) -> Reading:
        tally = Tally("other")
        tally.chunks = self._count
        content = None if self._pieces is None else b"".join(self._pieces)
        return reading_of(tally, "other", content=content, unreadable=self._unreadable)

"""Counts text with one model's encoding, up to a limit."""

from ..vocabulary import count, encoding_name

__all__ = ["Counter"]

# The longest context window is about a million tokens, 4 to 5 MB of English; a longer prompt is refused by
# the upstream and costs nothing. Counting 5 million characters takes half a second of a worker thread.
_MOST_CHARACTERS = 5_000_000


class Counter:
    """A text counter for one call."""

    def __init__(self, model: str | None) -> None:
        self._encoding = encoding_name(model)
        self._left = _MOST_CHARACTERS

    def count(self, text: object) -> int:
        """Tokens of a text; 0 for what is no text, and for what is beyond the limit of the call."""
        if not isinstance(text, str) or not text or not self._left:
            return 0
        counted = text[: self._left]
        self._left -= len(counted)
        return count(counted, self._encoding)

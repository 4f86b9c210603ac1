"""What counting by hand has to know of a model: its encoding, and what the models of its family have in common.

Families were fitted to recorded calls; where there were none, a family is like its neighbours.
"""

from typing import NamedTuple, TypeVar

from ..vocabulary import count, encoding_name

__all__ = ["Counter", "Family", "by_prefix", "family_of"]

Entry = TypeVar("Entry")

# The longest context window is about a million tokens, 4 to 5 MB of English; a longer prompt is refused by
# the upstream and costs nothing. Counting 5 million characters takes half a second of a worker thread.
_MOST_CHARACTERS = 5_000_000


class Counter:
    """Counts text for one call, up to a limit."""

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


class Family(NamedTuple):
    priming: int = 3
    """Tokens that begin the reply and count as prompt."""
    closing: int = 0
    """Tokens of an answer that nobody sees, besides its reasoning: they open and close its channels."""
    has_channels: bool = False
    """Whether messages of the model and calls of tools name the channel that they are on, and tools come with a fixed
    text about tools (but for the Responses API)."""
    closing_in_responses: int = 1
    """As ``closing``, of the Responses API."""
    tools: int = 0
    """Tokens around the definitions of tools, besides those that all families have."""


_FAMILIES = {
    "": Family(),
    "codex": Family(2, 9, True, 6),
    "gpt-5": Family(2, 9, True, 6),
    "gpt-5.": Family(2, 3, True, 4),
    "o1": Family(2, 10, False, 8, 1),
    "o1-mini": Family(3, 10, False, 8, 1),
    "o1-preview": Family(3, 10, False, 8, 1),
    "o3": Family(2, 10, False, 8, 1),
    "o4": Family(2, 20, False, 8, 1),
}


def family_of(model: str | None) -> Family:
    return by_prefix(_FAMILIES, model)


def by_prefix(table: dict[str, Entry], model: str | None) -> Entry:
    """The entry of the longest key that the model's name begins with; ``""`` is for all others."""
    name = (model or "").lower().removeprefix("ft:")
    return table[max((prefix for prefix in table if name.startswith(prefix)), key=len)]

"""What the models of a family have in common when their tokens are counted by hand.

Fitted to recorded calls; where there were none, a family is like its neighbours.
"""

from typing import NamedTuple, TypeVar

__all__ = ["Family", "by_prefix", "family_of"]

Entry = TypeVar("Entry")


class Family(NamedTuple):
    priming: int = 3
    """Tokens that begin the reply and count as prompt."""
    closing: int = 0
    """Tokens of an answer that nobody sees, besides its reasoning: they open and close its channels."""
    has_preamble: bool = False
    """Whether tools come with a fixed text about tools, but for the Responses API."""
    closing_in_responses: int = 1
    """As ``closing``, of the Responses API."""


_FAMILIES = {
    "": Family(),
    "codex": Family(2, 9, True, 6),
    "gpt-5": Family(2, 9, True, 6),
    "gpt-5.": Family(2, 3, True, 4),
    "o1": Family(2, 10, False, 8),
    "o3": Family(2, 10, False, 8),
    "o4": Family(2, 20, False, 8),
}


def family_of(model: str | None) -> Family:
    return by_prefix(_FAMILIES, model)


def by_prefix(table: dict[str, Entry], model: str | None) -> Entry:
    """The entry of the longest key that the model's name begins with; ``""`` is for all others."""
    name = (model or "").lower().removeprefix("ft:")
    return table[max((prefix for prefix in table if name.startswith(prefix)), key=len)]

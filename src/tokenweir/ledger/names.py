"""How to say that a name is none of the known ones."""

from collections.abc import Iterable
from difflib import get_close_matches

from ..errors import quoted

__all__ = ["unknown_name"]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for whoever typed it: the nearest known name first, then all of them."""
    names = list(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f"did you mean {quoted(nearest[0])}? " if nearest else ""
    return f"{kind} {quoted(name)} is unknown; {hint}known: {', '.join(names)}"

"""How to say that a name is none of the known ones."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["unknown_name"]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for whoever typed it: the nearest known name first, then all of them."""
    names = list(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{kind} {name!r} is unknown; {hint}known: {', '.join(names)}"

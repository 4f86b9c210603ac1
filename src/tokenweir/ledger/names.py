"""How to say that a name is none of the known ones."""

from collections.abc import Iterable

from ..errors import nearest, quoted

__all__ = ["unknown_name"]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for whoever typed it: the nearest known name first, then all of them."""
    names = list(known)
    meant = nearest(name, names)
    hint = f"did you mean {quoted(meant)}? " if meant else ""
    return f"{kind} {quoted(name)} is unknown; {hint}known: {', '.join(names)}"

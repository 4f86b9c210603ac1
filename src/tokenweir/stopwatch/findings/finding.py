"""What was noticed about a call, in three sentences: what was seen, what it means, what to do."""

from typing import Literal

import msgspec

__all__ = ["Finding", "Weight", "milliseconds"]

Weight = Literal["bad", "odd", "note"]
"""``bad``: the stream did not do what a stream is for. ``odd``: it did, and somebody will stumble. ``note``: good to
know."""


class Finding(msgspec.Struct, frozen=True):
    """``seen`` is fact. ``means`` claims no more than follows from it."""

    code: str
    weight: Weight
    seen: str
    means: str
    fix: str | None = None


def milliseconds(seconds: float) -> str:
    """``2.41 s``, ``812 ms``, ``41.5 ms``."""
    if seconds >= 0.9995:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"

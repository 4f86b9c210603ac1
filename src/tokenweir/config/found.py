"""What a check hands back, and two small checks that several tables share."""

from collections.abc import Iterator

import msgspec

from .kinds import fields
from .places import Path

__all__ = ["Found", "too_small", "unreadable"]

Found = Iterator[tuple[Path, str]]
"""Where something is wrong, and what it is with its mend."""


def unreadable(path: Path, file: str | None) -> Found:
    """A file that is named must be there and open to us."""
    if file is None:
        return
    try:
        with open(file, "rb") as opened:
            opened.read(1)
    except OSError as error:
        yield path, f"{file} cannot be read: {error.strerror}"


def too_small(path: Path, settings: msgspec.Struct, *names: str) -> Found:
    """Nothing works with none of these."""
    known = fields(type(settings))
    for name in names:
        if getattr(settings, name) <= 0:
            yield (*path, name), "must be at least 1" if known[name].type is int else "must be more than zero"

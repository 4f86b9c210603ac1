"""One line of the doctor: what was seen, and the mend where one is needed."""

from typing import Literal

import msgspec

__all__ = ["Broken", "Finding", "bad", "fine", "warn"]


class Finding(msgspec.Struct, frozen=True):
    """``warn`` is worth knowing; ``bad`` keeps something from working."""

    status: Literal["ok", "warn", "bad"]
    what: str
    mend: str | None = None


class Broken(Exception):
    """Ends a row of checks of which each needs the one before."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.finding = bad(what, mend)


def fine(what: str) -> Finding:
    return Finding("ok", what)


def warn(what: str, mend: str) -> Finding:
    return Finding("warn", what, mend)


def bad(what: str, mend: str) -> Finding:
    return Finding("bad", what, mend)

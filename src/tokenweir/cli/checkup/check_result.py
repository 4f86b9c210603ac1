"""One line of the doctor: what was seen, and the fix where one is needed."""

from typing import Literal

import msgspec

__all__ = ["Broken", "CheckResult", "bad", "fine", "warn"]


class CheckResult(msgspec.Struct, frozen=True):
    """``warn`` is worth knowing; ``bad`` keeps something from working."""

    status: Literal["ok", "warn", "bad"]
    what: str
    fix: str | None = None


class Broken(Exception):
    """Ends a row of checks of which each needs the one before."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.result = bad(what, fix)


def fine(what: str) -> CheckResult:
    return CheckResult("ok", what)


def warn(what: str, fix: str) -> CheckResult:
    return CheckResult("warn", what, fix)


def bad(what: str, fix: str) -> CheckResult:
    return CheckResult("bad", what, fix)

"""What is left of a target's limits, as its answers tell it in ``x-ratelimit-*``. Pure."""

import re
from typing import Final

__all__ = ["Headroom", "headroom_told", "leaves_room"]

_TOLD = re.compile(rb"\r\nx-ratelimit-(limit|remaining)-(requests|tokens):[ \t]*([0-9]{1,15})(?![0-9])", re.IGNORECASE)
_GOOD_FOR: Final = 60.0
"""Limits are per minute: what was left a minute ago says nothing."""
_OFTEN_ENOUGH: Final = 0.02
"""Reading costs some microseconds, which a target with thousands of answers a second need not pay each time."""
_LEAST: Final = 0.01
"""Somebody has to ask, or it would never be heard that there is room again."""


class Headroom:
    """What one answer has told. Not to be changed."""

    def __init__(self, share: float, told: float, most: dict[bytes, int]) -> None:
        """``share``: of the scarcer of requests and tokens, what is left, 0 to 1; ``told``: a moment; ``most``: the
        limits, by what is limited."""
        self._share = share
        self.told = told
        self.most = most

    def share(self, now: float) -> float:
        """By which a weight is multiplied."""
        if not 0.0 <= now - self.told < _GOOD_FOR:
            return 1.0
        return self._share if self._share > _LEAST else _LEAST


def leaves_room(lines: bytes) -> bool:
    """Whether an answer that has no room for a call says that more than a tenth of each limit is left: the call was too
    large, or came too soon after others."""
    told = {(kind.lower(), what.lower()): int(number) for kind, what, number in _TOLD.findall(lines)}
    shares = [
        told[b"remaining", what] > told[b"limit", what] / 10
        for what in (b"requests", b"tokens")
        if (b"remaining", what) in told and (b"limit", what) in told
    ]
    return bool(shares) and all(shares)


def headroom_told(lines: bytes, now: float, before: Headroom | None) -> Headroom | None:
    """What an answer's header lines tell; ``before`` where they tell nothing, or that was told just now. A limit that
    is not told is taken to be the most that was ever left."""
    if before is not None and 0.0 <= now - before.told < _OFTEN_ENOUGH:
        return before
    remaining: dict[bytes, int] = {}
    most: dict[bytes, int] = dict(before.most) if before is not None else {}
    limits: dict[bytes, int] = {}
    for kind, what, number in _TOLD.findall(lines):
        if kind.lower() == b"limit":
            limits[what.lower()] = int(number)
        else:
            remaining[what.lower()] = int(number)
    if not remaining:
        return before
    share = 1.0
    for what, left in remaining.items():
        limit = limits.get(what) or max(left, most.get(what, 0))
        most[what] = limit
        if limit > 0:
            share = min(share, left / limit)
    return Headroom(share, now, most)

"""When the pieces of an answer came, and where it paused."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

__all__ = ["Gap", "longest_gaps"]


class Gap(msgspec.Struct, frozen=True):
    """A time without a piece, in milliseconds; ``after_ms`` counts from the call's start."""

    after_ms: float
    lasted_ms: float


def longest_gaps(arrivals: Sequence[tuple[float, int]], most: int) -> list[Gap]:
    """The longest pauses between pieces, the longest first."""
    gaps = [Gap(before, round(after - before, 3)) for (before, _), (after, _) in pairwise(arrivals)]
    return sorted(gaps, key=lambda gap: -gap.lasted_ms)[:most]

"""Many calls in a few numbers, and whether two rows of them differ."""

from collections.abc import Iterable, Sequence

import msgspec

from .measures import percentile

__all__ = ["Difference", "Spread", "difference", "spread_of"]

# Fewer calls a side say nothing about how much calls differ among themselves.
_FEWEST = 5


class Spread(msgspec.Struct, frozen=True):
    """One number of many calls; each value is one that was seen."""

    count: int
    least: float
    p25: float
    median: float
    p75: float
    p90: float
    most: float


class Difference(msgspec.Struct, frozen=True):
    """How much more the second has than the first."""

    amount: float
    """Between the medians."""
    is_clear: bool | None
    """Whether the middle halves of the two do not overlap; None where there were too few calls to tell."""


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """None where no call has a value."""
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None
    quarter, median, three_quarters, most_of = (percentile(ordered, share) for share in (0.25, 0.5, 0.75, 0.9))
    return Spread(len(ordered), ordered[0], quarter, median, three_quarters, most_of, ordered[-1])


def difference(first: Sequence[float | None], second: Sequence[float | None]) -> Difference | None:
    """None where one of the two has no value."""
    one, other = spread_of(first), spread_of(second)
    if one is None or other is None:
        return None
    is_clear = one.p75 < other.p25 or other.p75 < one.p25 if min(one.count, other.count) >= _FEWEST else None
    return Difference(other.median - one.median, is_clear)

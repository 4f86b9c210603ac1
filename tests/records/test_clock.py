"""A time of day that jumps is noticed; one that is kept right is not."""

from datetime import UTC, datetime, timedelta

import pytest

from tokenweir.records import ClockJumps

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class TwoClocks:
    """The time of day and the other one, each set by itself."""

    def __init__(self) -> None:
        self.ran = 0.0
        self.set_by = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.ran + self.set_by)

    def monotonic(self) -> float:
        return 5.0 + self.ran


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 2.5])
def test_a_clock_that_was_set_is_noticed_once(seconds: float) -> None:
    clocks = TwoClocks()
    jumps = ClockJumps(clocks)
    clocks.ran += 1
    assert jumps.look() is None
    clocks.set_by += seconds
    assert jumps.look() == pytest.approx(seconds)
    clocks.ran += 1
    assert (jumps.look(), jumps.count) == (None, 1)


def test_a_clock_that_is_hurried_little_by_little_has_not_jumped() -> None:
    clocks = TwoClocks()
    jumps = ClockJumps(clocks)
    for _ in range(100):
        clocks.ran += 1
        clocks.set_by += 0.1
        assert jumps.look() is None
    assert jumps.count == 0

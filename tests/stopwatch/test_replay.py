"""A capture is told again at its pace; time that showing takes does not add up."""

import pytest

from support.captures import a_call, text_pieces
from support.clocks import JumpingClock
from tokenweir.stopwatch import Moment, replay


class SleepingClock(JumpingClock):
    """Stands still but for sleeping and for what a test adds."""

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.jump(seconds)


@pytest.mark.parametrize("speed", [1.0, 4.0])
@pytest.mark.parametrize("showing", [0.0, 0.05])
def test_each_moment_comes_when_its_time_has_come(speed: float, showing: float) -> None:
    call = a_call(text_pieces([0.5, 1.0, 1.0, 3.0]), head_at=0.25)
    clock = SleepingClock()
    told: list[tuple[float, Moment]] = []
    for moment in replay(call, speed, clock, clock.sleep):
        told.append((clock.monotonic() - 1000.0, moment))
        clock.jump(showing)

    assert [moment for _, moment in told] == call
    for at, moment in told:
        due = getattr(moment, "at", 0.0) / speed
        assert due <= at + 1e-9 <= due + 4 * showing + 1e-6


def test_late_is_told_at_once() -> None:
    clock = SleepingClock()
    for _ in replay(a_call(text_pieces([0.1, 0.2])), 1.0, clock, clock.sleep):
        clock.jump(1.0)  # every wait would be less than nothing, which ``sleep`` refuses

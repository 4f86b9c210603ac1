"""A capture told again, at its own pace or another."""

from collections.abc import Callable, Iterable, Iterator

from ..records import Clock
from .moments import Began, Connected, Moment

__all__ = ["replay"]


def replay(moments: Iterable[Moment], speed: float, clock: Clock, sleep: Callable[[float], None]) -> Iterator[Moment]:
    """Each moment when its time has come; ``speed`` 2 is twice as fast. ``sleep`` takes seconds.

    Waits for points in time and not for gaps, so that what showing takes does not add up.
    """
    zero = clock.monotonic()
    for moment in moments:
        if not isinstance(moment, Began | Connected):
            wait = zero + moment.at / speed - clock.monotonic()
            if wait > 0:
                sleep(wait)
        yield moment

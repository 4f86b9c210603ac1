"""Where time comes from. Everything that needs it is handed a clock, so that a test can jump."""

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "ClockJumps", "SystemClock"]

# A clock that is kept right by slowing it down or hurrying it moves by half a thousandth at most.
_LEAST_JUMP_SECONDS = 2.0


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now(self) -> datetime:
        """The time of day, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        return datetime.now(UTC)


class ClockJumps:
    """Notices that the time of day was set, or stood still with a machine that slept: it is compared with the other
    clock each time somebody looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._apart = self._measure()
        self.count = 0
        self.last_at: datetime | None = None
        """When it was last seen, by the clock that was set then."""
        self.last_seconds = 0.0

    def look(self) -> float | None:
        """Seconds by which the time of day has jumped since the last look, negative if back; ``None``: it has not."""
        before, self._apart = self._apart, self._measure()
        jumped = self._apart - before
        if abs(jumped) < _LEAST_JUMP_SECONDS:
            return None
        self.count += 1
        self.last_at, self.last_seconds = self._clock.now(), jumped
        return jumped

    def _measure(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

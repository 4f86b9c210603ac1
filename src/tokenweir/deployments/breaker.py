"""The breaker of a target: whether calls may go there. Pure; moments are on the monotonic clock, in seconds.

                  failures within the interval, or one that says all
        CLOSED ────────────────────────────────────────────────────▶ OPEN ◀──┐
           ▲                                                           │      │ the probe fails
           │                                     its time is over, and │      │
           │                                     a call (the probe) goes ▼    │
           └──────────────────── the probe succeeds ─────────────── HALF_OPEN ┘

What is told late, by calls that began before it opened, can only keep it open for longer.
"""

from enum import IntEnum
from typing import Final

from .settings import BreakerSettings

__all__ = ["CLOSED", "HALF_OPEN", "OPEN", "Breaker", "BreakerState"]


class BreakerState(IntEnum):
    """``name`` is what metrics and the admin API show."""

    CLOSED = 0
    """Calls go there."""
    OPEN = 1
    """None does, until its time is over."""
    HALF_OPEN = 2
    """One does, the probe; none else until it is known what became of it."""


CLOSED: Final = BreakerState.CLOSED
OPEN: Final = BreakerState.OPEN
HALF_OPEN: Final = BreakerState.HALF_OPEN


class Breaker:
    """Told of what becomes of calls, says whether the next one may go."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.state: BreakerState = CLOSED
        self.is_closed = True
        """The same as a bool: the question of every call."""
        self.reason = ""
        """Why it was opened last: an error code or a status."""
        self.trips = 0
        """How often it was opened."""
        self._until = 0.0
        """Open: when a probe may go. Half-open: when another one may, as of this one nothing was heard."""
        self._failures: list[float] = []
        """The moments of the latest ones."""
        self.configure(settings)

    def __repr__(self) -> str:
        return f"<Breaker {self.state.name.lower().replace('_', '-')}>"

    def configure(self, settings: BreakerSettings) -> None:
        """Other settings, the same state."""
        self._most = max(1, settings.failures)
        self._interval = float(settings.interval)
        self.trip = float(settings.trip)
        self._longest = float(max(settings.longest, settings.trip))

    def lets(self, now: float) -> bool:
        """Whether a call may go."""
        return self.is_closed or self.wait(now) <= 0.0

    def wait(self, now: float) -> float:
        """Seconds until one may."""
        if self.is_closed:
            return 0.0
        wait = self._until - now
        if wait > self._longest:  # the clock was set back
            self._until = now + self._longest
            return self._longest
        return wait if wait > 0.0 else 0.0

    def begin(self, now: float) -> None:
        """A call goes, as ``lets`` has allowed. Where it was open, this is the probe."""
        if not self.is_closed:
            self.state = HALF_OPEN
            self._until = now + self.trip

    def succeeded(self) -> None:
        """The target has answered."""
        if self.state is HALF_OPEN:
            self.close()

    def failed(self, now: float, reason: str) -> None:
        """The target has failed once."""
        if self.state is HALF_OPEN:
            self.open(now, reason)
        elif self.is_closed:
            failures = self._failures
            failures.append(now)
            if len(failures) > self._most:
                del failures[0]
            if len(failures) == self._most and 0.0 <= now - failures[0] <= self._interval:
                self.open(now, reason)

    def open(self, now: float, reason: str, seconds: float | None = None) -> None:
        """Opens at once, or for longer; ``seconds`` as the target has said, if it has."""
        if self.trip <= 0.0:
            return
        until = now + min(self.trip if seconds is None else seconds, self._longest)
        if self.state is OPEN:
            self._until = max(self._until, until)
            return
        self._until = until
        self.trips += 1
        self.state, self.is_closed, self.reason = OPEN, False, reason
        self._failures.clear()

    def close(self) -> None:
        """The target is known to be well."""
        self.state, self.is_closed = CLOSED, True
        self._failures.clear()

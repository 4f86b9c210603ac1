"""Clocks that tests set."""

from datetime import UTC, datetime, timedelta
from time import monotonic

__all__ = ["JumpingClock"]


class JumpingClock:
    """Stands still until it is told to jump; with ``runs`` it is the machine's clock, and jumps ahead of it."""

    def __init__(self, start: datetime = datetime(2020, 1, 1, tzinfo=UTC), *, runs: bool = False) -> None:
        self._start = start
        self._runs = runs
        self._ahead = 0.0
        self._set_by = 0.0

    def now(self) -> datetime:
        return (datetime.now(UTC) if self._runs else self._start) + timedelta(seconds=self._ahead + self._set_by)

    def monotonic(self) -> float:
        return (monotonic() if self._runs else 1000.0) + self._ahead

    def jump(self, seconds: float) -> None:
        self._ahead += seconds

    def set_by(self, seconds: float) -> None:
        """The time of day is set, and no time has passed."""
        self._set_by += seconds

"""What a query that somebody typed may take, whichever engine runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

import msgspec

from ..errors import QueryError

__all__ = ["AT_ONCE", "Limits", "Turnstile"]

# A second question need not wait for a slow one; more would take the cores from the relays.
AT_ONCE = 2


class Limits(msgspec.Struct, frozen=True):
    """For one query."""

    seconds: float = 60.0
    """The heaviest of the seed's queries sums ten million events in this time."""
    rows: int = 10_000
    """More than a person reads and a spreadsheet minds; the answer is held in memory as a whole."""

    def took_too_long(self) -> str:
        return f"the query took longer than {self.seconds:g} s and was stopped; ask about less time"

    def note(self, found: int) -> str | None:
        """What to say where there are more rows than are shown."""
        if found <= self.rows:
            return None
        return f"only the first {self.rows:,} rows are shown; sum them up, or ask for less"


class Turnstile:
    """Lets a few queries in at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = BoundedSemaphore(AT_ONCE)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """One's place until the block ends. `QueryError` if none gets free in the time that a query may take."""
        if not self._places.acquire(timeout=self._limits.seconds):
            raise QueryError(f"{AT_ONCE} other queries are still running; try again in a moment")
        try:
            yield
        finally:
            self._places.release()

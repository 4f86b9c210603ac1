"""What a query that somebody typed may take, whichever engine runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

import msgspec

from ..errors import QueryError

__all__ = ["AT_ONCE", "FOR_EXPORTS", "MOST_QUERIES", "Limits", "TooManyQueries", "QuerySlots"]

# A second question need not wait for a slow one; more would take the cores from the relays.
AT_ONCE = 2

# Those who wait hold a thread each. A person who sees that it is busy asks again; a program is told when.
_MOST_WAITING = 4
_LONGEST_WAIT_SECONDS = 10.0

MOST_QUERIES = AT_ONCE + _MOST_WAITING


class TooManyQueries(QueryError):
    """Others are being answered, and others wait already. Nothing is wrong with the query."""

    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__(f"{AT_ONCE} other queries are still running; try again in a moment")


class Limits(msgspec.Struct, frozen=True):
    """For one query."""

    seconds: float = 60.0
    """The heaviest of the seed's queries sums ten million events in this time."""
    rows: int | None = 10_000
    """More than a person reads and a spreadsheet minds; the answer is held in memory as a whole. ``None``: all, which
    are handed on in pieces."""

    def took_too_long(self) -> str:
        return f"the query took longer than {self.seconds:g} s and was stopped; ask about less time"

    def note(self, found: int) -> str | None:
        """What to say where there are more rows than are shown."""
        if self.rows is None or found <= self.rows:
            return None
        return f"only the first {self.rows:,} rows are shown; sum them up, or ask for less"


# Ten million rows as they are written to a file, at the pace of who reads them.
FOR_EXPORTS = Limits(seconds=1800.0, rows=None)


class QuerySlots:
    """Lets a few queries in at once, and a few more wait."""

    def __init__(self, limits: Limits) -> None:
        self._longest_wait = min(limits.seconds, _LONGEST_WAIT_SECONDS)
        self._places = BoundedSemaphore(AT_ONCE)
        self._admitted = BoundedSemaphore(MOST_QUERIES)

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """One's place until the block ends. `TooManyQueries` if the queue is full, or none gets free in time."""
        if not self._admitted.acquire(blocking=False):
            raise TooManyQueries
        try:
            if not self._places.acquire(timeout=self._longest_wait):
                raise TooManyQueries
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._admitted.release()

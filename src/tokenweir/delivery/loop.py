"""The delivery loop: reads a batch, delivers it, and only then moves the source's position.

At least once, in order. What cannot be delivered now is tried again, with pauses that grow, until it can or the loop is
stopped; what never can be goes to dead letters. A position is saved when everything before it is in one of the two
places, so a run that ends anywhere is resumed by the next with nothing lost and some of it delivered twice.

Held in memory: one batch of the source, and what a destination makes of it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from ..errors import TokenweirError, place_of
from ..records import Clock
from .base import Denied, Destination, RecordBatch, RecordSource, Rejected, Throttled

__all__ = ["GATHER_SECONDS", "STUCK_SECONDS", "Delivery", "backoff"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

# How long records may gather while there are few of them. Whoever is behind does not wait at all.
GATHER_SECONDS = 0.5

# Whoever looks more often than this does so less and less while nothing comes: to look costs half a millisecond.
_QUIET_SECONDS = 0.1

# A reason that stays the same is logged again after this long.
_REPEAT_SECONDS = 600.0

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
# Azure has been seen to ask for a day. Whoever asks for more than this is asked again after it.
_LONGEST_OBEYED_SECONDS = 900.0


STUCK_SECONDS = 60.0
"""A batch takes milliseconds, and an error comes within seconds; whoever says neither for so long is stuck."""


class _Stopped(Exception):
    """Told to stop while something had failed: the next run goes on."""


class Delivery:
    """Moves records from one source to its destinations, which it opens and closes. ``run`` is its whole life."""

    def __init__(
        self,
        name: str,
        source: RecordSource,
        destinations: Sequence[Destination],
        clock: Clock,
        *,
        chance: Callable[[], float] = random.random,
        pause: Callable[[float], Awaitable[None]] | None = None,
        is_lasting: bool = True,
        gather: float = GATHER_SECONDS,
        stuck_after: float = STUCK_SECONDS,
    ) -> None:
        """``name`` is for logs, and so is ``is_lasting``: whether what is not delivered outlives the process. ``pause``
        waits so many seconds; the default also ends when the loop is stopped. ``gather``: how many seconds.
        ``stuck_after``: how many seconds a batch may be under way without a word."""
        # for ever
        self._name = name
        self._source = source
        self._destinations = destinations
        self._clock = clock
        self._chance = chance
        self._pause = pause or self._until_stop
        self._is_lasting = is_lasting
        self._gather = gather
        self._stuck_after = stuck_after
        self._stop = asyncio.Event()
        self._logged_at = 0.0
        self._quiet = 0
        # since the start
        self.retries = 0
        """Times that something had to be tried again."""
        self.failing_since: datetime | None = None
        """Since when nothing could be delivered; None while all is well."""
        self.stuck_since: datetime | None = None
        """When the batch began that is under way and does not come back; None where all is well, or failing."""
        self.last_error: str | None = None
        """The latest reason why something could not be delivered; kept after it has recovered."""

    def __repr__(self) -> str:
        state = f"failing since {self.failing_since:%H:%M:%S}, " if self.failing_since else ""
        parts = ", ".join(map(repr, self._destinations))
        return f"<Delivery {self._name} [{state}{self.retries} retries] to {parts}>"

    def stop(self) -> None:
        """Delivers what there is, as long as that works at once, and lets ``run`` return."""
        self._stop.set()
        self._source.stop()

    async def run(self) -> None:
        """Delivers until told to stop. Errors of a destination, of the source and of our own end nothing."""
        try:
            for destination in self._destinations:
                await self._until_it_works(destination.open)
            while True:
                is_behind = await self._deliver_batch()
                if is_behind:
                    continue
                if self._stop.is_set():
                    return
                await self._pause(max(self._gather, min(self._gather * (1 + self._quiet / 10), _QUIET_SECONDS)))
        except _Stopped:
            then = "the next start goes on from here" if self._is_lasting else "what was not sent is lost"
            _log.warning("%s: stopped while it was failing; %s", self._name, then)
        finally:
            await self._source.close()
            for destination in self._destinations:
                await destination.close()

    async def _deliver_batch(self) -> bool:
        """Whether there is most likely more."""
        batch = await self._until_it_works(self._source.read)
        if batch is None:
            self._quiet += 1
            return False
        self._quiet = 0
        with self._watched(batch):
            for destination in self._destinations:
                await destination.deliver(batch, self._until_it_works)
            await self._until_it_works(lambda: self._source.done(batch))
        return batch.has_more or self._stop.is_set()

    @contextmanager
    def _watched(self, batch: RecordBatch) -> Iterator[None]:
        """Says so where the batch does not come back."""
        began = self._clock.now()

        def say() -> None:
            if self.failing_since is None:  # which says more
                self.stuck_since = began
                count, where = len(batch.records), " and ".join(map(repr, self._destinations))
                said = "%s: %d records are under way to %s since %s UTC, and nothing comes back; nothing is lost"
                _log.warning(said, self._name, count, where, f"{began:%H:%M:%S}")

        timer = asyncio.get_running_loop().call_later(self._stuck_after, say)
        try:
            yield
        finally:
            timer.cancel()
            self.stuck_since = None

    async def _until_it_works(self, action: Callable[[], Awaitable[T]], /) -> T:
        """See `AttemptPolicy`: tries again and again, with pauses that grow."""
        failures = 0
        while True:
            try:
                result = await action()
            except Rejected:
                self._note_success()
                raise
            except Exception as error:
                failures += 1
                self._note_failure(error)
                if self._stop.is_set():
                    raise _Stopped from error
                await self._pause(backoff(failures, error, self._chance()))
                if self._stop.is_set():
                    raise _Stopped from error
                self.retries += 1
            else:
                self._note_success()
                return result

    def _note_failure(self, error: Exception) -> None:
        # Texts of our own errors are made for people, and so are the system's. Those of others may quote keys and
        # prompts.
        said = str(error) if isinstance(error, TokenweirError) else f"unexpected {place_of(error)}"
        if isinstance(error, OSError) and error.strerror:
            said = f"{error.strerror} ({error.filename})" if error.filename else error.strerror
        now = self._clock.monotonic()
        if self.failing_since is None or said != self.last_error or now - self._logged_at >= _REPEAT_SECONDS:
            meanwhile = "nothing is lost meanwhile" if self._is_lasting else "what is not sent waits in memory only"
            _log.warning("%s: %s; will retry, %s", self._name, said, meanwhile)
            self._logged_at = now
        self.failing_since = self.failing_since or self._clock.now()
        self.stuck_since = None
        self.last_error = said

    def _note_success(self) -> None:
        if self.failing_since is not None:
            _log.info("%s: works again", self._name)
            self.failing_since = None

    async def _until_stop(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass


def backoff(failures: int, error: Exception, chance: float) -> float:
    """Seconds to wait after so many failures in a row. ``chance``, from 0 to 1, spreads out those who failed together.

    Twice as long each time, up to a minute; a minute at once where a person has to act first.
    """
    # The exponent is bounded so that a night of failures does not become a number that no float holds.
    doubled = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20))
    longest = _LONGEST_PAUSE_SECONDS if isinstance(error, Denied) else doubled
    seconds = longest * (0.5 + chance / 2)
    if isinstance(error, Throttled) and error.retry_after is not None:
        return max(seconds, min(error.retry_after, _LONGEST_OBEYED_SECONDS))
    return seconds

"""Makes calls, so many at a time, and brings their moments together into one row.

Each call is watched in a thread of its own, which does nothing else: its times do not wait for whoever shows them.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

import msgspec

from ..records import Clock
from .http import watch_http
from .moments import Began, Connected, Ended, Moment, Via
from .sdk import watch_sdk
from .target import StreamTarget

__all__ = ["Planned", "Running"]

# A thread that wakes up waits this long at most for one that computes; the interpreter's own 5 ms would be seen.
_SWITCH_SECONDS = 0.0002


class Planned(msgspec.Struct, frozen=True):
    """A call to be made."""

    target: StreamTarget
    via: Via


class Running:
    """Iterate for ``(number, moment)`` of all calls; each call's own are in order, and the last is ``Ended``.

    ``numbers`` count the calls as planned. Threads end with their calls, or with the process.
    """

    def __init__(
        self, calls: Sequence[Planned], prompt: str, *, concurrency: int, timeout: float, clock: Clock
    ) -> None:
        self._calls = calls
        self._prompt = prompt
        self._timeout = timeout
        self._clock = clock
        self._waiting = iter(range(len(calls)))
        self._told: SimpleQueue[tuple[int, Moment] | BaseException] = SimpleQueue()
        self._zeros: dict[int, float] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"watch-{number}", daemon=True)
            for number in range(min(concurrency, len(calls)))
        ]

    def __iter__(self) -> Iterator[tuple[int, Moment]]:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            for thread in self._threads:
                thread.start()
            yield from self._row()
        finally:
            sys.setswitchinterval(usual)

    def _row(self) -> Iterator[tuple[int, Moment]]:
        left = len(self._calls)
        while left:
            told = self._told.get()
            if isinstance(told, BaseException):
                raise told
            number, moment = told
            if isinstance(moment, Began | Connected):
                self._zeros[number] = self._clock.monotonic()
            elif isinstance(moment, Ended):
                left -= 1
            yield told

    def stop(self) -> None:
        """Begins no more calls."""
        with self._lock:
            self._waiting = iter(())

    def elapsed(self, number: int) -> float:
        """Seconds since a call that has begun was sent."""
        return round(self._clock.monotonic() - self._zeros[number], 6)

    def _work(self) -> None:
        while True:
            with self._lock:
                number = next(self._waiting, None)
            if number is None:
                return
            try:
                self._watch(number)
            except BaseException as error:  # the reader of the row is who has to hear of it
                self._told.put(error)
                return

    def _watch(self, number: int) -> None:
        planned = self._calls[number]
        watch: Callable[..., None] = {"http": watch_http, "sdk": watch_sdk}[planned.via]
        watch(
            planned.target,
            self._prompt,
            timeout=self._timeout,
            clock=self._clock,
            tell=lambda moment: self._told.put((number, moment)),
        )

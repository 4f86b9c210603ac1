"""The ends of answers that wait until their events are with every sink: ``journal.durability = "shipped"``.

None waits longer than a deadline. Once one has passed its deadline no other waits at all, until the sinks take events
again: an outage costs a few callers two seconds, and all others nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["HeldEnds"]

_log = logging.getLogger(__name__)

_SAY_AGAIN_SECONDS = 60.0

Mark = TypeVar("Mark", int, tuple[int, int])
"""How far a log had come with a record; those of one log compare in its order."""


class _HeldEnd(Generic[Mark]):
    def __init__(self, mark: Mark, release: Callable[[], None]) -> None:
        self.mark: Mark = mark
        self.release = release
        self.timer: asyncio.TimerHandle | None = None


class HeldEnds(Generic[Mark]):
    """For one log, in its event loop."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._held: deque[_HeldEnd[Mark]] = deque()
        self._passed: Mark | None = None
        self._said_at = 0.0
        self.is_late = False
        """Whether the sinks have let a deadline pass and have taken nothing since."""
        self.late = 0
        """Answers that ended before their event was with every sink."""

    def __repr__(self) -> str:
        return f"<HeldEnds {len(self._held)} wait, {self.late} were late{', late now' if self.is_late else ''}>"

    @property
    def is_waiting(self) -> bool:
        return bool(self._held)

    def hold(self, mark: Mark, release: Callable[[], None]) -> None:
        """Calls ``release`` once, later: when the sinks have passed ``mark``, or at the deadline."""
        loop = asyncio.get_running_loop()
        if self.is_late:
            self._note_late()
            loop.call_soon(release)
            return
        end = _HeldEnd(mark, release)
        end.timer = loop.call_later(self._timeout, self._give_up, end)
        self._held.append(end)

    def passed(self, mark: Mark) -> None:
        """Every sink has the events before ``mark``. To be called again and again."""
        if self._passed is not None and mark <= self._passed:
            return
        self._passed = mark
        if self.is_late:
            self.is_late, self._said_at = False, 0.0
            _log.warning("the sinks take events again; %d answers have ended before their event was sent", self.late)
        while self._held and self._held[0].mark <= mark:
            end = self._held.popleft()
            if end.timer is not None:
                end.timer.cancel()
                end.release()

    def _give_up(self, end: _HeldEnd[Mark]) -> None:
        end.timer = None
        self.is_late = True
        self._note_late()
        end.release()

    def _note_late(self) -> None:
        self.late += 1
        now = asyncio.get_running_loop().time()
        if not self._said_at or now - self._said_at >= _SAY_AGAIN_SECONDS:
            self._said_at = now
            _log.error(
                "the sinks have not confirmed an event within %g s: answers end before their events are sent, %d since "
                "the start",
                self._timeout,
                self.late,
            )

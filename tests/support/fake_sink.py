"""A sink with the manners of real ones: it throttles, goes down in the middle, and takes some events never."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tokenweir.delivery import Denied, Rejected, Throttled, Unavailable
from tokenweir.delivery.sinks import JsonEvent

__all__ = ["Act", "FakeSink", "Killed", "deny", "down", "killed", "reject_none", "stumble", "throttle"]


class Killed(BaseException):
    """The process ends here, as by ``kill -9``."""


Act = Callable[["FakeSink", Sequence[JsonEvent]], None]
"""What happens in one ``send``, before the events that are left are taken."""


def down(after: int = 0) -> Act:
    """The connection is lost when so many events have arrived."""

    def act(sink: "FakeSink", events: Sequence[JsonEvent]) -> None:
        sink.take(events[:after])
        raise Unavailable("the other side has gone away")

    return act


def throttle(retry_after: float | None = None, after: int = 0) -> Act:
    def act(sink: "FakeSink", events: Sequence[JsonEvent]) -> None:
        sink.take(events[:after])
        raise Throttled("too fast", retry_after)

    return act


def deny(sink: "FakeSink", events: Sequence[JsonEvent]) -> None:
    raise Denied("the key is not accepted")


def stumble(sink: "FakeSink", events: Sequence[JsonEvent]) -> None:
    """A defect, whose text quotes what it must not."""
    raise ValueError(f"cannot handle {events[0].body!r}")


def killed(after: int = 0) -> Act:
    def act(sink: "FakeSink", events: Sequence[JsonEvent]) -> None:
        sink.take(events[:after])
        raise Killed

    return act


def reject_none(event: JsonEvent) -> bool:
    return False


class FakeSink:
    """``acts`` are played one a send, then all goes well; ``rejects`` says which events can never be taken.

    ``opening`` are errors of the next openings, ``taken`` is what has arrived at the other side, in order; what came
    twice is there twice. A shipper that breaks the rules of the protocol fails the test.
    """

    def __init__(
        self,
        acts: Iterable[Act] = (),
        *,
        opening: Iterable[Exception] = (),
        rejects: Callable[[JsonEvent], bool] = reject_none,
        limit: int = 1 << 20,
    ) -> None:
        self._acts: Iterator[Act] = iter(acts)
        self._opening = iter(opening)
        self._rejects = rejects
        self._limit = limit
        self.taken: list[JsonEvent] = []
        self.sends: list[list[JsonEvent]] = []
        self.openings = 0
        self.is_open = False
        self.is_closed = False

    @property
    def max_event_size(self) -> int:
        assert self.is_open, "the size is not known before the sink is open"
        return self._limit

    async def open(self) -> None:
        assert not self.is_closed
        self.openings += 1
        self.is_open = False
        if (error := next(self._opening, None)) is not None:
            raise error
        self.is_open = True

    async def send(self, events: Sequence[JsonEvent]) -> None:
        assert self.is_open and events
        assert all(event.size <= self._limit for event in events)
        self.sends.append(list(events))
        if (act := next(self._acts, None)) is not None:
            try:
                act(self, events)
            except (Throttled, Rejected):
                raise
            except BaseException:
                self.is_open = False
                raise
        self.take(events)
        if rejected := [event for event in events if self._rejects(event)]:
            raise Rejected("nobody wants them", rejected)

    def take(self, events: Sequence[JsonEvent]) -> None:
        self.taken += [event for event in events if not self._rejects(event)]

    async def close(self) -> None:
        self.is_open = False
        self.is_closed = True

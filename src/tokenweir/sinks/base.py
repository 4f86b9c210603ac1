"""What a sink promises, whichever wire it speaks, and how it fails. The sinks live beside this file."""

from collections.abc import Sequence
from typing import Protocol

from ..errors import TokenweirError
from .event import Event

__all__ = ["Denied", "Rejected", "Sink", "SinkError", "Throttled", "Unavailable"]


class SinkError(TokenweirError):
    """Events were not taken, or only some. The message is for a person, and holds no key and no prompt."""


class Unavailable(SinkError):
    """An outage or a timeout: the same events may be sent again later."""


class Throttled(Unavailable):
    """The other side is busy, or a quota is used up for now."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, if the other side said so."""


class Denied(SinkError):
    """A wrong key, a hub that does not exist, a certificate nobody trusts: nothing is sent until a person acts."""


class Rejected(SinkError):
    """These events can never be sent; all others of the call were."""

    def __init__(self, reason: str, events: Sequence[Event]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = tuple(events)


class Sink(Protocol):
    """Takes events to another place, at least once.

    One task uses a sink. ``open`` comes first, and again after any error but `Rejected` and `Throttled`, whatever was
    open before; ``close`` comes last, also where ``open`` failed. Nothing waits or tries again inside: that is the
    shipper's work.
    """

    @property
    def max_event_size(self) -> int:
        """The largest `Event.size` that the other side takes; known once it is open."""
        ...

    async def open(self) -> None:
        """Connects. `Unavailable` or `Denied` in words for a person."""
        ...

    async def send(self, events: Sequence[Event]) -> None:
        """Sends all of them, those of one key in their order, in as many messages as the wire wants.

        When this returns, the other side has confirmed each. After `Rejected` it has confirmed all but the events
        named there. After any other error nobody knows which, so all have to be sent again.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...

"""What a sink promises, whichever wire it speaks. The sinks live beside this file."""

from collections.abc import Sequence
from typing import Protocol

from .event import Event

__all__ = ["Sink"]


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

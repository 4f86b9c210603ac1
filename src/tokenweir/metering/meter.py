"""What the relay shows an answer to. A meter only watches: it never delays, changes or breaks a relay."""

from typing import Protocol

from .structs import Reading

__all__ = ["Meter"]


class Meter(Protocol):
    """One answer's meter. ``feed`` every piece of its body as it comes, then ``finish`` once.

    Neither raises for any bytes, and how the body was cut into pieces makes no difference to the reading.
    """

    @property
    def first_token_at(self) -> float | None:
        """When, on the clock the meter was given, the first output of the model came; None before that."""
        ...

    def feed(self, piece: bytes) -> None:
        """Watch the next piece: a part of an event, one event or many."""
        ...

    def finish(self) -> Reading:
        """What the answer said."""
        ...

"""What shows calls, and words and numbers that all of them show alike."""

from typing import Protocol

import msgspec

from ...stopwatch import Capture, Event, Finding, Measures, Moment

__all__ = ["MARKS", "Shows", "View", "plain"]

MARKS = {"bad": ("✗", "red"), "odd": ("!", "yellow"), "note": ("·", "cyan")}


class Shows(msgspec.Struct, frozen=True):
    """What of a single call is shown besides its numbers."""

    events: bool = True
    """A row for each event."""
    raw: bool = False
    """Each event, or the body of another answer, as it came."""
    text: bool = False
    """What the model wrote, whole."""


class View(Protocol):
    """Told of everything in order. ``number`` counts the calls as planned."""

    def moment(self, number: int, moment: Moment, events: list[Event]) -> None:
        """Something happened, and these events are whole now."""
        ...

    def call(self, number: int, capture: Capture, measures: Measures, findings: list[Finding]) -> None:
        """A call is over, or was left."""
        ...

    def close(self) -> None:
        """There are no more."""
        ...


def plain(text: str) -> str:
    """Text from elsewhere, without what a terminal would obey."""
    return "".join(
        char if char.isprintable() else {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\x{ord(char):02x}")
        for char in text
    )

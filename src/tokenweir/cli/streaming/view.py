"""What shows calls, and words and numbers that all of them show alike."""

from typing import Protocol

from ...stopwatch import Capture, Event, Finding, Measures, Moment

__all__ = ["MARKS", "View", "plain"]

MARKS = {"bad": ("✗", "red"), "odd": ("!", "yellow"), "note": ("·", "cyan")}


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

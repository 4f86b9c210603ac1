"""What shows calls, what tells it of them, and words, numbers and a drawing that all views show alike."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ...stopwatch import (
    Began,
    Capture,
    CaptureFile,
    Ended,
    Finding,
    Measures,
    Moment,
    TimedEvent,
    Watching,
    findings_of,
    measure,
)

__all__ = ["MARKS", "CaptureSession", "Shows", "View", "axis", "plain", "timeline"]

MARKS = {"bad": ("✗", "red"), "odd": ("!", "yellow"), "note": ("·", "cyan")}
_BLOCKS = "▁▂▃▄▅▆▇█"


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

    def moment(self, number: int, moment: Moment, events: list[TimedEvent]) -> None:
        """Something happened, and these events are whole now."""
        ...

    def call(self, number: int, capture: Capture, measures: Measures, findings: list[Finding]) -> None:
        """A call is over, or was left."""
        ...

    def close(self) -> None:
        """There are no more."""
        ...


class CaptureSession:
    """Takes the moments of all calls, puts each call together, has it judged, kept and shown. ``kept`` is where whole
    calls are saved."""

    def __init__(self, view: View, kept: CaptureFile | None) -> None:
        self._view = view
        self._kept = kept
        self._open: dict[int, tuple[Watching, list[Moment]]] = {}
        self.is_bad = False
        """Whether a call failed, or its stream did not do what a stream is for."""

    def take(self, number: int, moment: Moment) -> None:
        if isinstance(moment, Began):
            self._open[number] = Watching(moment), []
        watching, moments = self._open[number]
        moments.append(moment)
        self._view.moment(number, moment, watching.add(moment))
        if isinstance(moment, Ended):
            self._end(number, moment)

    def interrupt(self, elapsed: Callable[[int], float]) -> None:
        """Ends what is open, as if it had ended now."""
        for number in sorted(self._open):
            self.take(number, Ended(elapsed(number), "interrupted"))

    def _end(self, number: int, ended: Ended) -> None:
        watching, moments = self._open.pop(number)
        if self._kept is not None:
            self._kept.add(moments)
        capture = watching.end(ended)
        measures = measure(capture)
        findings = findings_of(capture, measures)
        self.is_bad |= any(finding.weight == "bad" for finding in findings)
        self._view.call(number, capture, measures, findings)


def plain(text: str) -> str:
    """Text from elsewhere, without what a terminal would obey."""
    return "".join(
        char if char.isprintable() else {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\x{ord(char):02x}")
        for char in text
    )


def timeline(times: Sequence[float], until: float, width: int) -> str:
    """``times`` within ``[0, until]`` in ``width`` columns: dots up to the first, a bar for each that holds some."""
    if not times or until <= 0:
        return ""
    counts = [0] * width
    for at in times:
        counts[_column(at, until, width)] += 1
    first, last = _column(times[0], until, width), _column(times[-1], until, width)
    most = max(counts)
    drawn = ["·"] * first
    for count in counts[first : last + 1]:
        drawn.append(_BLOCKS[(count * len(_BLOCKS) - 1) // most] if count else " ")
    return "".join(drawn)


def axis(first: float, until: float, width: int, label: str, end: str) -> str:
    """What stands below: a mark under ``first`` with its label beside it, and the end's label at the right."""
    column = _column(first, until, width)
    mark = f"^ {label}"
    room = width - len(end) - 1
    if column + len(mark) > room:
        mark = f"{label} ^"
        column = max(0, min(column + 1, room) - len(mark))
    return f"{(' ' * column + mark).ljust(room)} {end}"


def _column(at: float, until: float, width: int) -> int:
    return min(width - 1, max(0, int(at / until * width)))

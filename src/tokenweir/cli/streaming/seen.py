"""Takes the moments of all calls, puts each call together, has it judged, kept and shown."""

from collections.abc import Callable

from ...stopwatch import Began, CaptureFile, Ended, Moment, Watching, findings_of, measure
from .view import View

__all__ = ["Seen"]


class Seen:
    """What has been seen so far. ``kept`` is where whole calls are saved."""

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

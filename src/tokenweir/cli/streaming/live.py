"""Shows one call as it comes: the head, each event with its delay, and in the end what it all amounts to."""

from rich.console import Console
from rich.text import Text

from ...stopwatch import Began, Capture, Connected, Ended, Finding, Head, Measures, Moment, TimedEvent, milliseconds
from .summary import print_findings, print_numbers
from .view import Shows, plain
from .wrapping import print_fitted

__all__ = ["LiveView"]

_HANG = 7

_WRITTEN = {"reasoning": "reasoning", "text": "answer", "tool": "tool calls"}

_COLOURS = {
    "text": "default",
    "tool": "magenta",
    "reasoning": "blue",
    "error": "red",
    "broken": "red",
    "finish": "green",
    "done": "green",
}


class LiveView:
    """For a person in front of a terminal, or a file to read later."""

    def __init__(self, console: Console, *, shows: Shows, key: str) -> None:
        """``key`` says in words where the key came from."""
        self._console = console
        self._shows = shows
        self._key = key
        self._before: float | None = None
        self._has_columns = False

    def moment(self, number: int, moment: Moment, events: list[TimedEvent]) -> None:
        match moment:
            case Began():
                via = "the official SDK (times include connecting)" if moment.via == "sdk" else "raw HTTP"
                self._line(Text("POST ", "bold") + Text(plain(moment.url), "bold"))
                self._line(Text(f"     {plain(moment.name)}, {plain(moment.deployment)}, by {via}, {self._key}", "dim"))
            case Connected():
                self._line(Text(f"     connected to {moment.address} in {_steps(moment)}", "dim"))
            case Head():
                self._head(moment)
            case Ended() if moment.how == "complete" and self._has_columns:
                self._line(Text(f"{moment.at * 1000:>10.1f}  the end", "dim"))
        for event in events:
            self._event(event)

    def call(self, number: int, capture: Capture, measures: Measures, findings: list[Finding]) -> None:
        if self._shows.raw and not capture.events:
            self._raw(capture.body)
        if self._shows.text:
            self._text(capture)
        self._console.print()
        print_numbers(self._console, capture, measures)
        print_findings(self._console, capture, findings)

    def close(self) -> None:
        pass

    def _head(self, head: Head) -> None:
        colour = "green" if head.status < 300 else "red"
        self._console.print()
        self._line(Text(f"{head.status}", f"bold {colour}") + Text(f" after {milliseconds(head.at)}"))
        width = max((len(name) for name, _ in head.headers), default=0)
        for name, value in head.headers:
            self._line(Text(f"     {name:<{width}}  ", "dim") + Text(value))
        if head.withheld:
            others = "1 other header is" if head.withheld == 1 else f"{head.withheld} other headers are"
            self._line(Text(f"     {others} not shown; --headers shows them", "dim"))

    def _event(self, event: TimedEvent) -> None:
        if not self._shows.events:
            if self._shows.raw:
                self._raw(event.raw)
            return
        if not self._has_columns:
            self._has_columns = True
            self._console.print()
            self._line(Text(f"{'at ms':>10}{'gap ms':>10}{'bytes':>7}  event", "dim"))
        gap = "" if self._before is None else f"{(event.at - self._before) * 1000:.1f}"
        self._before = event.at
        frame = event.frame
        said = f'"{plain(frame.text)}"' if frame.is_output else plain(frame.text)
        line = Text(f"{event.at * 1000:>10.1f}{gap:>10}{event.size:>7,}  ") + Text(f"{frame.kind:<9} ", "dim")
        line.append(said, _COLOURS.get(frame.kind, "dim"))
        line.rstrip()
        self._line(line, stays_one=True)
        if self._shows.raw:
            self._raw(event.raw)

    def _raw(self, data: bytes) -> None:
        """Line by line as it came, but for what a terminal would obey."""
        for line in data.decode(errors="replace").rstrip("\r\n").split("\n"):
            self._console.print(Text(plain(line.removesuffix("\r"))), soft_wrap=True)
        self._console.print()

    def _text(self, capture: Capture) -> None:
        """What the model wrote, each kind of it whole."""
        for kind, name in _WRITTEN.items():
            written = "".join(event.frame.text for event in capture.events if event.frame.kind == kind)
            if written:
                self._console.print()
                self._line(Text(name, "bold"))
                for line in written.split("\n"):
                    self._console.print(Text(plain(line)), soft_wrap=True)

    def _line(self, text: Text, *, stays_one: bool = False) -> None:
        """A row of the table is cut at the terminal's edge; a file gets all of it."""
        if stays_one and self._console.is_terminal:
            self._console.print(text, no_wrap=True, overflow="ellipsis")
        else:
            print_fitted(self._console, text, hang=_HANG)
        self._console.file.flush()


def _steps(connected: Connected) -> str:
    """``0.4 ms (name 0.1 ms, TCP 0.3 ms)``."""
    steps = {"name": connected.lookup, "TCP": connected.connect}
    if connected.proxy is not None:
        steps = {"proxy's name": connected.lookup, f"tunnel through {connected.proxy}": connected.connect}
    if connected.tls is not None:
        steps["TLS"] = connected.tls
    told = ", ".join(f"{name} {milliseconds(took)}" for name, took in steps.items())
    return f"{milliseconds(sum(steps.values()))} ({told})"

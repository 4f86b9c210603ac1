"""The numbers of one call, its drawing, and what is to be said about it."""

from rich.console import Console
from rich.text import Text

from ...stopwatch import Capture, Finding, Measures, milliseconds
from .view import MARKS, axis, plain, timeline
from .wrapping import fitted, print_fitted

__all__ = ["print_finding", "print_findings", "print_numbers", "width_of"]

_WIDEST = 100
_MARGIN = 2
_NAMES = 13


def width_of(console: Console) -> int:
    """Columns for a drawing: what the terminal has, and what can be read at a glance."""
    return min(console.width, _WIDEST) - _MARGIN


def print_numbers(console: Console, capture: Capture, measures: Measures) -> None:
    """A drawing if there is something to draw, and a line for each thing that was measured."""
    times = [event.at for event in capture.events if event.frame.is_output]
    width = width_of(console)
    if drawn := timeline(times, measures.ended, width):
        label = f"first token {milliseconds(times[0])}"
        console.print(Text(drawn, "cyan"), soft_wrap=True)
        console.print(Text(axis(times[0], measures.ended, width, label, milliseconds(measures.ended)), "dim"))
        console.print()
    for name, value in _rows(capture, measures):
        print_fitted(console, Text(f"{name:<{_NAMES}}", "dim") + Text(value), hang=_NAMES)


def print_findings(console: Console, capture: Capture, findings: list[Finding]) -> None:
    """Each with its mark, what it means, and what to do; or that there is none."""
    console.print()
    for finding in findings:
        print_finding(console, finding)
    if capture.ended.how == "interrupted":
        _indented(console, 0, Text("Stopped before the end; this is what came until then."))
    elif not findings:
        _indented(console, 0, Text("✓ ", "green") + Text(_all_well(capture)))


def print_finding(console: Console, finding: Finding, which: str = "") -> None:
    """``which`` says of what it is, where there are several calls."""
    mark, colour = MARKS[finding.weight]
    _indented(console, 0, Text(f"{mark} ", colour) + Text(plain(which)) + Text(plain(finding.seen), "bold"))
    _indented(console, 2, Text(plain(finding.means)))
    if finding.fix:
        _indented(console, 2, Text("→ ", colour) + Text(plain(finding.fix)))


def _rate(measures: Measures) -> str | None:
    """Tokens where they were reported, else pieces of output, a second."""
    if measures.tokens_per_second is not None:
        return f"{measures.tokens_per_second:,.1f} tokens/s"
    if measures.outputs_per_second is not None:
        return f"{measures.outputs_per_second:,.1f} pieces/s"
    return None


def _rows(capture: Capture, measures: Measures) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if measures.first_byte is not None:
        rows.append(("first byte", milliseconds(measures.first_byte)))
    if measures.first_event is not None:
        rows.append(("first event", milliseconds(measures.first_event)))
    if measures.first_token is not None:
        rows.append(("first token", milliseconds(measures.first_token)))
    if measures.last_token is not None:
        rows.append(("last token", milliseconds(measures.last_token)))
    rows.append(("end", f"{milliseconds(measures.ended)}, {_ending(capture, measures)}"))
    if measures.outputs:
        speed = _rate(measures)
        told = f"{measures.outputs} pieces, {measures.characters:,} characters"
        rows.append(("output", f"{told}, {speed}" if speed else told))
    if gaps := measures.gaps:
        told = f"p50 {milliseconds(gaps.p50)}, p90 {milliseconds(gaps.p90)}, p99 {milliseconds(gaps.p99)}"
        rows.append(("gaps", f"{told}, longest {milliseconds(gaps.longest)}"))
        rows.append(("stalls", _stalls(measures)))
    if usage := measures.usage:
        parts = [f"{usage.input_tokens:,} in"]
        if usage.cached_input_tokens:
            parts[-1] += f" ({usage.cached_input_tokens:,} cached)"
        parts.append(f"{usage.output_tokens:,} out")
        if usage.reasoning_tokens:
            parts[-1] += f" ({usage.reasoning_tokens:,} reasoning)"
        rows.append(("usage", f"{', '.join(parts)}, {usage.total_tokens:,} tokens in all"))
    elif measures.outputs:
        rows.append(("usage", "not reported"))
    if measures.reads:
        rows.append(("reads", f"{measures.reads:,}, {measures.bytes:,} bytes, {measures.events:,} events"))
    return rows


def _stalls(measures: Measures) -> str:
    if not measures.stalls:
        return "none"
    shown = [f"{milliseconds(stall.length)} after piece {stall.after}" for stall in measures.stalls[:3]]
    more = len(measures.stalls) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "")


def _ending(capture: Capture, measures: Measures) -> str:
    how = {
        "complete": "complete",
        "closed": "broken off",
        "reset": "broken off",
        "timed_out": "timed out",
        "unreachable": "not reached",
        "not_http": "not HTTP",
        "refused": "an error of the SDK",
        "interrupted": "stopped here",
    }[capture.ended.how]
    return f"{how}, finish reason {measures.finish}" if measures.finish else how


def _all_well(capture: Capture) -> str:
    if capture.began.via == "sdk":
        return "Nothing odd: the SDK handed it over as it came, and the answer finished."
    return "Nothing odd: events came one after another, all readable, and the stream ended as it should."


def _indented(console: Console, columns: int, text: Text) -> None:
    for line in fitted(text, console.width - columns) if console.is_terminal else [text]:
        console.print(Text(" " * columns) + line, soft_wrap=True)

"""Draws a call for people: a line for each step beside an axis of time, then when the answer's pieces came."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..records import CallRecord, Trace
from ..traces import longest_gaps, steps_of
from .output import new_console

__all__ = ["draw"]

# The axis takes what words leave; beyond this it says no more.
_AXIS_SHARE, _LEAST_AXIS, _MOST_AXIS = 4, 12, 30
_BARS = " ▁▂▃▄▅▆▇█"
_GAPS = 3


def draw(record: CallRecord, *, with_headers: bool) -> None:
    console = new_console()
    axis = max(_LEAST_AXIS, min(_MOST_AXIS, console.width // _AXIS_SHARE))
    parts: list[RenderableType] = [_title(record), _steps(record, axis)]
    if record.trace is not None and len(record.trace.arrivals) > 1:
        parts.append(_arrivals(record.trace, min(console.width, 2 * _MOST_AXIS)))
    if with_headers and record.trace is not None:
        parts += _headers(record.trace)
    _print(console, parts)


def _print(console: Console, parts: list[RenderableType]) -> None:
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part)


def _title(record: CallRecord) -> Text:
    started = f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"
    why = f", traced because it {_reasons(record.trace)}" if record.trace is not None else ""
    return Text(f"{record.call_id}, {started}{why}")


def _reasons(trace: Trace) -> str:
    said = {"asked": "had a debug token", "sampled": "was sampled", "failed": "failed", "slow": "was slow"}
    return " and ".join(said[reason] for reason in trace.reasons)


def _steps(record: CallRecord, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("step", no_wrap=True)
    table.add_column(f"0 … {record.latency_ms:,.1f} ms", width=width, no_wrap=True)
    table.add_column("", overflow="fold")
    for step in steps_of(record):
        axis = Text(_bar(step.at_ms, step.until_ms, record.latency_ms, width))
        table.add_row(f"{step.at_ms:,.1f}", step.source, axis, Text(step.message))
    return table


def _bar(start: float, end: float | None, whole: float, width: int) -> str:
    """A moment, or a time from start to end, on an axis of so many characters."""
    first = _place(start, whole, width)
    last = _place(end, whole, width) if end is not None else first
    mark = "━" * (last - first + 1) if last > first else "╸" if end is not None and end > start else "●"
    return " " * first + mark


def _place(moment: float, whole: float, width: int) -> int:
    return max(0, min(width - 1, int(moment / whole * width))) if whole > 0 else 0


def _arrivals(trace: Trace, width: int) -> Group:
    """How many pieces came when, from the first to the last, and where there were none."""
    first, last = trace.arrivals[0][0], trace.arrivals[-1][0]
    counts = [0] * width
    for moment, _ in trace.arrivals:
        counts[_place(moment - first, last - first, width)] += 1
    most = max(counts)
    # A place where anything came is never drawn as empty.
    line = "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts)
    left_out = f", {trace.arrivals_left_out:,} more are not listed" if trace.arrivals_left_out else ""
    head = f"{len(trace.arrivals):,} pieces from {first:,.1f} to {last:,.1f} ms{left_out}"
    gaps = longest_gaps(trace.arrivals, _GAPS)
    told = "; ".join(f"{gap.lasted_ms:,.1f} ms from {gap.after_ms:,.1f} ms on" for gap in gaps)
    return Group(Text(head), Text(line), Text(f"longest pauses: {told}"))


def _headers(trace: Trace) -> list[RenderableType]:
    parts: list[RenderableType] = [_lines("the request's headers", trace.request_headers)]
    for number, attempt in enumerate(trace.attempts, 1):
        if attempt.status is not None:
            backend = trace.targets[attempt.target].backend
            parts.append(_lines(f"the headers of answer {number}, {attempt.status} from {backend}", attempt.headers))
    return parts


def _lines(title: str, headers: list[tuple[str, str]]) -> Group:
    return Group(Text(title), *(Text(f"  {name}: {value}") for name, value in headers))

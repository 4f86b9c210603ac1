"""Many calls: a progress display while they run, then one column for each way that was called."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from rich import box
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ...stopwatch import (
    Capture,
    Finding,
    Measures,
    Moment,
    Spread,
    TimedEvent,
    difference,
    milliseconds,
    spread_of,
)
from .summary import print_finding, width_of
from .view import plain, timeline
from .wrapping import print_fitted

__all__ = ["ManyView"]


class _Call(msgspec.Struct, frozen=True):
    """One that is over."""

    capture: Capture
    measures: Measures
    findings: list[Finding]

    @property
    def is_well(self) -> bool:
        return self.capture.ended.how == "complete" and all(finding.weight != "bad" for finding in self.findings)


_Number = Callable[[_Call], float | None]


def _connected(call: _Call) -> float | None:
    connected = call.capture.connected
    return connected.lookup + connected.connect + (connected.tls or 0.0) if connected else None


_TIMES: list[tuple[str, _Number]] = [
    ("connected", _connected),
    ("first byte", lambda call: call.measures.first_byte),
    ("first token", lambda call: call.measures.first_token),
    ("last token", lambda call: call.measures.last_token),
    ("gap p50", lambda call: call.measures.gaps.p50 if call.measures.gaps else None),
    ("gap p99", lambda call: call.measures.gaps.p99 if call.measures.gaps else None),
    ("longest gap", lambda call: call.measures.gaps.longest if call.measures.gaps else None),
]
_RATES: list[tuple[str, _Number]] = [
    ("tokens/s", lambda call: call.measures.tokens_per_second),
    ("pieces/s", lambda call: call.measures.outputs_per_second),
]


class ManyView:
    """``labels`` names the column of each planned call."""

    def __init__(self, console: Console, progress: Console, labels: Sequence[str]) -> None:
        self._console = console
        self._labels = labels
        self._columns: dict[str, list[_Call]] = {label: [] for label in labels}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=progress,
            transient=True,
            disable=not progress.is_terminal,
        )
        self._task = self._progress.add_task("calls", total=len(labels))
        self._events = 0
        self._progress.start()

    def moment(self, number: int, moment: Moment, events: list[TimedEvent]) -> None:
        self._events += len(events)
        self._progress.update(self._task, description=f"{self._events:,} events")

    def call(self, number: int, capture: Capture, measures: Measures, findings: list[Finding]) -> None:
        self._columns[self._labels[number]].append(_Call(capture, measures, findings))
        self._progress.advance(self._task)

    def close(self) -> None:
        self._progress.stop()
        columns = {label: calls for label, calls in self._columns.items() if calls}
        if len(columns) == 1:
            self._print_one(*columns.values())
        elif columns:
            self._print_beside(columns)
        for label, calls in columns.items():
            self._print_drawing(label, calls, max(call.measures.ended for each in columns.values() for call in each))
        self._print_findings(columns)

    def _print_one(self, calls: list[_Call]) -> None:
        table = _table("", "least", "median", "p90", "most")
        for name, number in _rows(calls):
            spread = spread_of(map(number, calls))
            if spread is not None:
                values = (spread.least, spread.median, spread.p90, spread.most)
                table.add_row(name, *(_with_unit(name, value) for value in values))
        self._console.print(Text(_count(calls), "bold"))
        self._console.print(table)

    def _print_beside(self, columns: dict[str, list[_Call]]) -> None:
        table = self._beside(columns, list(columns), "difference")
        if self._console.is_terminal and _width(self._console, table) > self._console.width:
            short = [str(number) for number in range(1, len(columns) + 1)]
            for number, label in zip(short, columns, strict=True):
                print_fitted(self._console, Text(f"{number}  {plain(label)}", "bold"), hang=3)
            table = self._beside(columns, short, "2 − 1")
        self._console.print(table)
        calls = [
            spread.count for calls in columns.values() if (spread := spread_of(call.measures.ended for call in calls))
        ]
        if len(columns) == 2 and min(calls) < 5:
            told = "Too few calls to tell a difference from chance; --repeat 10 tells more."
            print_fitted(self._console, Text(told, "dim"))
        elif len(columns) == 2:
            told = "Medians, and the middle half of the calls. ≈: the middle halves overlap, so it may be chance."
            print_fitted(self._console, Text(told, "dim"))

    def _beside(self, columns: dict[str, list[_Call]], names: list[str], difference: str) -> Table:
        """A column for each way that was called, under these names."""
        table = _table("", *names, *([difference] if len(columns) == 2 else []))
        table.add_row("calls", *map(_count, columns.values()), *([""] if len(columns) == 2 else []))
        for name, number in _rows([call for calls in columns.values() for call in calls]):
            cells = [_cell(name, spread_of(map(number, calls))) for calls in columns.values()]
            if len(columns) == 2:
                first, second = ([number(call) for call in calls] for calls in columns.values())
                cells.append(_difference(name, first, second))
            table.add_row(name, *cells)
        return table

    def _print_drawing(self, label: str, calls: list[_Call], until: float) -> None:
        """Of the call in the middle by its first token; all on one scale."""
        told = sorted((call for call in calls if call.measures.first_token is not None), key=_first_token)
        if not told:
            return
        middle = told[(len(told) - 1) // 2]
        times = [event.at for event in middle.capture.events if event.frame.is_output]
        self._console.print()
        line = f"{plain(label)}: first token {milliseconds(times[0])}, end {milliseconds(middle.measures.ended)}"
        print_fitted(self._console, Text(line, "dim"))
        self._console.print(Text(timeline(times, until, width_of(self._console)), "cyan"), soft_wrap=True)

    def _print_findings(self, columns: dict[str, list[_Call]]) -> None:
        """Each kind once a column, with how many calls had it, in the words of the first of them."""
        self._console.print()
        anything = False
        for label, calls in columns.items():
            counts = Counter(finding.code for call in calls for finding in call.findings)
            firsts = {finding.code: finding for call in reversed(calls) for finding in call.findings}
            for code, count in counts.most_common():
                anything = True
                of_calls = f", {count} of {len(calls)} calls" if len(calls) > 1 else ""
                print_finding(self._console, firsts[code], f"{label}{of_calls}: ")
        if not anything:
            self._console.print(Text("✓ ", "green") + Text("Nothing odd in any of them."))


def _rows(calls: list[_Call]) -> list[tuple[str, _Number]]:
    """The numbers that any call has; tokens make pieces superfluous."""
    rates = [(name, number) for name, number in _RATES if any(map(number, calls))][:1]
    return [row for row in (*_TIMES, *rates) if any(row[1](call) is not None for call in calls)]


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        justify: JustifyMethod = "right" if index else "left"
        table.add_column(Text(plain(column)), justify=justify, overflow="fold", no_wrap=index == 0)
    return table


def _width(console: Console, table: Table) -> int:
    """Columns that a table takes where nothing in it is folded."""
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def _count(calls: list[_Call]) -> str:
    well = sum(call.is_well for call in calls)
    return f"{len(calls)}, all well" if well == len(calls) else f"{len(calls)}, {len(calls) - well} bad"


def _cell(name: str, spread: Spread | None) -> str:
    """``26.8 (26.7 – 27.1) ms``: the median and the middle half, in one unit."""
    if spread is None:
        return "–"
    if spread.count == 1:
        return _with_unit(name, spread.median)
    factor, decimals, unit = _unit(name, spread.p75)
    median, low, high = (f"{value * factor:,.{decimals}f}" for value in (spread.median, spread.p25, spread.p75))
    return f"{median} ({low} – {high}){unit}"


def _difference(name: str, first: Sequence[float | None], second: Sequence[float | None]) -> str:
    told = difference(first, second)
    if told is None:
        return "–"
    sign = "+" if told.amount >= 0 else "−"
    return f"{'≈ ' if told.is_clear is False else ''}{sign}{_with_unit(name, abs(told.amount))}"


def _with_unit(name: str, value: float) -> str:
    factor, decimals, unit = _unit(name, value)
    return f"{value * factor:,.{decimals}f}{unit}"


def _unit(name: str, value: float) -> tuple[int, int, str]:
    """The factor, the decimals and the unit in which a number is shown; as ``milliseconds`` has it for times."""
    if name in dict(_RATES):
        return 1, 1, ""
    if value >= 0.9995:
        return 1, 2, " s"
    return 1000, 0 if value >= 0.1 else 1, " ms"


def _first_token(call: _Call) -> float:
    return call.measures.first_token or 0.0

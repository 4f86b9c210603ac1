"""A run as Markdown for the documentation, and as JSON for programs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .contenders import CONTENDERS
from .results import Case, Results
from .scenario import Scenario
from .targets import TARGETS

__all__ = ["Header", "as_json", "as_markdown", "markdown_table"]

_NOTHING = "–"
_HOSTS = {kind.name for kind in CONTENDERS if kind.is_asked_for}
_REASON = 400
"""Characters of a failure's reason; all of it is in the JSON, and was shown when it happened."""
_METHOD = """
Every gateway runs alone on core 0, with all its processes; the load client and the upstream share core 1;
all traffic is HTTP/1.1 on loopback, with kept-alive connections on both sides. nginx has one worker and
Envoy one thread, with logging, statistics and buffering off as far as they go: they are bare proxies.
Tokenweir checks keys, meters, asks for usage on every stream, and keeps its journal and its ledger. CPU is
user and system time of the processes that serve the data port, divided by what was completed, nothing
subtracted; “aside” is that of the gateway's other processes (Tokenweir's books and supervisor). Memory is
resident memory of the processes that serve. Contenders take turns within a round; tables show the median of
the rounds and, in brackets, the least and the most; ratios and differences are taken within a round.
"""

Cell = Callable[[Results, Case, str], str]


@dataclass(frozen=True)
class Header:
    """What is said before the numbers."""

    machine: dict[str, str]
    versions: list[str]
    notes: list[str]
    """What was left out, and why."""


def _number(value: float | None, digits: int) -> str:
    return _NOTHING if value is None else f"{value:,.{digits}f}"


def _median(key: str, digits: int) -> Cell:
    return lambda results, case, who: _number(results.median(case, who, key), digits)


def _spread(key: str) -> Cell:
    """Median, and in brackets the least and the most of the rounds."""

    def cell(results: Results, case: Case, who: str) -> str:
        values = results.values(case, who, key).values()
        middle = _number(results.median(case, who, key), 1)
        return f"{middle} ({min(values):,.1f}–{max(values):,.1f})" if len(values) > 1 else middle

    return cell


def _against(other: str) -> Cell:
    return lambda results, case, who: _number(results.ratio(case, who, other, "cpu_us"), 2)


def _against_serve(results: Results, case: Case, who: str) -> str:
    """Of the hosts that run Tokenweir as an application."""
    return _against("tokenweir")(results, case, who) if who in _HOSTS else _NOTHING


def _added(key: str) -> Cell:
    def cell(results: Results, case: Case, who: str) -> str:
        if who == "direct":
            return f"({_number(results.median(case, who, key), 2)})"
        return _number(results.difference(case, who, "direct", key), 2)

    return cell


def _costs(unit: str) -> dict[str, Cell]:
    return {
        f"CPU µs per {unit}": _spread("cpu_us"),
        "× nginx": _against("nginx"),
        "× Envoy": _against("envoy"),
        "× serve": _against_serve,
        f"{unit}s per s": _median("per_second", 0),
        "memory MB": _median("resident_mb", 0),
        f"aside, µs per {unit}": _median("aside_us", 1),
    }


COLUMNS: dict[str, dict[str, Cell]] = {
    "requests": _costs("answer"),
    "streams": _costs("event") | {"alone": _median("alone", 2)},
    "flood": _costs("event"),
    "latency": {
        "answer p50, ms": _added("p50_ms"),
        "answer p99, ms": _added("p99_ms"),
        "first byte p50, ms": _added("first_p50_ms"),
        "first byte p99, ms": _added("first_p99_ms"),
    },
    "open": _costs("event") | {"KB per stream": _median("stream_kb", 1), "alone": _median("alone", 2)},
}


def as_markdown(header: Header, scenarios: Sequence[Scenario], results: Results) -> str:
    parts = [_heading(header)]
    if any(sample.contender == "tokenweir" for sample in results.samples):
        parts.append(_targets(results))
    for scenario in scenarios:
        tables = [
            f"With {'a TLS' if tls else 'a plain'} upstream:\n\n{table}"
            for tls in (False, True)
            if (table := _table(scenario, results, tls=tls))
        ]
        if tables:
            parts += [f"### {scenario.title}\n\n{scenario.method}", *tables]
    if results.failures:
        parts.append("### What failed\n\n" + _list(_failures(results)))
    return "\n\n".join(parts) + "\n"


def as_json(header: Header, results: Results) -> dict[str, Any]:
    targets = [
        {"promise": target.promise, "limit": target.limit, "measured": target.measured(results)} for target in TARGETS
    ]
    return {**asdict(header), "targets": targets, **asdict(results)}


def _heading(header: Header) -> str:
    machine = "; ".join(f"{name}: {value}" for name, value in header.machine.items())
    parts = [f"Machine: {machine}.", f"Versions: {'; '.join(header.versions)}.", " ".join(_METHOD.split())]
    return "\n\n".join(parts + ([_list(header.notes)] if header.notes else []))


def _targets(results: Results) -> str:
    rows = []
    for target in TARGETS:
        measured = target.measured(results)
        verdict = _NOTHING if measured is None else "kept" if measured <= target.limit else "**missed**"
        value = _NOTHING if measured is None else f"{measured:.2f}{target.unit}"
        rows.append([target.promise, f"{target.limit:g}{target.unit}", value, verdict])
    return "### Targets\n\n" + markdown_table(["Tokenweir's", "at most", "measured", ""], rows)


def _table(scenario: Scenario, results: Results, *, tls: bool) -> str:
    columns = COLUMNS[scenario.name]
    rows = [
        [f"{size:,}", who, *(cell(results, case, who) for cell in columns.values())]
        for size in scenario.sizes
        for case in [Case(scenario.name, tls, size)]
        for who in results.contenders(case)
    ]
    shown = [n for n in range(len(columns) + 2) if any(row[n] != _NOTHING for row in rows)]
    titles = [scenario.size_is, "gateway", *columns]
    return markdown_table([titles[n] for n in shown], [[row[n] for n in shown] for row in rows]) if rows else ""


def _failures(results: Results) -> Iterable[str]:
    for failure in results.failures:
        case = failure.case
        upstream = "TLS" if case.tls else "plain"
        what = f"{failure.contender}, {case.scenario} {case.size}, {upstream} upstream"
        yield f"{what}: {_end_of(failure.reason)}"


def _end_of(reason: str) -> str:
    # What comes last in a log or a traceback says most.
    return reason if len(reason) <= _REASON else f"… {reason[-_REASON:]}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---", "---", *("--:" for _ in titles[2:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

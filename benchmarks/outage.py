"""``python -m benchmarks.outage``: an Event Hub goes away under load. What do the callers notice, and what is lost?

The gateway has one core; the client, the simulated upstream and the hub (the tests' emulator, a process that really
ends and comes back on the same port) share the other. The client is open-loop: so many calls a second, half of them
streams of 20 chunks that are 10 ms apart. Besides, ten calls a second go to the simulator without the gateway: where
those take longer, too, it is the machine.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import sleep
from typing import Any

import duckdb
import msgspec

from tokenweir.journal import bytes_behind

from .calls import CONTROL
from .delivered import Arrival, Delivery, check, read_arrivals
from .hub import HUB
from .load import percentile
from .machine import describe_machine
from .parts import Hub, Served, hub, run_folder, served, simulator
from .processes import INTERRUPTED, LOAD_CORE, free_port, leave_on_signals, python_module, talking
from .report import markdown_table
from .results import Results
from .watching import CURSOR, Moment, Watch, now, summed_up

_SINK = f'kind = "event_hubs"\nconnection = {{ connection_string_env = "BENCH_HUB", hub = "{HUB}" }}'
_BUSY_PART = 12
"""The last part of an outage in which the hub is back, and takes nothing: server-busy."""
_STEADY_LAG = 2.0
"""Seconds between a call's end and its event in the hub; who is quicker than that is not behind."""
_LAST_SECONDS = 120.0
_LINES = 16
"""Of the table over time."""


@dataclass(frozen=True)
class CatchingUp:
    """How one outage was made up for."""

    silence: float
    """Seconds from when the hub took events again to the first one."""
    seconds: float
    """From the first one until nothing was behind any more."""
    events: int


@dataclass(frozen=True)
class Outcome:
    """Everything a run has found out."""

    machine: dict[str, str]
    results: Results
    moments: list[Moment]
    catching_up: list[CatchingUp]
    lags: list[float]
    """While the hub was up, in seconds."""
    delivery: Delivery
    answered: int
    """By the simulator, and asked through the gateway."""
    answered_missing: int
    """Of these, in the hub."""
    kept: int
    """Calls in the gateway's own ledger."""


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    leave_on_signals()
    os.sched_setaffinity(0, {LOAD_CORE})
    machine = describe_machine()
    try:
        with run_folder() as run:
            outcome = measure(run, options, machine)
    except KeyboardInterrupt:
        _say("interrupted: everything was stopped, and there is nothing to report")
        return INTERRUPTED
    print(as_markdown(outcome, options))
    if options.json:
        options.json.write_text(json.dumps(as_json(outcome), indent=1) + "\n")
    return 0 if outcome.delivery.is_perfect and not outcome.answered_missing else 1


def measure(run: Path, options: argparse.Namespace, machine: dict[str, str]) -> Outcome:
    port = free_port()
    with ExitStack() as stack:
        upstream = stack.enter_context(simulator(run))
        hubs = Hubs(run, port)
        hubs.start()
        stack.callback(hubs.stop)
        assert hubs.now is not None
        with served(
            run / "gateway", upstream, _SINK, callers=options.callers, secret=hubs.now.connection_string
        ) as gateway:
            asked = ("--rate", options.rate, "--callers", options.callers, "--control", upstream.port)
            with talking(python_module("calls", gateway.port, *asked), LOAD_CORE) as lines:
                client = next(lines)["pid"]
                watch = Watch(lines, gateway, hub=hubs.now)
                _go_through(watch, hubs, options)
                os.kill(client, signal.SIGTERM)
                for _ in lines:
                    pass
            _wait_for_the_last(gateway)
        hubs.stop()
        asked_calls, kept_ids = _answered(upstream.ledger), _kept(run / "gateway" / "ledger.duckdb")
        arrivals = list(read_arrivals(hubs.files))
    return Outcome(
        machine=machine,
        results=summed_up(watch.moments, options.rate),
        moments=watch.moments,
        catching_up=[_caught_up(began, arrivals) for began in hubs.back_at],
        lags=sorted(_steady_lags(watch.moments, arrivals)),
        delivery=check(arrivals, kept_ids),
        answered=len(asked_calls),
        answered_missing=len(asked_calls - {arrival.upstream_id for arrival in arrivals}),
        kept=len(kept_ids),
    )


class Hubs:
    """The hub's processes, one after the other, on one port; what each of them kept is a file."""

    def __init__(self, run: Path, port: int) -> None:
        self._run, self._port = run, port
        self._stack = ExitStack()
        self.now: Hub | None = None
        self.files: list[Path] = []
        self.back_at: list[float] = []
        """When the hub took events again, after each outage."""

    def start(self, busy: float = 0) -> Hub:
        self.files.append(self._run / f"hub-{len(self.files)}")
        options = ("--port", self._port, "--keep", self.files[-1], "--busy", busy)
        self.now = self._stack.enter_context(hub(*options))
        return self.now

    def stop(self) -> None:
        self.now = None
        self._stack.close()


def _go_through(watch: Watch, hubs: Hubs, options: argparse.Namespace) -> None:
    watch.phase("warm-up", 0, options.warm_up)
    watch.phase("hub up", 0, options.before * 60)
    for turn in range(options.rounds):
        busy = options.minutes * 60 / _BUSY_PART
        hubs.stop()
        watch.hub = None
        watch.phase("hub gone", turn, options.minutes * 60 - busy)
        watch.hub = hubs.start(busy)
        watch.phase("hub busy", turn, busy)
        hubs.back_at.append(now())
        watch.phase("catching up", turn, 1, watch.has_caught_up)
        watch.phase("hub up", turn + 1, options.before * 60)


def _wait_for_the_last(gateway: Served) -> None:
    deadline = now() + _LAST_SECONDS
    while bytes_behind(gateway.journal, CURSOR) and now() < deadline:
        sleep(0.1)


def _answered(ledger: Path) -> set[str]:
    """The ids of the simulator's answers to the gateway; the control's calls have none of its keys."""
    decode = msgspec.json.Decoder(_Answered).decode
    with ledger.open("rb") as file:
        return {call.id for call in map(decode, file) if call.client_request_id != CONTROL and call.api != "other"}


class _Answered(msgspec.Struct):
    id: str
    api: str = "other"
    client_request_id: str | None = None


def _kept(file: Path) -> set[str]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return {call_id for (call_id,) in connection.execute("SELECT call_id FROM calls").fetchall()}


def _caught_up(back_at: float, arrivals: Sequence[Arrival]) -> CatchingUp:
    later = sorted((one for one in arrivals if one.came >= back_at - 1), key=lambda one: one.came)
    events = next((number for number, one in enumerate(later) if one.lag < _STEADY_LAG), len(later))
    if not later:
        return CatchingUp(0.0, 0.0, 0)
    last = later[max(events - 1, 0)]
    return CatchingUp(later[0].came - back_at, last.came - later[0].came, events)


def _steady_lags(moments: Sequence[Moment], arrivals: Sequence[Arrival]) -> Iterator[float]:
    up = {int(moment.at) for moment in moments if moment.phase == "hub up"}
    return (one.lag for one in arrivals if int(one.came) in up)


def as_markdown(outcome: Outcome, options: argparse.Namespace) -> str:
    lines = [f"- {name}: {value}" for name, value in outcome.machine.items()]
    lines.append(
        f"\n{options.rate:g} calls a second of {options.callers} callers; {options.rounds} × {options.minutes:g} "
        "minutes without a hub, the last twelfth of it busy. Medians of the rounds, and in brackets the least and the "
        "most.\n"
    )
    lines += [_phases(outcome.results), "", _over_time(outcome.moments), "", *_arrived(outcome), "", _NOT_PROVED]
    return "\n".join(lines)


_COLUMNS = {
    "minutes": ("minutes", 1),
    "calls/s": ("per_second", 1),
    "failed": ("errors", 0),
    "answer p50, ms": ("answer_ms_p50", 2),
    "p99": ("answer_ms_p99", 1),
    "first byte p50, ms": ("first_byte_ms_p50", 2),
    "its p99": ("first_byte_ms_p99", 1),
    "without gateway p50, ms": ("control_ms_p50", 2),
    "its p99 ": ("control_ms_p99", 1),
    "relay CPU, µs a call": ("relay_us", 0),
    "books CPU, % of a core": ("books_percent", 1),
    "load": ("load", 1),
}
_NOT_PROVED = (
    "Not shown: the real service, whose throttling and throughput units set the pace of catching up, and a network "
    "that loses packets without refusing connections. The hub here confirms at once."
)


def _phases(results: Results) -> str:
    [case] = {sample.case for sample in results.samples}
    rows = [
        [phase, *(_spread(results.values(case, phase, key), digits) for key, digits in _COLUMNS.values())]
        for phase in results.contenders(case)
    ]
    return markdown_table(["phase", *_COLUMNS], rows)


def _spread(values: dict[int, float], digits: int) -> str:
    found = list(values.values())
    if not found:
        return "–"
    middle = f"{median(found):,.{digits}f}"
    return f"{middle} ({min(found):,.{digits}f}–{max(found):,.{digits}f})" if len(found) > 1 else middle


def _over_time(moments: Sequence[Moment]) -> str:
    began = moments[0].at
    step = max(1, len(moments) // _LINES)
    rows = [
        [
            f"{(one.at - began) / 60:.1f}",
            one.phase,
            *(f"{size / 1e6:,.0f}" for size in (one.relay_bytes, one.books_bytes, one.journal_bytes)),
            f"{one.behind_bytes / 1e6:,.1f}",
        ]
        for one in moments[step - 1 :: step]
    ]
    return markdown_table(["minute", "phase", "relay MB", "books MB", "journal MB", "not yet sent MB"], rows)


def _arrived(outcome: Outcome) -> Iterator[str]:
    delivery = outcome.delivery
    yield (
        f"- The simulator answered {outcome.answered:,} calls, the gateway's ledger has {outcome.kept:,}, the hub "
        f"{delivery.arrivals - delivery.repeated:,}. Missing in the hub: {outcome.answered_missing:,} of the answered, "
        f"{delivery.missing:,} of the ledger's. Unknown: {delivery.unknown:,}. Came twice: {delivery.repeated:,}."
    )
    yield f"- Out of order within a caller: {delivery.out_of_order:,}; in several partitions: {delivery.astray:,}."
    if outcome.lags:
        p50, p99 = percentile(outcome.lags, 0.5), percentile(outcome.lags, 0.99)
        yield f"- From the call's end to the hub's confirmation, while it was up: p50 {p50:.2f} s, p99 {p99:.2f} s."
    for made_up in outcome.catching_up:
        rate = made_up.events / made_up.seconds if made_up.seconds else 0
        yield (
            f"- When the hub took events again, the first came after {made_up.silence:.1f} s, and after "
            f"{made_up.seconds:.1f} s more all {made_up.events:,} that had been waiting: {rate:,.0f} a second."
        )


def as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "machine": outcome.machine,
        "samples": [msgspec.to_builtins(sample) for sample in outcome.results.samples],
        "delivery": msgspec.to_builtins(outcome.delivery),
        "answered": outcome.answered,
        "answered_missing": outcome.answered_missing,
        "kept": outcome.kept,
        "catching_up": [msgspec.to_builtins(one) for one in outcome.catching_up],
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long the hub is gone [%(default)s]")
    parser.add_argument("--before", type=float, default=0.5, help="minutes with a hub around it [%(default)s]")
    parser.add_argument("--rounds", type=int, default=1, help="how often it goes [%(default)s]")
    parser.add_argument("--rate", type=float, default=200, help="calls a second [%(default)s]")
    parser.add_argument("--callers", type=int, default=20, help="[%(default)s]")
    parser.add_argument("--warm-up", type=float, default=10, metavar="SECONDS", help="not counted [%(default)s]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was measured there")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

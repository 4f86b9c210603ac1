"""``python -m benchmarks``: run scenarios, print tables. ``scripts/bench`` installs what they need."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .contenders import CONTENDERS, Contender, Site
from .machine import describe_machine
from .processes import INTERRUPTED, leave_on_signals, raise_file_limit
from .report import Header, as_json, as_markdown
from .results import Case, Failure, Results, Sample
from .scenario import SCENARIOS, Scenario, has_wrk, warm_up
from .site import CACHE, prepared_site


class Run:
    """One run of the benchmark: who takes part, in what, for how long."""

    def __init__(self, contenders: Sequence[Contender], site: Site, *, quick: bool, files: int) -> None:
        self._contenders, self._site, self._quick, self._files = contenders, site, quick, files
        self.results = Results()

    def go(self, scenarios: Sequence[Scenario], upstreams: Sequence[bool]) -> None:
        for scenario in scenarios:
            for tls in upstreams:
                if tls and self._quick and not scenario.quick_tls:
                    continue
                for turn in range(1 if self._quick else scenario.rounds):
                    for contender in self._contenders:
                        self._turn(scenario, contender, tls=tls, turn=turn)

    def _turn(self, scenario: Scenario, contender: Contender, *, tls: bool, turn: int) -> None:
        sizes = self._sizes(scenario, contender, tls=tls, turn=turn)
        for together in [[size] for size in sizes] if scenario.fresh else [sizes] if sizes else []:
            waiting = [Case(scenario.name, tls, size) for size in together]
            try:
                with contender.started(tls=tls) as gateway:
                    warm_up(gateway)
                    while waiting:
                        case = waiting[0]
                        values = scenario.measure(gateway, self._site, case.size, self._seconds(scenario))
                        self.results.samples.append(Sample(case, contender.name, turn, values))
                        _say(f"{_name(case)}, round {turn + 1}: {contender.name} {_brief(values)}")
                        del waiting[0]
            except RuntimeError as error:
                self.results.failures.extend(Failure(case, contender.name, str(error)) for case in waiting)
                _say(f"{_name(waiting[0])}, round {turn + 1}: {contender.name} FAILED: {error}")

    def _sizes(self, scenario: Scenario, contender: Contender, *, tls: bool, turn: int) -> list[int]:
        if contender.name == "direct" and not scenario.with_direct:
            return []
        if contender.is_slow and (tls or turn):
            return []
        sizes = set(scenario.sizes)
        sizes &= set(scenario.quick_sizes) if self._quick else sizes
        sizes &= set(scenario.slow_sizes) if contender.is_slow else sizes
        sizes &= set(scenario.tls_sizes) if tls else sizes
        return sorted(size for size in sizes if scenario.files_needed(size) <= self._files)

    def _seconds(self, scenario: Scenario) -> int:
        return 1 if self._quick else scenario.seconds


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    leave_on_signals()
    files = raise_file_limit()
    machine = describe_machine()
    with prepared_site(options.cache) as site:
        wanted = [kind(site) for kind in CONTENDERS if kind.name == "direct" or kind.name in options.only]
        notes = [f"{one.name} is left out: {reason}" for one in wanted if (reason := one.missing())]
        present = [one for one in wanted if not one.missing()]
        notes += _notes(options, present, files)
        for note in notes:
            _say(f"NOTE: {note}")
        run = Run(present, site, quick=options.quick, files=files)
        header = Header(machine, [one.version() for one in present], notes)
        was_interrupted = False
        try:
            run.go(options.scenario, options.upstream)
        except KeyboardInterrupt:
            was_interrupted = True
            header.notes.append("The run was interrupted; what it had measured by then is below.")
    print(as_markdown(header, options.scenario, run.results))
    if options.json:
        options.json.write_text(json.dumps(as_json(header, run.results), indent=1) + "\n")
    return INTERRUPTED if was_interrupted else 1 if run.results.failures else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [kind.name for kind in CONTENDERS if kind.name != "direct"]
    usual = [kind.name for kind in CONTENDERS if kind.name != "direct" and not kind.is_asked_for]
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Tokenweir beside nginx, Envoy and LiteLLM.")
    parser.add_argument("--quick", action="store_true", help="one short round at few sizes: about two minutes")
    parser.add_argument("--only", help=f"contenders, with commas between: {','.join(names)} [{','.join(usual)}]")
    parser.add_argument("--scenario", help=f"scenarios, with commas between: {','.join(scenarios)}")
    parser.add_argument("--upstream", choices=["plain", "tls", "both"], default="both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample there")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where contenders are installed [%(default)s]")
    options = parser.parse_args(arguments)
    options.only = _chosen(parser, "--only", options.only, names) if options.only else usual
    options.scenario = [scenarios[name] for name in _chosen(parser, "--scenario", options.scenario, [*scenarios])]
    options.upstream = {"plain": [False], "tls": [True], "both": [False, True]}[options.upstream]
    return options


def _chosen(parser: argparse.ArgumentParser, option: str, text: str | None, known: list[str]) -> list[str]:
    chosen = text.split(",") if text else known
    for name in chosen:
        if name not in known:
            parser.error(f"{option} knows {', '.join(known)}, not {name!r}")
    return chosen


def _notes(options: argparse.Namespace, present: Sequence[Contender], files: int) -> Iterator[str]:
    if options.quick:
        yield "A quick run: one short round at one size, no median to trust. It shows that things work."
    for one in present:
        if one.is_slow:
            yield (
                f"{one.name} is orders of magnitude slower, so its share is shorter: one round, plain "
                "upstream, at most 32 connections, one for latency, no thousands of streams."
            )
    if not has_wrk():
        yield "wrk is not installed: our own load client does its part, and may be what limits throughput."
    for scenario in options.scenario:
        too_many = [size for size in scenario.sizes if scenario.files_needed(size) > files]
        if too_many:
            yield f"{scenario.name} of {too_many} is left out: this user may open only {files} files."


def _name(case: Case) -> str:
    return f"{case.scenario} {case.size}, {'TLS' if case.tls else 'plain'} upstream"


def _brief(values: object) -> str:
    assert isinstance(values, dict)
    return ", ".join(f"{name} {value:.5g}" for name, value in values.items())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

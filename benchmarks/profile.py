"""``python -m benchmarks.profile``: one scenario against Tokenweir, under perf stat and under py-spy.

Two passes, because py-spy stops the process for each sample, and that would show in perf's counts.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .contenders import Gateway, Site, Tokenweir
from .processes import ROOT, environment, raise_file_limit, search_path
from .scenario import SCENARIOS, Scenario, warm_up
from .site import CACHE, prepared_site

_SAMPLES_PER_SECOND = 500


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == options.scenario)
    raise_file_limit()
    with prepared_site(options.cache) as site, Tokenweir(site).started(tls=options.tls) as gateway:
        warm_up(gateway)
        upstream = "TLS" if options.tls else "plain"
        print(f"{scenario.title}: {options.size} {scenario.size_is}, {upstream} upstream")
        if perf := shutil.which("perf", path=search_path()):
            with watched([perf, "stat", "-p", _pids(gateway), "--", "sleep", str(options.seconds)]):
                show(scenario, gateway, site, options)
        else:
            print("perf is not installed (apt-get install linux-perf): no counts.")
        with watched(_py_spy(options, gateway)):
            show(scenario, gateway, site, options)
    print(f"Wrote {options.out}.")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench profile", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the profile goes")
    parser.add_argument("--format", choices=["flamegraph", "raw", "speedscope"], default="flamegraph")
    parser.add_argument("--scenario", choices=[scenario.name for scenario in SCENARIOS], default="streams")
    parser.add_argument("--size", type=int, default=32, help="connections, or open streams [%(default)s]")
    parser.add_argument("--tls", action="store_true", help="with the TLS upstream")
    parser.add_argument("--seconds", type=int, default=5, help="of each of the two passes [%(default)s]")
    parser.add_argument("--native", action="store_true", help="show C frames, too; slows the process down more")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where py-spy may be installed [%(default)s]")
    options = parser.parse_args(arguments)
    options.py_spy = _find_py_spy(options.cache)
    if not options.py_spy:
        parser.error(f"py-spy is neither beside {sys.executable} nor in {options.cache / 'py-spy'}")
    options.out = options.out.resolve()
    return options


@contextmanager
def watched(command: Sequence[str]) -> Iterator[None]:
    """Run a tool that watches the gateway while the block puts load on it, then print what the tool says."""
    tool = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment(None)
    )
    try:
        yield
        said, _ = tool.communicate(timeout=60)
        print(said)
    finally:
        tool.kill()
        tool.wait()


def show(scenario: Scenario, gateway: Gateway, site: Site, options: argparse.Namespace) -> None:
    values = scenario.measure(gateway, site, options.size, options.seconds)
    print(", ".join(f"{name} {value:.5g}" for name, value in values.items()))


def _py_spy(options: argparse.Namespace, gateway: Gateway) -> list[str]:
    out = ["--output", str(options.out), "--format", options.format]
    how = ["--duration", str(options.seconds), "--rate", str(_SAMPLES_PER_SECOND), "--threads"]
    return [
        options.py_spy,
        "record",
        "--pid",
        str(gateway.pids[0]),
        *out,
        *how,
        *["--native"] * options.native,
    ]


def _find_py_spy(cache: Path) -> str | None:
    folders = [Path(sys.executable).parent, cache / "py-spy" / "bin"]
    return shutil.which("py-spy", path=":".join(map(str, folders)))


def _pids(gateway: Gateway) -> str:
    return ",".join(map(str, gateway.pids))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

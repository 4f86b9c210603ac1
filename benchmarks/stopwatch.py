"""``python -m benchmarks.stopwatch``: how far the delays that ``tokenweir stream`` shows are from the simulator's.

The simulator waits so long before each chunk of output, and the tool prints the gap before each. The difference holds
the simulator's timer (libuv's, in whole milliseconds), the kernel, loopback, and whatever else the machine does. The
simulator waits anew from each chunk, so that gaps have a schedule and points in time have none.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import monotonic, sleep

from tokenweir.stopwatch.measures import percentile

from .machine import describe_machine
from .processes import GATEWAY_CORE, LOAD_CORE, environment, free_port, running

TARGET_MS = 2.0
"""At p99, on a machine that does nothing else."""

_COMMAND = [sys.executable, "-m", "tokenweir"]
_SHOWN = re.compile(r"^ +[\d.]+ +([\d.]+) +[\d,]+  text ", re.MULTILINE)
_PATIENCE_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print(
        f"\nTool on core {GATEWAY_CORE}, simulator on core {LOAD_CORE}; {options.chunks} chunks a call, "
        f"{options.calls} calls a line. Milliseconds between the gap that is shown and the delay that was asked for; "
        "“busy” is how much of all cores was in use meanwhile, by whomever.\n\n"
        "| seen by | delay | gaps | p50 | p90 | p99 | most | within 2 ms at p99 | busy |\n"
        "|---|--:|--:|--:|--:|--:|--:|---|--:|"
    )
    with tempfile.TemporaryDirectory() as folder, _simulator(Path(folder) / "log") as url:
        for via in ("http", "sdk"):
            for delay in options.delays:
                before = _cpu_times()
                calls = [_errors(url, via, delay, options.chunks) for _ in range(options.calls)]
                busy, whole = (after - earlier for after, earlier in zip(_cpu_times(), before, strict=True))
                print(f"{_row(via, delay, sorted(chain.from_iterable(calls)))} {busy / whole:.0%} |", flush=True)
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopwatch", description=__doc__)
    parser.add_argument("--delays", type=int, nargs="+", default=[5, 20, 50], help="milliseconds [5 20 50]")
    parser.add_argument("--chunks", type=int, default=200, help="of output in a call [%(default)s]")
    parser.add_argument("--calls", type=int, default=5, help="[%(default)s]")
    return parser.parse_args(arguments)


def _cpu_times() -> tuple[int, int]:
    """Ticks that all cores were in use, and all ticks (proc(5), /proc/stat)."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _errors(url: str, via: str, delay: int, chunks: int) -> list[float]:
    """What the tool printed, less what was asked for, for each gap of one call."""
    script = {"output_tokens": chunks, "chunk_tokens": 1, "chunk_delay": f"{delay}ms"}
    told = ["--endpoint", url, "--via", via, "--header", f"x-simulate: {json.dumps(script)}"]
    command = ["taskset", "-c", str(GATEWAY_CORE), *_COMMAND, "stream", "Hello", *told]
    shown = subprocess.run(command, env=environment(None), stdout=subprocess.PIPE, text=True, check=True).stdout
    gaps = _SHOWN.findall(shown)
    if len(gaps) != chunks:
        raise RuntimeError(f"{len(gaps)} of {chunks} gaps were shown:\n{shown[-2000:]}")
    return [abs(float(gap) - delay) for gap in gaps]


def _row(via: str, delay: int, errors: list[float]) -> str:
    p99 = percentile(errors, 0.99)
    told = " | ".join(f"{value:.1f}" for value in (percentile(errors, 0.5), percentile(errors, 0.9), p99, errors[-1]))
    name = "raw HTTP" if via == "http" else "the SDK"
    return f"| {name} | {delay} ms | {len(errors):,} | {told} | {'yes' if p99 <= TARGET_MS else 'no'} |"


@contextmanager
def _simulator(log: Path) -> Iterator[str]:
    """``tokenweir simulate`` on its core, once it listens; gives its URL."""
    address = f"127.0.0.1:{free_port()}"
    with running([*_COMMAND, "simulate", "--listen", address], LOAD_CORE, log) as child:
        deadline = monotonic() + _PATIENCE_SECONDS
        while address not in log.read_text():
            if not child.is_alive or monotonic() > deadline:
                raise RuntimeError(f"the simulator did not start: {child.last_words()}")
            sleep(0.05)
        yield f"http://{address}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

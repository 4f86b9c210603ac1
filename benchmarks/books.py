"""``python -m benchmarks.books``: what the books process costs a record, with a ledger and some sinks behind it.

Records are written into a journal at a steady rate, as a relay does, and one books process reads them: CPU is user and
system time of that process, divided by the records. Sinks are files with the whole record.
"""

import argparse
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tokenweir.config import load
from tokenweir.serve.books import books_main

from .machine import describe_machine
from .measure import cpu_seconds
from .processes import ANY_CORE, python_module, talking

_WARM_UP_SECONDS = 3.0


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print(f"\n{options.rate:,.0f} records a second, {options.seconds:g} seconds, {options.prices} rows of prices\n")
    print("| sinks | CPU µs a record |\n|--:|--:|")
    for sinks in options.sinks:
        print(f"| {sinks} | {_measured(sinks, options):.1f} |", flush=True)
    return 0


def _measured(sinks: int, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory(prefix="books-", dir=Path.cwd()) as folder:
        config = Path(folder) / "tokenweir.toml"
        config.write_text(_config(sinks, options))
        loaded = load(config, {}, checked=False).config
        listener = socket.create_server(("127.0.0.1", 0))
        feeding = python_module("feeding", Path(folder) / "journal" / "fed", "--rate", options.rate)
        with talking(feeding, ANY_CORE) as lines:
            next(lines)
            supervisor, _ = os.pipe()  # it ends when this is closed, as a supervisor's would be
            books = multiprocessing.get_context("fork").Process(
                target=books_main, args=(loaded, config, listener, supervisor)
            )
            books.start()
            assert books.pid is not None
            time.sleep(_WARM_UP_SECONDS)
            began, before = time.perf_counter(), cpu_seconds([books.pid])
            time.sleep(options.seconds)
            seconds, used = time.perf_counter() - began, cpu_seconds([books.pid]) - before
            books.terminate()
            books.join()
        listener.close()
    records: float = options.rate * seconds
    return used / records * 1e6


def _config(sinks: int, options: argparse.Namespace) -> str:
    text = f'[journal]\ndirectory = "journal"\n[ledger]\nurl = "{options.ledger}"\n'
    for number in range(sinks):
        connection = f'path = "sink-{number}.jsonl"'
        text += f'[[sinks]]\nname = "s{number}"\nkind = "file"\nconnection = {{ {connection} }}\n'
    for number in range(options.prices):
        model = "gpt-4o*" if number == 0 else f"model-{number}*"
        text += f'[[prices]]\nmodel = "{model}"\ncurrency = "EUR"\ninput = "1"\noutput = "2"\n'
    return text


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.books", description=__doc__)
    parser.add_argument("--sinks", type=int, nargs="+", default=[0, 1, 3], help="how many sinks [%(default)s]")
    parser.add_argument("--rate", type=float, default=1000, help="records a second [%(default)s]")
    parser.add_argument("--seconds", type=float, default=10, help="[%(default)s]")
    parser.add_argument("--prices", type=int, default=0, help="rows of the price list, of which one fits [%(default)s]")
    parser.add_argument("--ledger", default="duckdb:ledger.duckdb", help="its URL, or none [%(default)s]")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m benchmarks.catching_up``: how long the books take for what journals hold after an outage of the ledger,
and in how much memory.

Records without bodies are written into a journal; then a process of its own, as `tokenweir usage` is, posts all of them
into a new ledger. Its memory is the most that was resident, its CPU user and system time.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from tokenweir.config import load
from tokenweir.journal import Journal, JournalSettings
from tokenweir.ledger import open_ledger
from tokenweir.records import SystemClock
from tokenweir.serve.books import catch_up

from .ledgers import record
from .machine import describe_machine


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print("\n| records | ledger | seconds | CPU seconds | MB resident, at most |\n|--:|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="catching-up-", dir=options.at) as folder:
        config = Path(folder) / "tokenweir.toml"
        config.write_text(f'[journal]\ndirectory = "journal"\n[ledger]\nurl = "{options.ledger}"\n')
        _write(Path(folder) / "journal/relay-0", options.records)
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_catch_up, args=(config, theirs))
        process.start()
        new, seconds, cpu, most = ours.recv()
        process.join()
    assert new == options.records
    print(f"| {new:,} | {options.ledger.partition(':')[0]} | {seconds:,.1f} | {cpu:,.1f} | {most:,.0f} |")
    return 0


def _write(directory: Path, count: int) -> None:
    """One record after the other, as a relay does; those that wait are never many."""
    journal = Journal.open(directory, JournalSettings(), SystemClock())
    for number in range(count):
        one = record(number, count)
        journal.append(msgspec.structs.replace(one, replica=journal.replica, seq=journal.next_seq()))
        while number % 10_000 == 0 and journal.status().waiting_records > 20_000:
            time.sleep(0.01)
    assert journal.close() == 0


def _catch_up(config: Path, told: Connection) -> None:
    loaded = load(config, {}, checked=False).config
    ledger = open_ledger(loaded.ledger.url)
    began, before = time.perf_counter(), time.process_time()
    new = catch_up(loaded, ledger)
    seconds, cpu = time.perf_counter() - began, time.process_time() - before
    ledger.close()
    told.send((new, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catching_up", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="how many [%(default)s]")
    parser.add_argument("--ledger", default="duckdb:ledger.duckdb", help="its URL [%(default)s]")
    parser.add_argument("--at", type=Path, metavar="DIRECTORY", help="where the files are meanwhile")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes records into a journal, so many a second, as a relay does: what is behind the journal without what is before.

Prints a JSON line for each second, and in the last one how much there was of each deployment.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import msgspec
import uvloop

from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import SystemClock, new_call_id

from .ledgers import record

_TICK = 0.005
_WINDOW = 1.0
_KINDS = 5_000


async def _feed(directory: Path, rate: float) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop.set)
    journal = Journal.open(directory, JournalSettings(), SystemClock())
    kinds = [record(number, _KINDS) for number in range(_KINDS)]
    calls, prompts, answers = Counter[str](), Counter[str](), Counter[str]()
    _say({"pid": os.getpid()})
    began = told = perf_counter()
    sent = said = 0
    while not stop.is_set():
        due = int((perf_counter() - began) * rate)
        for number in range(sent, due):
            kind = kinds[number % _KINDS]
            started = datetime.now(UTC) - timedelta(milliseconds=kind.latency_ms)
            journal.append(
                msgspec.structs.replace(
                    kind, call_id=new_call_id(), replica=journal.replica, seq=journal.next_seq(), started_at=started
                )
            )
            name = kind.deployment or ""
            calls[name] += 1
            prompts[name] += kind.usage.input_tokens
            answers[name] += kind.usage.output_tokens
        sent = max(sent, due)
        if (now := perf_counter()) - told >= _WINDOW:
            _say({"seconds": now - told, "calls": sent - said, "errors": 0})
            told, said = now, sent
        await asyncio.sleep(_TICK)
    lost = journal.close()
    totals = {name: [calls[name], prompts[name], answers[name]] for name in calls}
    _say({"seconds": perf_counter() - told, "calls": sent - said, "errors": lost, "totals": totals})


def _say(fields: dict[str, object]) -> None:
    print(json.dumps(fields), flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeding", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rate", type=float, default=1000)
    options = parser.parse_args(arguments)
    uvloop.run(_feed(options.directory, options.rate))


if __name__ == "__main__":
    main(sys.argv[1:])

"""``python -m benchmarks.statements``: what a month's statement, closing it, and rating it anew take, on each engine.

A million calls take a few minutes to post; what is measured grows with them. Ten million need some ten gigabytes.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

import msgspec

from tokenweir.delivery.pricer import Pricer
from tokenweir.pricing import PriceSettings
from tokenweir.records import CallRecord, SystemClock, from_fields
from tokenweir.statements import ReRating, StatementBooks, StatementSettings, WantedCalls

from .ledgers import ENGINES, Engine
from .machine import describe_machine
from .processes import leave_on_signals

_BATCH = 5_000
_CENTRES = 1_000
_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "o3")
_OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
_DAYS = 31
_METHOD = """
Calls are spread over October 2026, {centres:,} cost centres with five callers each, four models and two regions; each
has three lines (input, cached input, output). They are posted by `Ledger.post`, {batch:,} at a time, so that days are
closed as they go by. Then the statement of the month by cost centre is made, the month is closed and told again, and
all calls are rated anew by a list in which one price is another, so that every call is corrected; and once more, so
that none is.
"""


def prices(output: str) -> Pricer:
    return Pricer(
        [
            msgspec.convert(
                {"model": model, "currency": "EUR", "input": "2.50", "cached_input": "1.25", "output": output},
                PriceSettings,
                dec_hook=lambda kind, value: kind.parse(value),
            )
            for model in _MODELS
        ]
    )


def record(number: int, total: int) -> CallRecord:
    """One of so many calls, in the order of their time."""
    chance = Random(number)
    centre, prompt = chance.randrange(_CENTRES), chance.randrange(20, 4_000)
    model = _MODELS[number % len(_MODELS)]
    return from_fields(
        call_id=f"0199{number >> 16:04x}-{number & 0xFFFF:04x}-7abc-8def-0123456789ab",
        replica="gateway-1-relay-0-3f9a1c22d07b",
        seq=number,
        started_at=_OCTOBER + number / total * timedelta(days=_DAYS),
        api="chat_completions",
        operation="chat",
        method="POST",
        path=f"/openai/deployments/{model}/chat/completions",
        deployment=model,
        requested_model=model,
        response_model=model,
        caller=f"team-{centre}-{number % 5}",
        tags={"cost_centre": f"{centre:04}"},
        region=("swedencentral", "francecentral")[number % 2],
        sku="GlobalStandard",
        status=200,
        usage_source="reported",
        input_tokens=prompt,
        cached_input_tokens=prompt // 3,
        output_tokens=chance.randrange(1, 800),
        latency_ms=2_350.75,
    )


def measure(engine: Engine, rows: int) -> Iterator[tuple[str, float, float]]:
    """What was done, and its seconds: of the clock, and of this process's CPU."""
    ledger, old, new = engine.ledger, prices("10"), prices("12")
    done = int(ledger.position("benchmark") or 0)

    def fill() -> None:
        for start in range(done, rows, _BATCH):
            batch = [old(record(number, rows)) for number in range(start, min(rows, start + _BATCH))]
            ledger.post(batch, "benchmark", str(start + len(batch)))
        ledger.post([from_fields(call_id="next", started_at=datetime(2026, 11, 2, tzinfo=UTC))], "next", None)

    books = StatementBooks(ledger, StatementSettings(), SystemClock())
    wanted = WantedCalls(since=_OCTOBER, until=_OCTOBER + timedelta(days=_DAYS))

    def rerate() -> None:
        rating = ReRating(ledger, new, SystemClock())
        rated = rating.rate(wanted)
        assert rated.corrected in (0, rows), rated
        if rated.corrected:
            rating.book(rated, "benchmark")

    steps: list[tuple[str, Callable[[], Any]]] = [
        ("made, priced and posted", fill),
        (f"statement, {_CENTRES:,} cost centres", lambda: books.statement("2026-10", "cost_centre")),
        ("month closed", lambda: books.close("2026-10", "benchmark")),
        ("closed statement", lambda: books.statement("2026-10", "cost_centre")),
        ("rated anew, every call corrected", rerate),
        ("rated anew, none corrected", rerate),
        ("next statement, with adjustments", lambda: books.statement("2026-11", "cost_centre")),
    ]
    for name, step in steps:
        clock, cpu = perf_counter(), process_time()
        step()
        yield name, perf_counter() - clock, process_time() - cpu


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statements", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="calls [%(default)s]")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, with commas between [%(default)s]")
    options = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="tokenweir-statements-"))
    leave_on_signals()
    try:
        for name, value in describe_machine().items():
            print(f"- {name}: {value}")
        print(_METHOD.format(centres=_CENTRES, batch=_BATCH))
        print(f"| {options.rows:,} calls | engine | seconds | CPU of the process | calls/s |")
        print("| --- | --- | --: | --: | --: |")
        with ExitStack() as stack:
            for engine_name in options.engines.split(","):
                engine = stack.enter_context(ENGINES[engine_name](directory))
                for name, seconds, cpu in measure(engine, options.rows):
                    rate = f"{options.rows / seconds:,.0f}"
                    print(f"| {name} | {engine.name} | {seconds:,.2f} | {cpu:,.2f} | {rate} |", flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

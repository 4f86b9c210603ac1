"""``python -m benchmarks.chain``: from the end of a call to its row in the ledger on the other side, all parts on here.

Client, simulated upstream, gateways without a ledger, Kafka (tansu) or Event Hubs (the tests' emulator), consumers and
PostgreSQL share this machine, and nothing is pinned. PostgreSQL notes for each row when it was committed, by the clock
that the gateways have: the delay is that moment minus the record's end. It is taken just before the commit is written
to the disk, so a reader sees the row later by one write.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from .delivered import read_arrivals
from .hub import HUB
from .ledgers import Engine, postgres_engine
from .load import percentile
from .machine import describe_machine
from .measure import cpu_seconds, descendants
from .parts import SECRET, Served, broker, consumer, hub, new_topic, run_folder, served, simulator
from .processes import ANY_CORE, INTERRUPTED, leave_on_signals, python_module, talking
from .report import markdown_table
from .totals import Totals, answered, kept

_TOPIC = "records"
_PARTITIONS = 4
_CALLERS = 20
_PATIENCE = 60.0
_PROMISED = 2.0
"""Seconds within which 99 of 100 records are to be there."""


@dataclass(frozen=True)
class Wire:
    """What is between the two sides, and how each is told of it."""

    pid: int
    sink: str
    intake: str
    secret: str
    servers: str | None = None
    """Of Kafka."""
    kept: Path | None = None
    """Where the hub writes down what it had, when it ends."""


@dataclass(frozen=True)
class Load:
    """What was asked, as told by whoever asked."""

    per_second: float
    errors: int
    answers_ms: list[float]


@dataclass(frozen=True)
class Row:
    """Of the ledger; times in seconds since 1970."""

    call_id: str
    ended: float
    committed: float


@dataclass(frozen=True)
class Outcome:
    """Everything a run has found out."""

    load: Load
    rows: list[Row]
    sent: dict[str, float]
    """When the sink handed each call's message to its producer, or the hub took it."""
    cpu: dict[str, float]
    """Share of a core that each part took."""
    said: Totals
    kept: Totals


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    leave_on_signals()
    machine = describe_machine()
    try:
        with run_folder() as run:
            outcome = measure(run, options)
    except KeyboardInterrupt:
        _say("interrupted: everything was stopped, and there is nothing to report")
        return INTERRUPTED
    print(as_markdown(machine, outcome, options))
    return 0 if outcome.said == outcome.kept else 1


def measure(run: Path, options: argparse.Namespace) -> Outcome:
    with postgres_engine(run, {"track_commit_timestamp": "on"}) as database:
        with ExitStack() as stack:
            wire = stack.enter_context(_kafka() if options.wire == "kafka" else _event_hubs(run / "hub"))
            upstream = stack.enter_context(simulator(run, ANY_CORE))
            start = partial(served, callers=_CALLERS, secret=wire.secret, ledger="none", core=ANY_CORE)
            gateways = [
                stack.enter_context(start(run / f"gateway-{number}", upstream, wire.sink))
                for number in range(options.gateways)
            ]
            consumers = [
                stack.enter_context(consumer(run, f"consumer-{number}", database.url, wire.intake, wire.secret))
                for number in range(options.consumers)
            ]
            parts = {
                "relays": [pid for gateway in gateways for pid in gateway.pids],
                "books (sinks)": [pid for gateway in gateways for pid in gateway.aside()],
                options.wire: [wire.pid],
                "consumers": consumers,
                "PostgreSQL": _postgres(database),
                "simulator": [upstream.pid],
            }
            command = _feeding(gateways, options) if options.fed else _asking(gateways, options)
            with talking(command, ANY_CORE) as lines:
                load, cpu, said = _watch(lines, parts, options)
            if said is None:
                said = answered(upstream.ledger)
            _wait_for_all(database, sum(calls for calls, _, _ in said.values()))
            sent = asyncio.run(_messages(wire.servers)) if wire.servers else {}
        if wire.kept:
            sent = {arrival.call_id: arrival.came for arrival in read_arrivals([wire.kept])}
        return Outcome(load, _rows(database, options), sent, cpu, said, kept(database.ledger))


@contextmanager
def _kafka() -> Iterator[Wire]:
    with broker() as found:
        asyncio.run(new_topic(found.servers, _TOPIC, _PARTITIONS))
        place = f'servers = "{found.servers}", topic = "{_TOPIC}", tls = false'
        yield Wire(
            pid=found.pid,
            sink=f'kind = "kafka"\nconnection = {{ {place} }}',
            intake="\n".join(['kind = "kafka"', *place.split(", "), 'session_timeout = "6s"']),
            secret="",
            servers=found.servers,
        )


@contextmanager
def _event_hubs(kept: Path) -> Iterator[Wire]:
    with hub("--keep", kept, "--receivers", partitions=_PARTITIONS, core=ANY_CORE) as found:
        place = f'connection_string_env = "{SECRET}"'
        yield Wire(
            pid=found.pid,
            sink=f'kind = "event_hubs"\nconnection = {{ {place}, hub = "{HUB}" }}',
            intake=f'kind = "event_hubs"\n{place}\nhub = "{HUB}"',
            secret=found.connection_string,
            kept=kept,
        )


def _asking(gateways: Sequence[Served], options: argparse.Namespace) -> list[str]:
    ports = ",".join(str(gateway.port) for gateway in gateways)
    how = ("--rate", options.rate, "--callers", _CALLERS, "--streamed", options.streamed, "--chunk-delay", "0ms")
    return python_module("calls", ports, *how)


def _feeding(gateways: Sequence[Served], options: argparse.Namespace) -> list[str]:
    return python_module("feeding", gateways[0].run / "journal" / "fed", "--rate", options.rate)


def _watch(
    lines: Iterator[dict[str, Any]], parts: Mapping[str, Sequence[int]], options: argparse.Namespace
) -> tuple[Load, dict[str, float], Totals | None]:
    """Lets it run, and tells what was asked and used between the warm-up and the end. The client's lines are its clock:
    one that nobody read would make it wait."""
    client = next(lines)["pid"]
    warm = [next(lines) for _ in range(options.warm_up)]
    parts = {**parts, "client": [client]}
    before = {name: cpu_seconds(pids) for name, pids in parts.items()}
    steady = [next(lines) for _ in range(options.seconds)]
    seconds = sum(line["seconds"] for line in steady)
    cpu = {name: (cpu_seconds(pids) - before[name]) / seconds for name, pids in parts.items()}
    os.kill(client, signal.SIGTERM)
    last = list(lines)
    load = Load(
        per_second=sum(line["calls"] for line in steady) / seconds,
        errors=sum(line["errors"] for line in (*warm, *steady, *last)),
        answers_ms=sorted(value for line in steady for value in line.get("answer_ms", ())),
    )
    totals = last[-1].get("totals")
    if totals is None:
        return load, cpu, None
    return load, cpu, {name: (calls, prompts, answers) for name, (calls, prompts, answers) in totals.items()}


def _postgres(database: Engine) -> list[int]:
    """All its processes: that of our connection has the server itself as its parent."""
    with psycopg.connect(database.url) as connection:
        [pid] = connection.execute("SELECT pg_backend_pid()").fetchone() or [0]
        return descendants(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))


def _wait_for_all(database: Engine, calls: int) -> None:
    deadline = monotonic() + _PATIENCE
    while (found := sum(row["calls"] for row in database.ledger.usage([]))) < calls and monotonic() < deadline:
        _say(f"{found:,} of {calls:,} are there")
        sleep(0.5)


def _rows(database: Engine, options: argparse.Namespace) -> list[Row]:
    """Those of the steady time: what ended in the warm-up, or came last, is left out."""
    statement = (
        "SELECT call_id, extract(epoch FROM started_at) + latency_ms / 1000, "
        "extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM calls"
    )
    with psycopg.connect(database.url) as connection:
        rows = [Row(call_id, float(a), float(b)) for call_id, a, b in connection.execute(statement).fetchall()]
    first = min(row.ended for row in rows) + options.warm_up
    return [row for row in rows if first <= row.ended < first + options.seconds]


async def _messages(servers: str) -> dict[str, float]:
    """When each message was made, as it says itself."""
    reader = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await reader.start()
    try:
        partitions = [TopicPartition(_TOPIC, number) for number in range(_PARTITIONS)]
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        found = {}
        while any([await reader.position(partition) < ends[partition] for partition in partitions]):
            for messages in (await reader.getmany(timeout_ms=1000)).values():
                for message in messages:
                    found[dict(message.headers)["call_id"].decode()] = message.timestamp / 1000
        return found
    finally:
        await reader.stop()


def as_markdown(machine: Mapping[str, str], outcome: Outcome, options: argparse.Namespace) -> str:
    load = outcome.load
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    source = "records written into a journal, no relay" if options.fed else f"{options.gateways} gateways"
    lines.append(
        f"\n{source}, {options.wire}, {_PARTITIONS} partitions, {options.consumers} consumers, PostgreSQL; "
        f"{options.rate:g} calls a second for {options.seconds:g} s. Really {load.per_second:,.0f} a second, "
        f"{load.errors} failed."
    )
    if load.answers_ms:
        p50, p99 = percentile(load.answers_ms, 0.5), percentile(load.answers_ms, 0.99)
        lines.append(f"Answers took {p50:.1f} ms (p50) and {p99:.1f} ms (p99).")
    lines += ["", _delays(outcome), "", f"p99 is to be at most {_PROMISED:g} s.", "", _shares(outcome), ""]
    lines += [_sums(outcome), "", _NOT_PROVED]
    return "\n".join(lines)


_NOT_PROVED = (
    "Not shown: brokers and databases with replicas and a network between them, whose confirmations take longer, and "
    "what happens when one of the parts fails, which the tests look at."
)


def _delays(outcome: Outcome) -> str:
    rows, sent = outcome.rows, outcome.sent
    kinds = {"from the end of the call to the commit of its row": [row.committed - row.ended for row in rows]}
    if sent:
        kinds["until it was sent"] = [sent[row.call_id] - row.ended for row in rows]
        kinds["from there on"] = [row.committed - sent[row.call_id] for row in rows]
    return markdown_table(
        ["", "records", "p50 s", "p99 s", "most s"],
        [
            [name, f"{len(values):,}", *(f"{percentile(sorted(values), part):.2f}" for part in (0.5, 0.99, 1.0))]
            for name, values in kinds.items()
        ],
    )


def _shares(outcome: Outcome) -> str:
    rate = outcome.load.per_second
    rows = [[name, "", f"{share * 100:.0f} %", f"{share / rate * 1e6:.0f}"] for name, share in outcome.cpu.items()]
    whole = sum(outcome.cpu.values())
    rows.append(["together", "", f"{whole * 100:.0f} %", f"{whole / rate * 1e6:.0f}"])
    rows = [[row[0], *row[2:]] for row in rows]
    return markdown_table(["part", "of a core", "CPU µs a call"], rows)


def _sums(outcome: Outcome) -> str:
    names = sorted({*outcome.said, *outcome.kept})
    rows = [
        [name, *(" / ".join(f"{value:,}" for value in totals.get(name, ())) for totals in (outcome.said, outcome.kept))]
        for name in names
    ]
    verdict = "equal" if outcome.said == outcome.kept else "DIFFERENT"
    heads = ["deployment", "sent: calls / prompt / completion tokens", "ledger"]
    return f"{markdown_table(heads, rows)}\n\nThe sums are {verdict}."


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=__doc__)
    parser.add_argument("--rate", type=float, default=1000, help="calls a second [%(default)s]")
    parser.add_argument("--seconds", type=int, default=20, help="[%(default)s]")
    parser.add_argument("--warm-up", type=int, default=10, metavar="SECONDS", help="not counted [%(default)s]")
    parser.add_argument("--wire", choices=["kafka", "event_hubs"], default="kafka", help="[%(default)s]")
    parser.add_argument("--gateways", type=int, default=1, help="[%(default)s]")
    parser.add_argument("--consumers", type=int, default=1, help="[%(default)s]")
    parser.add_argument("--streamed", type=float, default=0.1, help="which part of the calls [%(default)s]")
    parser.add_argument("--fed", action="store_true", help="write records into a journal instead of asking for answers")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

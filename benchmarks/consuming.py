"""``python -m benchmarks.consuming``: how many records a second so many consumers take from a topic into a ledger."""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, sleep

import msgspec
from aiokafka import AIOKafkaProducer

from tokenweir.records import flat

from .ledgers import Engine, postgres_engine, record
from .machine import describe_machine
from .parts import broker, new_topic

_METHOD = """
{records:,} records without bodies lie in {partitions} partitions of a topic on a broker in memory (tansu); then so
many `tokenweir consume` are started at once, which post to one PostgreSQL. The clock runs from the first posted record
to the last. Broker, database and consumers share the machine.
"""

_PARTITIONS = 4
_TOPIC = "records"


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    machine = describe_machine()
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    lines.append(_METHOD.format(records=options.records, partitions=_PARTITIONS))
    lines += ["| consumers | records per s |", "| --: | --: |"]
    for consumers in options.consumers:
        directory = Path(tempfile.mkdtemp(prefix="tokenweir-consuming-"))
        try:
            with broker() as found, postgres_engine(directory) as engine:
                asyncio.run(_fill(found.servers, options.records))
                lines.append(
                    f"| {consumers} | {_consume(directory, found.servers, engine, options.records, consumers):,.0f} |"
                )
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    print("\n".join(lines))
    return 0


async def _fill(servers: str, records: int) -> None:
    await new_topic(servers, _TOPIC, _PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for number in range(records):
        body = msgspec.json.encode(flat(record(number, records)))
        await producer.send(_TOPIC, body, partition=number % _PARTITIONS)
    await producer.stop()


def _consume(directory: Path, servers: str, engine: Engine, records: int, consumers: int) -> float:
    config = directory / "consume.toml"
    config.write_text(
        f'[ledger]\nurl = "{engine.url}"\n'
        f'[intake]\nkind = "kafka"\nservers = "{servers}"\ntopic = "{_TOPIC}"\ntls = false\nsession_timeout = "3s"\n'
    )
    command = [sys.executable, "-m", "tokenweir", "consume", "--config", str(config)]
    started = [subprocess.Popen(command, cwd=directory, stderr=subprocess.DEVNULL) for _ in range(consumers)]
    try:
        while not (first := _posted(engine)):
            sleep(0.01)
        begun = perf_counter()
        while (last := _posted(engine)) < records:
            sleep(0.05)
        return (last - first) / (perf_counter() - begun)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _posted(engine: Engine) -> int:
    """What the positions say, which is quicker than to count."""
    rows = engine.ledger.query_sql("SELECT sum(CAST(position AS BIGINT)) FROM positions").rows
    return int(rows[0][0] or 0)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.consuming", description="From a topic into a ledger.")
    parser.add_argument("--records", type=int, default=200_000, help="how many [%(default)s]")
    parser.add_argument("--consumers", default="1,2", help="how many, with commas between [%(default)s]")
    options = parser.parse_args(arguments)
    options.consumers = [int(number) for number in options.consumers.split(",")]
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

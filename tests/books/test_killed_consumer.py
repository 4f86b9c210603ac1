"""kill -9 of consumers, again and again, while records flow through a broker: each is in the ledger once."""

import asyncio
import json
import random
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from support.consumers import ConsumerProcess, intake_config
from support.engines import SHARED, Engine, new_engine
from support.kafka_broker import Broker, running_broker
from tokenweir.ledger import Ledger
from tokenweir.records import CallRecord, FlatRecord, flat, from_fields, from_flat, new_call_id

PARTITIONS = 4

Sent = tuple[int, bytes, dict[str, str]]


class Traffic:
    """What relays send: records whole and in parts, some of them twice, and now and then something else."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.records: dict[str, CallRecord] = {}
        self.odd: list[str] = []

    def some(self, count: int) -> list[Sent]:
        """So many messages more, or a few more than that."""
        messages: list[Sent] = []
        while len(messages) < count:
            messages += self._odd() if self._chance.random() < 0.005 else self._record()
        return messages

    def _odd(self) -> list[Sent]:
        text = f"no record {len(self.odd)}"
        self.odd.append(text)
        return [(self._chance.randrange(PARTITIONS), text.encode(), {})]

    def _record(self) -> list[Sent]:
        number = len(self.records)
        record = from_fields(
            call_id=new_call_id(),
            seq=number,
            started_at=datetime.now(UTC),
            caller=f"caller-{number % 7}",
            total_tokens=self._chance.randrange(1000),
            response_body="x" * self._chance.randrange(3000) if self._chance.random() < 0.2 else None,
        )
        self.records[record.call_id] = record
        messages = self._messages(record, parts=self._chance.choice([1] * 9 + [2, 3]))
        return messages * 2 if self._chance.random() < 0.02 else messages

    def _messages(self, record: CallRecord, parts: int) -> list[Sent]:
        data = msgspec.json.encode(flat(record))
        partition = record.seq % PARTITIONS
        properties = {"call_id": record.call_id, "shape": "tokenweir"}
        if parts == 1:
            return [(partition, data, properties)]
        size = -(-len(data) // parts)
        return [
            (partition, data[start : start + size], properties | {"part": str(part), "parts": str(parts)})
            for part, start in enumerate(range(0, len(data), size), start=1)
        ]


def count(ledger: Ledger) -> int:
    return sum(row["calls"] for row in ledger.usage([]))


def kill_and_check(folder: Path, broker: Broker, engine: Engine, kills: int, messages: int) -> None:
    """Two consumers share the partitions; each kill takes one of them, and another one takes its place."""
    chance = random.Random(20261130)
    traffic = Traffic(chance)
    topic = asyncio.run(broker.new_topic(PARTITIONS))
    config = intake_config(folder, broker, topic, engine.url)
    ledger = engine.open()
    consumers = [ConsumerProcess(config) for _ in range(2)]
    killed_at: list[int] = []
    with ExitStack() as stack:
        stack.callback(ledger.close)
        stack.callback(kill_all, consumers)
        for _ in range(kills):
            before = count(ledger)
            asyncio.run(broker.send(topic, traffic.some(messages)))
            # As soon as it moves on, the victim is somewhere inside a batch, and nobody knows where.
            while count(ledger) == before:
                pass
            victim = chance.randrange(2)
            consumers[victim].kill()
            killed_at.append(len(traffic.records) - count(ledger))
            consumers[victim] = ConsumerProcess(config)
        asyncio.run(broker.send(topic, traffic.some(100)))
        while count(ledger) < len(traffic.records):
            pass
        while {letter["body"] for letter in dead_letters(folder)} != set(traffic.odd):
            pass
        for consumer in consumers:
            consumer.stop()
        check(ledger, traffic)
    assert any(killed_at)  # how many kills came while records were still on their way is the machine's matter


def kill_all(consumers: list[ConsumerProcess]) -> None:
    for consumer in consumers:
        consumer.kill()


def dead_letters(folder: Path) -> list[dict[str, str]]:
    """Two may write at once, and one may have been killed in the middle of a line, or of its last try."""
    file = folder / "dead-letters.jsonl"
    found = []
    for line in file.read_bytes().splitlines() if file.exists() else []:
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def check(ledger: Ledger, traffic: Traffic) -> None:
    """What is in the ledger is what was sent: every call, once, to the token and the byte."""
    sent = list(traffic.records.values())
    kept = [record for record in sent if record.response_body is not None]
    [sums] = ledger.query_sql(
        "SELECT count(*), count(DISTINCT call_id), sum(seq), sum(total_tokens), (SELECT count(*) FROM contents), "
        "(SELECT sum(length(response_body)) FROM contents) FROM calls"
    ).rows
    bodies = [record.response_body for record in kept]
    assert sums == [
        len(sent),
        len(sent),
        sum(record.seq for record in sent),
        sum(record.usage.total_tokens for record in sent),
        len(kept),
        sum(len(body) for body in bodies if body) if kept else None,
    ]
    for record in random.sample(sent, 100):
        assert from_flat(msgspec.convert(ledger.call(record.call_id), FlatRecord)) == record


@pytest.fixture(params=SHARED)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


# Broker, engine, two consumers and whoever asks share the cores.
@pytest.mark.timeout(240)
def test_killed_consumers_leave_every_record_once(tmp_path: Path, engine: Engine) -> None:
    with running_broker() as broker:
        kill_and_check(tmp_path, broker, engine, kills=3, messages=3_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_consumers_that_are_killed_fifty_times_leave_every_record_once(tmp_path: Path, engine: Engine) -> None:
    with running_broker() as broker:
        kill_and_check(tmp_path, broker, engine, kills=50, messages=6_000)

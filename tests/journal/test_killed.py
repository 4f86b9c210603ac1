"""kill -9 at any moment: what was said to be durable is there, once, and before it nothing is missing."""

import random
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tokenweir.journal import Journal, JournalReader, JournalSettings
from tokenweir.records import SystemClock


class Seen(NamedTuple):
    run: str | None
    replica: str
    seq: int


def read_on(reader: JournalReader) -> list[Seen]:
    seen: list[Seen] = []
    while batch := reader.read(100).records:
        seen += [Seen(record.caller, record.replica, record.seq) for record in batch]
    assert reader.damaged_stretches == 0
    return seen


def kill_and_check(directory: Path, start_appender: Any, durability: str, rounds: int) -> None:
    """Writers follow one another in one directory, each killed after a random number of acknowledgements,
    while one reader follows them all."""
    chance = random.Random(20261130)
    reader, tailed = JournalReader(directory), list[Seen]()
    acknowledged: dict[str, set[int]] = {}

    for number in range(rounds):
        body = chance.choice([0, 0, 2_000, 100_000])
        segment_size = chance.choice([1, 50_000, 10_000_000])
        writer = start_appender(directory, durability=durability, body=body, segment_size=segment_size, run=number)
        said = writer.stdout.read(4 * chance.randint(1, 800 if body < 10_000 else 80))
        tailed += read_on(reader)
        writer.kill()
        said += writer.stdout.read()
        writer.wait()
        tailed += read_on(reader)
        acknowledged[str(number)] = {int.from_bytes(said[i : i + 4], "little") for i in range(0, len(said) - 3, 4)}

    assert Journal.open(directory, JournalSettings(), SystemClock()).close() == 0
    assert read_on(JournalReader(directory)) == tailed
    seqs, replicas = defaultdict(list), defaultdict(set)
    for run, replica, seq in tailed:
        seqs[run].append(seq)
        replicas[replica].add(run)
    assert len(replicas) == len(acknowledged) == rounds
    assert all(len(runs) == 1 for runs in replicas.values())
    for run, durable in acknowledged.items():
        assert durable
        assert seqs[run] == list(range(1, len(seqs[run]) + 1))
        assert durable <= set(seqs[run])


@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_killed_writers_lose_nothing_that_was_durable(tmp_path: Path, start_appender: Any, durability: str) -> None:
    kill_and_check(tmp_path / "relay-1", start_appender, durability, rounds=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_a_hundred_killed_writers_lose_nothing_that_was_durable(
    tmp_path: Path, start_appender: Any, durability: str
) -> None:
    kill_and_check(tmp_path / "relay-1", start_appender, durability, rounds=100)

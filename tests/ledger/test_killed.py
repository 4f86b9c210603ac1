"""kill -9 in the middle of posting: no position is ahead of its rows, and in the end every call is there once."""

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support.engines import TRANSACTIONAL, Engine
from tokenweir.ledger import Ledger, open_ledger

LARGEST_BATCH = 600
"""Of the poster."""
POSTER = Path(__file__).with_name("poster.py")
CONTENT = """
SELECT
    (SELECT position FROM positions WHERE source = 'relay-1'),
    count(*), count(DISTINCT call_id), CASE WHEN count(*) > 0 THEN max(call_id) ELSE '-' END,
    coalesce(sum(total_tokens), 0),
    (SELECT count(*) FROM contents),
    (SELECT count(*) FROM contents WHERE request_body = repeat(call_id, 500))
FROM calls
"""


def start_poster(url: str, total: int, seed: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(POSTER), url, str(total), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def check(ledger: Ledger, *, at_most_ahead: int = 0) -> int:
    """The position, which is how many calls there must be: the first so many, each once, each with its body.

    Without transactions, the batch that was being posted may be there already, or only its bodies. All of it is asked
    at once: a server may still be busy with what a killed poster had sent last.
    """
    [[said, count, *found, bodies, whole_bodies]] = ledger.query_sql(CONTENT).rows
    position = int(said or 0)
    assert 0 <= count - position <= at_most_ahead
    last = f"{count - 1:08}" if count else "-"
    assert found == [count, last, sum(range(count))]
    assert len(range(0, count, 5)) <= bodies == whole_bodies <= len(range(0, position + at_most_ahead, 5))
    return position


def kill_and_check(engine: Engine, rounds: int) -> None:
    url, at_most_ahead = engine.url, 0 if engine.name in TRANSACTIONAL else LARGEST_BATCH
    chance = random.Random(20261130)
    killed_in_the_middle = 0
    for seed in range(rounds):
        poster = start_poster(url, 10**9, seed)
        assert poster.stdout is not None
        said = poster.stdout.read(chance.randint(1, 30))
        # A moment later it is somewhere inside a batch, and nobody knows where.
        with suppress(subprocess.TimeoutExpired):
            poster.wait(timeout=chance.uniform(0, 0.05))
        poster.kill()
        said += poster.stdout.read()
        poster.wait()
        poster.stdout.close()
        killed_in_the_middle += said.endswith(b"<")
        ledger = open_ledger(url)
        position = check(ledger, at_most_ahead=at_most_ahead)
        ledger.close()
    assert killed_in_the_middle  # how often is the machine's matter

    with start_poster(url, position + 1000, rounds) as poster:
        poster.communicate()
    assert poster.returncode == 0
    ledger = open_ledger(url)
    assert check(ledger) == position + 1000
    ledger.close()


def test_a_killed_poster_leaves_every_call_once(engine: Engine) -> None:
    kill_and_check(engine, rounds=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_killed_posters_leave_every_call_once(engine: Engine) -> None:
    kill_and_check(engine, rounds=100)

"""kill -9 in the middle of posting: rows and position are of one piece, and in the end every call is there once."""

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tokenweir.ledger import Ledger, open_ledger

POSTER = Path(__file__).with_name("poster.py")
SOURCE = "relay-1"


def start_poster(url: str, total: int, seed: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(POSTER), url, str(total), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def check(ledger: Ledger) -> int:
    """The position, which is how many calls there must be: the first so many, each once, each with its body."""
    position = int(ledger.position(SOURCE) or 0)
    counts = "count(*), count(DISTINCT call_id), coalesce(max(call_id), '-'), coalesce(sum(total_tokens), 0)"
    assert ledger.query_sql(f"SELECT {counts} FROM calls").rows == [
        [position, position, f"{position - 1:08}" if position else "-", sum(range(position))]
    ]
    bodies = "SELECT count(*), count(*) FILTER (request_body = repeat(call_id, 500)) FROM contents"
    kept = len(range(0, position, 5))
    assert ledger.query_sql(bodies).rows == [[kept, kept]]
    return position


def kill_and_check(url: str, rounds: int) -> None:
    chance = random.Random()
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
        position = check(ledger)
        ledger.close()
    assert killed_in_the_middle > rounds / 3

    with start_poster(url, position + 1000, rounds) as poster:
        poster.communicate()
    assert poster.returncode == 0
    ledger = open_ledger(url)
    assert check(ledger) == position + 1000
    ledger.close()


def test_a_killed_poster_leaves_every_call_once(place: str) -> None:
    kill_and_check(f"duckdb:{place}", rounds=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_killed_posters_leave_every_call_once(place: str) -> None:
    kill_and_check(f"duckdb:{place}", rounds=100)

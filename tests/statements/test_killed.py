"""kill -9 in the middle of a re-rating: all of it counts, or nothing of it, and the next one goes through."""

import random
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from support.engines import ENGINES, Engine, new_engine
from tokenweir.ledger import Ledger, open_ledger

from .conftest import OCTOBER, used

RATER = Path(__file__).with_name("rater.py")
CALLS = 6_000
RATES = [Decimal("2.50"), Decimal(3), Decimal(4)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


def costs(ledger: Ledger) -> tuple[Decimal, Decimal, int]:
    """What usage and the lines of all calls say that they cost, and how many there are."""
    until = OCTOBER + timedelta(days=99)
    (row,) = ledger.usage([])
    lines = sum((one.amount or Decimal(0) for one in ledger.charge_sums(OCTOBER, until)), Decimal(0))
    return row["cost"], lines, row["calls"]


def test_a_killed_re_rating_leaves_no_half(engine: Engine) -> None:
    ledger = open_ledger(engine.url)
    # The days of most are closed: their sums must be all of one rating, too.
    records = [used(f"{n:08}", OCTOBER + timedelta(minutes=n)) for n in range(CALLS)]
    for first in range(0, CALLS, 1_440):
        ledger.post(records[first : first + 1_440], "source", None)
    ledger.close()
    chance = random.Random(20261130)
    whole = [rate * CALLS / 1000 for rate in RATES]
    killed_in_the_middle = 0
    for _ in range(4):
        with subprocess.Popen([sys.executable, RATER, engine.url, "4"], stdout=subprocess.PIPE) as rater:
            assert rater.stdout is not None
            said = rater.stdout.read(chance.randint(1, 5))
            with suppress(subprocess.TimeoutExpired):
                rater.wait(timeout=chance.uniform(0, 0.1))
            rater.kill()
            said += rater.stdout.read()
        killed_in_the_middle += b">" not in said
        ledger = open_ledger(engine.url)
        of_usage, of_lines, calls = costs(ledger)
        assert calls == CALLS
        assert of_usage == of_lines
        assert of_usage in whole
        ledger.close()
    assert killed_in_the_middle  # how often is the machine's matter

    subprocess.run([sys.executable, RATER, engine.url, "3"], check=True, stdout=subprocess.PIPE)
    ledger = open_ledger(engine.url)
    assert costs(ledger) == (whole[1], whole[1], CALLS)
    assert ledger.query_sql("SELECT count(DISTINCT run_id) AS n FROM posted_corrections").rows[0][0] == len(
        ledger.rating_runs()
    )
    ledger.close()

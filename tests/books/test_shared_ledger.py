"""Several gateways on several machines fill one ledger, and each goes on where it was."""

from pathlib import Path

import pytest

from support.engines import SHARED, Engine, new_engine
from support.journals import write_journal
from tokenweir.delivery.shipping import Shipping
from tokenweir.records import CallRecord, SystemClock, new_call_id
from tokenweir.serve.books import Books

CLOCK = SystemClock()


def write(directory: Path, caller: str, count: int) -> None:
    write_journal(
        directory, [CallRecord(call_id=new_call_id(), started_at=CLOCK.now(), caller=caller) for _ in range(count)]
    )


@pytest.fixture(params=SHARED)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


def test_two_gateways_whose_relays_have_the_same_name_do_not_mix_up_their_positions(
    tmp_path: Path, engine: Engine
) -> None:
    roots = {"here": tmp_path / "here", "there": tmp_path / "there"}
    # One is far ahead of the other, whose records must not be taken for read because of that.
    for rounds in ({"here": 50, "there": 1}, {"here": 1, "there": 20}, {"here": 3, "there": 2}):
        for name, count in rounds.items():
            write(roots[name] / "relay-0", name, count)
        for name, root in roots.items():
            ledger = engine.open()
            assert Books(root, ledger, CLOCK, Shipping(root, [], {}, CLOCK)).catch_up() == rounds[name]
            ledger.close()
    ledger = engine.open()
    assert {row["caller"]: row["calls"] for row in ledger.usage(["caller"])} == {"here": 54, "there": 23}
    ledger.close()

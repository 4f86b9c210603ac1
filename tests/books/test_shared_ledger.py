"""Several gateways on several machines fill one ledger, and each goes on where it was."""

import asyncio
from pathlib import Path

from support.engines import PostgresEngine
from support.postgres import PostgresServer
from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import CallRecord, SystemClock, new_call_id
from tokenweir.serve.books import Books


async def write(directory: Path, caller: str, count: int) -> None:
    clock = SystemClock()
    journal = Journal.open(directory, JournalSettings(), clock)
    for _ in range(count):
        journal.append(CallRecord(call_id=new_call_id(), started_at=clock.now(), caller=caller))
    journal.close()


def test_two_gateways_whose_relays_have_the_same_name_do_not_mix_up_their_positions(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    engine = PostgresEngine(postgres)
    roots = {"here": tmp_path / "here", "there": tmp_path / "there"}
    # One is far ahead of the other, whose records must not be taken for read because of that.
    for rounds in ({"here": 50, "there": 1}, {"here": 1, "there": 20}, {"here": 3, "there": 2}):
        for name, count in rounds.items():
            asyncio.run(write(roots[name] / "relay-0", name, count))
        for name, root in roots.items():
            ledger = engine.open()
            assert Books(root, ledger, SystemClock()).catch_up() == rounds[name]
            ledger.close()
    ledger = engine.open()
    assert {row["caller"]: row["calls"] for row in ledger.usage(["caller"])} == {"here": 54, "there": 23}
    ledger.close()

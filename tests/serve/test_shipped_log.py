"""A relay whose answers end when their events are with the sinks, not when they are on a disk that may go."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.call_records import a_call
from tokenweir.delivery.shipping import cursor_of
from tokenweir.delivery.sinks import FileConnection, SinkSettings
from tokenweir.journal import Journal, JournalReader, JournalSettings, save_cursor
from tokenweir.records import Duration, SystemClock
from tokenweir.serve.shipped_log import ShippedLog

pytestmark = pytest.mark.anyio

SINKS = [SinkSettings(name, "file", FileConnection(path=f"{name}.jsonl")) for name in ("one", "other")]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "relay-0", JournalSettings(durability="shipped"), SystemClock())
    yield opened
    opened.close()


def shipped_log(journal: Journal, timeout: float = 20, on_outage: str = "pass") -> ShippedLog:
    settings = JournalSettings(durability="shipped", ship_timeout=Duration(timeout), on_outage=on_outage)  # type: ignore[arg-type]
    return ShippedLog(journal, settings, SINKS)


def ship(journal: Journal, sink: SinkSettings) -> int:
    """All that is there, as the books do; returns how much."""
    batch = JournalReader(journal.directory).read(100)
    save_cursor(journal.directory, cursor_of(sink), batch.position)
    return len(batch.records)


async def test_a_record_is_durable_when_the_last_sink_has_its_event(journal: Journal) -> None:
    log = shipped_log(journal)
    on_disk, shipped = asyncio.Event(), asyncio.Event()
    log.append(a_call(seq=log.next_seq()), shipped.set)
    journal.append(a_call(seq=log.next_seq()), on_disk.set)
    await on_disk.wait()
    assert ship(journal, SINKS[0]) == 2
    assert not shipped.is_set()
    ship(journal, SINKS[1])
    await shipped.wait()
    assert log.accepts_calls


@pytest.mark.parametrize("on_outage", ["pass", "refuse"])
async def test_where_the_sinks_let_the_deadline_pass_answers_end_and_a_setting_says_whether_others_begin(
    journal: Journal, on_outage: str
) -> None:
    log = shipped_log(journal, 0.001, on_outage)
    given_up, second = asyncio.Event(), asyncio.Event()
    log.append(a_call(seq=log.next_seq()), given_up.set)
    await given_up.wait()
    assert log.accepts_calls == (on_outage == "pass")
    log.append(a_call(seq=log.next_seq()), second.set)
    await second.wait()
    for sink in SINKS:
        ship(journal, sink)
    while not log.accepts_calls:  # noqa: ASYNC110 - it looks by itself
        await asyncio.sleep(0)


async def test_where_a_reload_has_left_no_sink_to_wait_for_nobody_waits(journal: Journal) -> None:
    log = shipped_log(journal)
    log.configure([])
    on_disk = asyncio.Event()
    log.append(a_call(seq=log.next_seq()), on_disk.set)
    await on_disk.wait()

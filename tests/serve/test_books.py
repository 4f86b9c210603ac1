"""Books without a ledger: what is counted, and which segments may go."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from support.clocks import JumpingClock
from support.journals import NOW, write_journal
from support.servers import until
from tokenweir.delivery.shipping import Shipping
from tokenweir.delivery.sinks import FileConnection, SinkSettings
from tokenweir.journal import Journal, JournalSettings, journal_directories
from tokenweir.journal.directory import segment_numbers
from tokenweir.records import CallRecord, new_call_id
from tokenweir.serve.books import Books
from tokenweir.serve.passed_segments import PassedSegments

CLOCK = JumpingClock(NOW)


def some(count: int) -> list[CallRecord]:
    return [CallRecord(call_id=new_call_id(), started_at=CLOCK.now(), caller="ada") for _ in range(count)]


def test_without_a_ledger_records_are_counted_and_wait_for_the_sinks(tmp_path: Path) -> None:
    root, events = tmp_path / "journal", tmp_path / "events.jsonl"
    for _ in range(4):  # each run begins a segment
        write_journal(root / "relay-0", some(5))
    [directory] = journal_directories(root)
    before = segment_numbers(directory)
    assert len(before) == 4
    sink = SinkSettings(name="file", kind="file", connection=FileConnection(path=str(events)))

    def new_books() -> tuple[Books, Shipping]:
        shipping = Shipping(root, [sink], {}, CLOCK)
        return Books(root, None, CLOCK, shipping), shipping

    books, _ = new_books()
    assert books.catch_up() == 20
    assert b"tokenweir_calls_total{" in books.metrics.exposition()
    assert segment_numbers(directory) == before

    # What was counted before is not counted again after a restart.
    books, shipping = new_books()
    write_journal(root / "relay-0", some(1))
    assert books.catch_up() == 1

    async def ship_all() -> None:
        shipping.start()
        await until(lambda: not any(status.behind_bytes for status in shipping.statuses()))
        await shipping.stop()

    asyncio.run(ship_all())
    assert events.read_bytes().count(b"\n") == 21
    PassedSegments(root, JournalSettings, CLOCK, has_ledger=False).tidy()
    assert len(segment_numbers(directory)) == 1


def test_what_is_missing_is_told_once_and_stays_in_the_metrics(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "journal"
    journal = Journal.open(root / "relay-0", JournalSettings(), CLOCK)
    for seq in (journal.next_seq(), journal.next_seq(), journal.next_seq()):
        if seq != 2:
            [record] = some(1)
            journal.append(msgspec.structs.replace(record, seq=seq, replica=journal.replica))
    journal.close()

    for _ in range(2):
        books = Books(root, None, CLOCK, Shipping(root, [], {}, CLOCK))
        books.catch_up()
        books.catch_up()
        exposition = books.metrics.exposition().decode()
        assert 'tokenweir_relay_journal_records_missing_total{relay="relay-0"} 1.0' in exposition
        assert 'tokenweir_relay_journal_segments_cut_total{relay="relay-0"} 0.0' in exposition

    assert [one.levelname for one in caplog.records if "records 2 to 2" in one.getMessage()] == ["ERROR"]

"""A ledger and a journal that do not fit together: each knows how far the other has come."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.admin.health import readiness
from tokenweir.delivery.shipping import Shipping
from tokenweir.journal import (
    Journal,
    JournalReader,
    JournalSettings,
    journal_directories,
    read_gap,
    wish_for_segment,
)
from tokenweir.ledger import Ledger, open_ledger
from tokenweir.records import CallRecord, Duration, new_call_id
from tokenweir.serve.books import Books
from tokenweir.serve.passed_segments import PassedSegments


class Place:
    """A journal, its books and their archive."""

    def __init__(self, folder: Path, archive: str | None = "archive") -> None:
        self.folder, self.root = folder, folder / "journal"
        self.clock = JumpingClock(NOW)
        self.url = f"duckdb:{folder / 'ledger.duckdb'}"
        self.settings = JournalSettings(archive=archive and str(folder / archive), archive_for=Duration(86_400))
        self.ledger: Ledger = open_ledger(self.url)
        self.books = self._new_books()
        self.segments = PassedSegments(self.root, self.settings, self.clock, has_ledger=True)

    def _new_books(self) -> Books:
        return Books(self.root, self.ledger, self.clock, Shipping(self.root, [], {}, self.clock))

    def call(self, count: int) -> None:
        """A run of a relay with so many calls. Each begins a segment."""
        journal = Journal.open(self.root / "relay-0", self.settings, self.clock)
        for _ in range(count):
            seq = journal.next_seq()
            journal.append(
                CallRecord(call_id=new_call_id(), started_at=self.clock.now(), replica=journal.replica, seq=seq)
            )
        assert journal.close() == 0

    def post(self) -> None:
        self.books.catch_up()
        self.segments.tidy()
        self.books.look_at_gaps()

    def back_up(self) -> bytes:
        self.ledger.close()
        content = (self.folder / "ledger.duckdb").read_bytes()
        self._open()
        return content

    def restore(self, content: bytes | None) -> None:
        self.ledger.close()
        (self.folder / "ledger.duckdb").unlink()
        if content is not None:
            (self.folder / "ledger.duckdb").write_bytes(content)
        self._open()

    def _open(self) -> None:
        self.ledger = open_ledger(self.url)
        self.books = self._new_books()

    @property
    def calls(self) -> int:
        return int(sum(row["calls"] for row in self.ledger.usage([])))

    @property
    def metric(self) -> float:
        [line] = [
            line
            for line in self.books.metrics.exposition().decode().splitlines()
            if line.startswith("tokenweir_relay_ledger_missing_records{")
        ]
        return float(line.split()[-1])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.ledger.close()


def test_a_ledger_from_a_backup_gets_what_the_journal_holds_and_the_rest_is_an_alarm(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.call(5)
    place.post()
    backup = place.back_up()
    for _ in range(3):
        place.call(7)
        place.post()
    assert place.calls == 26
    place.restore(backup)
    place.post()

    assert place.calls == 12  # the newest segment is still in the journal
    [directory] = journal_directories(place.root)
    gap = read_gap(directory)
    assert gap is not None
    assert gap.missing == place.metric == 14
    assert "14 records that were posted since 2026-11-22 12:00 UTC are not in it" in caplog.text
    checks = readiness(place.books.relays(), 0, None)
    [check] = [check for check in checks if check.name == "ledger behind the journal of relay-0"]
    assert check.ok
    assert "tokenweir import" in check.message
    assert place.metric == 14

    # As `tokenweir import` does from the archive.
    archive = next((place.folder / "archive").rglob("relay-0"))
    place.ledger.post(JournalReader(archive).read(100).records, "import", None)
    reader = JournalReader(archive)
    while records := reader.read(100).records:
        place.ledger.post(records, "import", None)
    place.clock.jump(60)
    place.post()
    assert place.calls == 26
    assert place.metric == 0
    assert read_gap(directory) is None


def test_a_ledger_that_is_gone_misses_all_that_has_left_the_journal(place: Place) -> None:
    for _ in range(3):
        place.call(4)
        place.post()
    place.restore(None)
    place.post()
    assert place.calls == 4
    assert place.metric == 8


def test_a_ledger_from_a_backup_that_the_journal_covers_is_no_alarm(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.call(5)
    place.post()
    backup = place.back_up()
    place.call(7)
    place.books.catch_up()
    place.restore(backup)
    place.post()
    assert place.calls == 12
    assert place.metric == 0
    assert "the journal holds all that it misses" in caplog.text


def test_a_journal_and_its_ledger_fit_after_each_restart(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        place.call(4)
        place.post()
        place.restore(place.back_up())
        place.post()
    assert place.calls == 12
    assert place.metric == 0
    assert [record.levelname for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_segments_leave_the_archive_after_their_term(place: Place) -> None:
    for _ in range(3):
        place.call(4)
        place.post()
    assert len(list((place.folder / "archive").rglob("*.twj"))) == 2
    for path in (place.folder / "archive").rglob("*.twj"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    place.clock.jump(86_399)
    place.post()
    assert len(list((place.folder / "archive").rglob("*.twj"))) == 2
    place.clock.jump(3_600)
    place.post()
    assert list((place.folder / "archive").rglob("*.twj")) == []


def test_an_archive_that_takes_nothing_keeps_the_segments_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path)
    (tmp_path / "archive").touch()
    for _ in range(3):
        place.call(4)
        place.post()
    place.ledger.close()
    assert len(list(place.root.rglob("*.twj"))) == 3
    assert place.segments.trouble is not None
    assert "archive" in place.segments.trouble.message
    assert caplog.text.count("stay in the journal") == 1


def test_a_segment_that_is_wished_away_is_passed_though_no_call_comes(place: Place) -> None:
    journal = Journal.open(place.root / "relay-0", place.settings, place.clock)
    journal.append(CallRecord(call_id=new_call_id(), started_at=place.clock.now(), replica=journal.replica, seq=1))
    while not journal.status().records_written:
        pass
    place.post()
    wish_for_segment(place.root / "relay-0")
    while len(list(place.root.rglob("*.twj"))) < 2:
        place.clock.jump(2)
        journal._committer.wake()
    place.post()
    assert len(list(place.root.rglob("*.twj"))) == 1
    assert place.calls == 1
    journal.close()

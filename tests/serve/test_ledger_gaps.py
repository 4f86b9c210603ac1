"""A ledger and a journal that do not fit together: each knows how far the other has come."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.journals import NOW
from support.kept_books import KeptBooks
from tokenweir.admin.health import readiness
from tokenweir.journal import Journal, JournalReader, ask_for_next_segment, journal_directories, read_gap


@pytest.fixture
def place(tmp_path: Path) -> Iterator[KeptBooks]:
    place = KeptBooks(tmp_path)
    yield place
    place.ledger.close()


def test_a_ledger_from_a_backup_gets_what_the_journal_holds_and_the_rest_is_an_alarm(
    place: KeptBooks, caplog: pytest.LogCaptureFixture
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
    assert gap.missing == place.missing == 14
    assert "14 records that were posted since 2026-11-22 12:00 UTC are not in it" in caplog.text
    checks = readiness(place.books.relays(), 0, None)
    [check] = [check for check in checks if check.name == "ledger behind the journal of relay-0"]
    assert check.ok
    assert "tokenweir import" in check.message
    assert place.missing == 14

    # As `tokenweir import` does from the archive.
    archive = next((place.folder / "archive").rglob("relay-0"))
    place.ledger.post(JournalReader(archive).read(100).records, "import", None)
    reader = JournalReader(archive)
    while records := reader.read(100).records:
        place.ledger.post(records, "import", None)
    place.clock.jump(60)
    place.post()
    assert place.calls == 26
    assert place.missing == 0
    assert read_gap(directory) is None


def test_a_ledger_that_is_gone_misses_all_that_has_left_the_journal(place: KeptBooks) -> None:
    for _ in range(3):
        place.call(4)
        place.post()
    place.restore(None)
    place.post()
    assert place.calls == 4
    assert place.missing == 8


def test_a_ledger_from_a_backup_that_the_journal_covers_is_no_alarm(
    place: KeptBooks, caplog: pytest.LogCaptureFixture
) -> None:
    place.call(5)
    place.post()
    backup = place.back_up()
    place.call(7)
    place.books.catch_up()
    place.restore(backup)
    place.post()
    assert place.calls == 12
    assert place.missing == 0
    assert "the journal holds all that it misses" in caplog.text


def test_a_journal_and_its_ledger_fit_after_each_restart(place: KeptBooks, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        place.call(4)
        place.post()
        place.restore(place.back_up())
        place.post()
    assert place.calls == 12
    assert place.missing == 0
    assert [record.levelname for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_segments_leave_the_archive_after_their_term(place: KeptBooks) -> None:
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
    place = KeptBooks(tmp_path)
    (tmp_path / "archive").touch()
    for _ in range(3):
        place.call(4)
        place.post()
    place.ledger.close()
    assert len(list(place.root.rglob("*.twj"))) == 3
    assert place.segments.trouble is not None
    assert "archive" in place.segments.trouble.message
    assert caplog.text.count("stay in the journal") == 1


def test_a_segment_that_is_wished_away_is_passed_though_no_call_comes(place: KeptBooks) -> None:
    journal = Journal.open(place.root / "relay-0", place.settings, place.clock)
    journal.append(place.record(journal.replica, 1))
    while not journal.status().records_written:
        pass
    place.post()
    ask_for_next_segment(place.root / "relay-0", place.clock)
    while len(list(place.root.rglob("*.twj"))) < 2:
        place.clock.jump(2)
        journal._committer.wake()
    place.post()
    assert len(list(place.root.rglob("*.twj"))) == 1
    assert place.calls == 1
    journal.close()

"""Segments go when every consumer has passed them, and not before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from support.journals import write_journal
from tokenweir.errors import JournalError
from tokenweir.journal import (
    JournalReader,
    begin_cursor,
    bytes_behind,
    cursor_names,
    load_cursor,
    oldest_behind,
    remove_passed_segments,
    save_cursor,
)
from tokenweir.journal.cursors import START, Position
from tokenweir.journal.directory import segment_numbers, segment_path
from tokenweir.records import from_fields


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for number in (10, 20, 30):
        segment_path(tmp_path, number).touch()
    return tmp_path


def at(segment: int) -> str:
    return Position(segment, 20).text()


def test_a_cursor_is_where_it_was_left(directory: Path) -> None:
    save_cursor(directory, "ledger", at(10))
    save_cursor(directory, "ledger", at(20))
    save_cursor(directory, "event-hubs.1", at(30))

    assert load_cursor(directory, "ledger") == at(20)
    assert load_cursor(directory, "event-hubs.1") == at(30)
    assert load_cursor(directory, "kafka") is None
    assert cursor_names(directory) == ["event-hubs.1", "ledger"]


def test_segments_go_when_every_cursor_has_passed_them(directory: Path) -> None:
    save_cursor(directory, "ledger", at(30))
    save_cursor(directory, "sink", at(20))

    assert remove_passed_segments(directory) == [segment_path(directory, 10)]
    assert segment_numbers(directory) == [20, 30]
    assert remove_passed_segments(directory) == []


def test_a_consumer_that_begins_keeps_everything_until_it_has_passed_it(directory: Path) -> None:
    save_cursor(directory, "ledger", at(30))
    begin_cursor(directory, "sink")
    assert remove_passed_segments(directory) == []

    save_cursor(directory, "sink", at(20))
    begin_cursor(directory, "sink")
    assert load_cursor(directory, "sink") == at(20)
    assert remove_passed_segments(directory) == [segment_path(directory, 10)]


def test_the_newest_segment_stays_even_when_it_is_passed(directory: Path) -> None:
    save_cursor(directory, "ledger", at(40))

    remove_passed_segments(directory)

    assert segment_numbers(directory) == [30]


def test_without_a_cursor_nothing_is_removed(directory: Path) -> None:
    assert remove_passed_segments(directory) == []
    assert segment_numbers(directory) == [10, 20, 30]


def test_a_cursor_that_cannot_be_read_keeps_everything_and_says_what_to_do(directory: Path) -> None:
    save_cursor(directory, "ledger", at(40))
    (directory / "cursors" / "sink").write_text("")

    with pytest.raises(JournalError, match="sink holds no position.*delete the file"):
        remove_passed_segments(directory)
    assert segment_numbers(directory) == [10, 20, 30]


def test_a_half_saved_cursor_does_not_count(directory: Path) -> None:
    save_cursor(directory, "ledger", at(30))
    (directory / "cursors" / ".sink.new").write_text("000")

    assert len(remove_passed_segments(directory)) == 2


@pytest.mark.parametrize("name", ["", "../lock", ".hidden", "a/b", "a b"])
def test_a_name_cannot_lead_elsewhere(directory: Path, name: str) -> None:
    with pytest.raises(JournalError, match="cannot name a cursor"):
        save_cursor(directory, name, at(10))


@pytest.mark.parametrize("position", ["", "42", "42:", "x:1", "-1:5", "42:1:1"])
def test_what_is_no_position_is_not_saved(directory: Path, position: str) -> None:
    with pytest.raises(JournalError, match="is not a position in a journal; one looks like"):
        save_cursor(directory, "ledger", position)


def test_a_missing_directory_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="gone cannot be used.*create it"):
        remove_passed_segments(tmp_path / "gone")
    with pytest.raises(JournalError, match="gone cannot be used.*create it"):
        save_cursor(tmp_path / "gone", "ledger", at(10))


def test_a_cursor_below_a_file_is_an_error_with_advice(blocked: Path) -> None:
    with pytest.raises(JournalError, match=r"correct \[journal\] directory"):
        load_cursor(blocked, "ledger")


def test_a_consumer_is_behind_by_what_it_has_not_taken_care_of(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number:020d}.twj").write_bytes(b"x" * 100)
    assert bytes_behind(tmp_path, "ledger") == 200
    save_cursor(tmp_path, "ledger", f"{1:020d}:60")
    assert bytes_behind(tmp_path, "ledger") == 140
    save_cursor(tmp_path, "ledger", f"{2:020d}:100")
    assert bytes_behind(tmp_path, "ledger") == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe"])
def test_a_cursor_without_a_position_begins_anew_and_is_told_once(
    directory: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    save_cursor(directory, "sink", at(20))
    (directory / "cursors" / "sink").write_bytes(content)
    assert bytes_behind(directory, "sink") == 0
    for _ in range(3):
        begin_cursor(directory, "sink")
    assert load_cursor(directory, "sink") == START.text()
    assert len(caplog.messages) == 1 and "held no position" in caplog.messages[0]


def test_the_oldest_call_that_waits_has_an_age(tmp_path: Path) -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    clock = JumpingClock(began + timedelta(seconds=90))
    calls = [from_fields(call_id=str(n), started_at=began + timedelta(seconds=n), latency_ms=2000.0) for n in range(3)]
    write_journal(tmp_path, calls)
    assert oldest_behind(tmp_path, "sink", clock) == 88
    save_cursor(tmp_path, "sink", JournalReader(tmp_path).read().position)
    assert oldest_behind(tmp_path, "sink", clock) == 0

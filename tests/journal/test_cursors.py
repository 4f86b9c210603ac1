"""Segments go when every consumer has passed them, and not before."""

from pathlib import Path

import pytest

from tokenweir.errors import JournalError
from tokenweir.journal import begin_cursor, bytes_behind, cursor_names, load_cursor, remove_passed_segments, save_cursor
from tokenweir.journal.cursors import Position
from tokenweir.journal.directory import segment_numbers, segment_path


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

"""Whose directory it is, and what a person is told when it cannot be used."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokenweir.errors import JournalError
from tokenweir.journal import journal_directories, journal_name
from tokenweir.journal.directory import WriterLock, segment_numbers, segment_path, unusable

HOLD = "import sys; from pathlib import Path; from tokenweir.journal.directory import WriterLock\n"
HOLD += "lock = WriterLock(Path(sys.argv[1])); lock.hold(); print('held', flush=True); sys.stdin.read()"


def test_a_second_writer_is_told_which_process_holds_the_directory(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        with pytest.raises(JournalError, match=f"written by process {holder.pid}: stop that process"):
            WriterLock(tmp_path).hold()

        holder.kill()
    WriterLock(tmp_path).hold()


def test_the_lock_is_held_once_and_given_back(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    lock.hold()
    lock.hold()
    with pytest.raises(JournalError, match=f"process {os.getpid()}"):
        WriterLock(tmp_path).hold()

    lock.release()
    other = WriterLock(tmp_path)
    other.hold()
    other.release()


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "journal" / "relay-1"
    lock = WriterLock(directory)
    lock.hold()
    lock.release()

    assert directory.stat().st_mode & 0o777 == 0o700


def test_segments_are_listed_oldest_first_and_other_files_are_not(tmp_path: Path) -> None:
    for number in (30, 4, 1_700_000_000_000_000):
        segment_path(tmp_path, number).touch()
    for name in ("lock", "status.json", "copy-of-4.twj", "4.twj.bak"):
        (tmp_path / name).touch()

    assert segment_numbers(tmp_path) == [4, 30, 1_700_000_000_000_000]


def test_writers_directories_are_those_with_a_lock(tmp_path: Path) -> None:
    for name in ("relay-2", "relay-1"):
        lock = WriterLock(tmp_path / name)
        lock.hold()
        lock.release()
    (tmp_path / "something-else").mkdir()
    (tmp_path / "a-file").touch()

    assert journal_directories(tmp_path) == [tmp_path / "relay-1", tmp_path / "relay-2"]


def test_before_the_first_relay_there_are_no_writers(tmp_path: Path) -> None:
    assert journal_directories(tmp_path / "not-yet") == []


def test_a_root_that_is_a_file_is_an_error_with_advice(blocked: Path) -> None:
    with pytest.raises(JournalError, match=r"correct \[journal\] directory"):
        journal_directories(blocked)


def test_a_journal_keeps_its_name_and_shares_it_with_no_other(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    name = journal_name(here)
    assert journal_name(here) == name != journal_name(there)
    assert [path.name for path in here.iterdir()] == ["name"]
    assert journal_directories(here) == []


def test_of_many_who_name_a_journal_at_once_one_wins(tmp_path: Path) -> None:
    draw = "import sys; from pathlib import Path; from tokenweir.journal import journal_name\n"
    draw += "sys.stdin.read(); print(journal_name(Path(sys.argv[1])))"
    command = [sys.executable, "-c", draw, str(tmp_path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    names = set()
    for process in started:
        with process:
            assert process.stdout is not None
            names.add(process.stdout.read())
    assert names == {f"{journal_name(tmp_path)}\n"}


def test_a_root_that_cannot_be_named_is_an_error_with_advice(blocked: Path) -> None:
    with pytest.raises(JournalError, match=r"correct \[journal\] directory"):
        journal_name(blocked)


def test_an_error_without_advice_still_names_the_directory() -> None:
    error = unusable(Path("/j"), OSError(errno.EBUSY, "busy"))

    assert str(error) == "the journal in /j cannot be used (busy): check the disk and [journal] directory"

"""Whole lines on a real disk: torn tails, moved files, disks that fill up."""

from pathlib import Path

import pytest

from support.disks import fill_up, small_disk
from tokenweir.delivery.json_lines import LinesFile


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("left", [b"", b"tor", b"one\n", b"one\ntor", b"one\n" + b"x" * 200_000])
def test_half_a_line_is_cut_off_and_whole_ones_stay(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(left)
    file = LinesFile(path)
    size = file.append([b"new", b"newer"])
    file.close()

    whole = [line for line in left.splitlines(keepends=True) if line.endswith(b"\n")]
    assert lines(path) == [*whole, b"new\n", b"newer\n"]
    assert size == path.stat().st_size


def test_the_file_and_its_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    file = LinesFile(path)
    file.append([b"x"])
    file.close()

    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = LinesFile(path)
    file.append([b"one"])
    path.rename(tmp_path / "rotated")
    file.append([b"two"])
    path.unlink()
    file.append([b"three"])
    file.close()

    assert lines(tmp_path / "rotated") == [b"one\n"]
    assert lines(path) == [b"three\n"]


def test_on_a_full_disk_all_lines_are_there_or_none(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        file = LinesFile(disk / "events.jsonl")
        file.append([b"first"])
        filler = fill_up(disk)
        with pytest.raises(OSError, match="No space"):
            file.append([b"x" * 100_000, b"y"])
        assert lines(disk / "events.jsonl") == [b"first\n"]
        filler.unlink()
        file.append([b"second"])
        file.close()
        assert lines(disk / "events.jsonl") == [b"first\n", b"second\n"]

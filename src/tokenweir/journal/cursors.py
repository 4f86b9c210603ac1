"""Positions in a journal, and named cursors: how far each consumer has come, and with it which segments may go.

A consumer that keeps its position elsewhere, beside its data, saves it here too, so that its segments stay.
A consumer that is gone for good holds segments back until its file in ``cursors/`` is deleted.
"""

import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import JournalError, quoted
from .directory import segment_numbers, segment_path, unusable

__all__ = [
    "START",
    "Position",
    "begin_cursor",
    "bytes_behind",
    "cursor_names",
    "cursor_segments",
    "is_behind",
    "is_in_later_segment",
    "is_there",
    "journal_size",
    "load_cursor",
    "parse_position",
    "passed_by_all",
    "save_cursor",
]

_log = logging.getLogger(__name__)

CURSORS_NAME = "cursors"
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


class Position(NamedTuple):
    """A segment and a byte in it: an opaque text outside of this room. Those of one journal compare in its order."""

    segment: int
    offset: int

    def text(self) -> str:
        return f"{self.segment:020d}:{self.offset}"


START = Position(0, 0)
"""Before the first record of any journal."""


def parse_position(text: str) -> Position:
    segment, _, offset = text.partition(":")
    if not (segment.isdecimal() and offset.isdecimal()):
        raise JournalError(f"{quoted(text)} is not a position in a journal; one looks like {Position(42, 8192).text()}")
    return Position(int(segment), int(offset))


def is_behind(position: str | None, other: str) -> bool:
    """Whether a position, or the beginning, is before another one of the same journal."""
    return (parse_position(position) if position is not None else START) < parse_position(other)


def is_there(directory: Path, position: str | None) -> bool:
    """Whether the segment of a position is in the journal."""
    return position is not None and segment_path(directory, parse_position(position).segment).exists()


def is_in_later_segment(position: str, other: str | None) -> bool:
    """Whether the one is in a segment behind that of the other, or behind none."""
    return parse_position(position).segment > (parse_position(other).segment if other is not None else START.segment)


def save_cursor(directory: Path, name: str, position: str) -> None:
    """All records before the position have been taken care of, as far as this consumer is concerned."""
    parse_position(position)
    path = _path(directory, name)
    new = path.with_name(f".{name}.new")
    try:
        if not directory.is_dir():
            raise FileNotFoundError(2, os.strerror(2))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(new, "w") as file:
            file.write(position)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise unusable(directory, error) from error


def begin_cursor(directory: Path, name: str) -> None:
    """From now on no segment goes before this consumer has passed it. One that has begun is left where it is; where its
    file holds no position, as behind a copy that was interrupted, it begins anew, with the oldest segment."""
    saved = load_cursor(directory, name)
    if saved is not None:
        try:
            parse_position(saved)
            return
        except JournalError:
            _log.error(
                "the cursor %s held no position; it begins with the oldest segment, so what was delivered is delivered "
                "again (a ledger knows the calls that it has)",
                _path(directory, name),
            )
    save_cursor(directory, name, START.text())


def bytes_behind(directory: Path, name: str) -> int:
    """How much of a journal a consumer has not taken care of yet, in bytes; segment headers count too."""
    saved = load_cursor(directory, name)
    try:
        position = parse_position(saved) if saved is not None else START
    except JournalError:  # `begin_cursor` will say so, and begin there
        position = START
    behind = 0
    for number in segment_numbers(directory):
        try:
            size = segment_path(directory, number).stat().st_size
        except FileNotFoundError:
            continue  # passed and removed since the directory was listed
        if number > position.segment:
            behind += size
        elif number == position.segment:
            behind += max(0, size - position.offset)
    return behind


def journal_size(directory: Path) -> int:
    """Bytes of all segments of a journal."""
    sizes = []
    for number in segment_numbers(directory):
        with suppress(FileNotFoundError):  # passed and removed since the directory was listed
            sizes.append(segment_path(directory, number).stat().st_size)
    return sum(sizes)


def load_cursor(directory: Path, name: str) -> str | None:
    """The position last saved under the name, None if there is none."""
    try:
        return _path(directory, name).read_text(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(directory, error) from error


def passed_by_all(directory: Path, names: Sequence[str]) -> Position:
    """Behind the last record that all of these consumers have taken care of."""
    saved = (load_cursor(directory, name) for name in names)
    return min(parse_position(text) if text is not None else START for text in saved)


def cursor_names(directory: Path) -> list[str]:
    """All consumers that a journal keeps its segments for, also those that are gone for good."""
    try:
        return sorted(path.name for path in _cursor_files(directory))
    except OSError as error:
        raise unusable(directory, error) from error


def cursor_segments(directory: Path) -> list[int]:
    """The segment at which each cursor stands. OSError if the directory cannot be read."""
    return [_segment_of(path) for path in _cursor_files(directory)]


def _path(directory: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise JournalError(f"{quoted(name)} cannot name a cursor: use letters, digits, '-', '_' and '.'")
    return directory / CURSORS_NAME / name


def _cursor_files(directory: Path) -> list[Path]:
    folder = directory / CURSORS_NAME
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []


def _segment_of(cursor: Path) -> int:
    try:
        return parse_position(cursor.read_text()).segment
    except (JournalError, UnicodeDecodeError) as error:
        raise JournalError(
            f"the cursor {cursor} holds no position, so no segment is removed: delete the file, "
            "its consumer will save it anew"
        ) from error

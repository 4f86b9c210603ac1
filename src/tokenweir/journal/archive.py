"""Where segments are kept for a while that everybody has passed, so that a ledger can be filled from them again."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

from .directory import SEGMENT_SUFFIX, unusable

__all__ = ["Archive", "DirectoryArchive", "archived_name"]


class Archive(Protocol):
    """Segments by name: the journal's, the relay's and the segment's. All of it blocks, and raises `TokenweirError`."""

    where: str
    """For a person."""

    def keep(self, segment: Path, name: str) -> None:
        """It is there when this returns; one that was there before is left alone if it is as long."""
        ...

    def fetch(self, name: str, folder: Path) -> Path:
        """A segment as a file: where it is, or a copy in the folder, which the caller removes."""
        ...

    def replace(self, segment: Path, name: str) -> None:
        """Another content for one that is there; whoever reads sees the old one or the new one."""
        ...

    def names(self) -> Iterator[str]:
        """Of all that are there, in order."""
        ...

    def prune(self, before: datetime) -> int:
        """Removes those that were put there, or written last, before a moment; how many."""
        ...


def archived_name(journal: str, segment: Path) -> str:
    """What a segment of a journal directory is called in an archive, which many gateways may share."""
    return f"{journal}/{segment.parent.name}/{segment.name}"


class DirectoryArchive:
    """An `Archive` in a directory. On the disk of the journal a segment is moved there, from another one copied."""

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root

    def __repr__(self) -> str:
        return f"<DirectoryArchive {self.where}>"

    def keep(self, segment: Path, name: str) -> None:
        target = self._root / name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if target.exists() and target.stat().st_size == segment.stat().st_size:
                return
            try:
                target.unlink(missing_ok=True)
                os.link(segment, target)
            except OSError:  # another disk, or one that knows no links
                _copy(segment, target)
        except OSError as error:
            raise unusable(self._root, error) from error

    def fetch(self, name: str, folder: Path) -> Path:
        return self._root / name

    def replace(self, segment: Path, name: str) -> None:
        try:
            _copy(segment, self._root / name)
        except OSError as error:
            raise unusable(self._root, error) from error

    def names(self) -> Iterator[str]:
        for path in sorted(self._root.rglob(f"*{SEGMENT_SUFFIX}")):
            yield str(path.relative_to(self._root))

    def prune(self, before: datetime) -> int:
        removed = 0
        for name in self.names():
            path = self._root / name
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
        return removed


def _copy(segment: Path, target: Path) -> None:
    """With its times. Durable on return; what an interruption leaves has another name."""
    new = target.with_suffix(".new")
    shutil.copy2(segment, new)
    fd = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    new.replace(target)

"""A file of whole lines: what a crash left of a line is cut off when the file is opened, and written again by
whoever had not been told that it was there."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["LinesFile", "is_at"]

_CHUNK = 64 * 1024


class LinesFile:
    """Appends; makes file and folders where there are none, readable by their owner only. OSError from every method.

    A file that was moved or removed (as log rotation does) is made anew at its path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def __repr__(self) -> str:
        return f"<LinesFile {self.path}{'' if self._fd is None else ' open'}>"

    def open(self) -> None:
        self.close()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _cut_half_a_line(self._fd)

    def append(self, lines: Sequence[bytes]) -> int:
        """Writes the lines, all or none, and returns the file's size when they are on disk."""
        fd = self._opened()
        before = os.fstat(fd).st_size
        rest = memoryview(b"\n".join((*lines, b"")))
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, before)
            raise
        return os.fstat(fd).st_size

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _opened(self) -> int:
        if self._fd is None or not is_at(self._fd, self.path):
            self.open()
        assert self._fd is not None
        return self._fd


def _cut_half_a_line(fd: int) -> None:
    end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - _CHUNK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    os.ftruncate(fd, end)


def is_at(fd: int, path: Path) -> bool:
    """Whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False

"""The segment that is being written, and the repair of one whose writer was killed.

A write is on disk when it returns: ``RWF_DSYNC`` is write and fdatasync in one system call, so the writer
thread waits for the interpreter's lock once per commit and not twice.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from .directory import is_same_file, segment_numbers, segment_path, sync_directory
from .segment import HEADER_SIZE, good_end, header

__all__ = ["FRAMES_PER_WRITE", "SegmentFile", "Written", "cut_torn_tail"]

FRAMES_PER_WRITE = 1024
"""Linux takes at most this many buffers in one call (IOV_MAX)."""


class Written(NamedTuple):
    """How many frames, from the first on, are on disk; and why not all of them."""

    frames: int
    error: OSError | None


class SegmentFile:
    """A segment open for writing, until its first error. After that nobody knows what the kernel still holds
    (a second fsync may report success for pages it has dropped), so it is abandoned and another one begun."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.end = HEADER_SIZE
        """Where the durable frames end."""
        self._fd = fd

    @classmethod
    def create(cls, directory: Path, number: int, marker: bytes) -> Self:
        """A new file with its header, in a directory that remembers it. OSError leaves nothing behind."""
        path = segment_path(directory, number)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        segment = cls(path, fd)
        try:
            _, error = _write_durably(fd, [header(marker)], 0)
            if error is not None:
                raise error
            # Before the first frame: no reader may see records in a file that a power cut could take away.
            sync_directory(directory)
        except OSError:
            segment.abandon()
            raise
        return segment

    def write(self, frames: list[bytes]) -> Written:
        """Appends up to ``FRAMES_PER_WRITE`` frames."""
        written, error = _write_durably(self._fd, frames, self.end)
        whole = 0
        for frame in frames:
            if len(frame) > written:
                break
            written -= len(frame)
            self.end += len(frame)
            whole += 1
        return Written(whole, error)

    def is_in_place(self) -> bool:
        """Whether the file is still where readers will look for it."""
        return is_same_file(self._fd, self.path)

    def close(self) -> None:
        os.close(self._fd)

    def abandon(self) -> None:
        """Closes after an error: leaves no half-written frame and no empty file. On a disk that refuses even
        this, readers report the remains as damage, though their records come again in the next segment."""
        with suppress(OSError):
            os.ftruncate(self._fd, self.end)
        if self.end == HEADER_SIZE:
            with suppress(OSError):
                self.path.unlink()
        with suppress(OSError):
            os.close(self._fd)


def cut_torn_tail(directory: Path) -> int:
    """Cuts the newest segment behind its last good frame, where a killed writer left half of one."""
    numbers = segment_numbers(directory)
    if not numbers:
        return 0
    with open(segment_path(directory, numbers[-1]), "r+b") as file:
        data = file.read()
        end = good_end(data)
        if end < len(data):
            file.truncate(end)
            os.fsync(file.fileno())
    return len(data) - end


def _write_durably(fd: int, frames: list[bytes], offset: int) -> tuple[int, OSError | None]:
    """Bytes on disk, and why not all. A short write is followed by another, which tells the reason."""
    total = sum(map(len, frames))
    written = 0
    left: list[bytes | memoryview] = list(frames)
    try:
        while written < total:
            taken = os.pwritev(fd, left, offset + written, os.RWF_DSYNC)
            written += taken
            left = _behind(left, taken)
    except OSError as error:
        return written, error
    return written, None


def _behind(buffers: list[bytes | memoryview], taken: int) -> list[bytes | memoryview]:
    """What is left of the buffers after ``taken`` bytes."""
    for index, buffer in enumerate(buffers):
        if taken < len(buffer):
            return [memoryview(buffer)[taken:], *buffers[index + 1 :]]
        taken -= len(buffer)
    return []

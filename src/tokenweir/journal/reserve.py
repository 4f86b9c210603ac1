"""Room that is taken on the journal's disk while there is some, for the records that wait when a relay stops on a full
disk. Their blocks are written over, so nobody else can take the room meanwhile, and the file becomes a segment.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from .directory import segment_path, sync_directory
from .segment import header

__all__ = ["Reserve"]

RESERVE_NAME = "reserve"

_LARGEST_SHARE = 16
"""Of what a small disk has left, one part in so many is taken at most."""


class Reserve:
    """The reserve of one directory. Whatever the disk refuses is not raised: then there is less room, or none."""

    def __init__(self, directory: Path, size: int) -> None:
        self._path = directory / RESERVE_NAME
        self._wanted = size

    def take_up(self) -> None:
        """Takes the room, unless it is taken, also by an earlier run."""
        if self.size():
            return
        with suppress(OSError):
            room = min(self._wanted, shutil.disk_usage(self._path.parent).free // _LARGEST_SHARE)
            if room == 0:
                return
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, room)
            except OSError:
                self._path.unlink()
                raise
            finally:
                os.close(fd)

    def size(self) -> int:
        """Bytes that are taken; 0 where there are none."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def write(self, number: int, marker: bytes, frames: list[bytes]) -> int:
        """Makes a segment of it, with as many of the frames, from the first on, as there is room for. How many are on
        disk."""
        room = self.size() - len(header(marker))
        whole = 0
        for frame in frames:
            room -= len(frame)
            if room < 0:
                break
            whole += 1
        if not whole:
            return 0
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                data = memoryview(b"".join((header(marker), *frames[:whole])))
                end = len(data)
                while data:
                    data = data[os.pwrite(fd, data, end - len(data)) :]
                os.ftruncate(fd, end)
                os.fsync(fd)
            finally:
                os.close(fd)
            self._path.rename(segment_path(self._path.parent, number))
            sync_directory(self._path.parent)
        except OSError:
            return 0
        return whole

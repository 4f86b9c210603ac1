"""A promise on disk, ahead of the numbers that are handed out: no record of this run has a higher one.

It is raised by the writer thread before it is reached, and a run that ends by itself leaves the exact number. So
after a kill nothing is missing beyond it. It stays ahead by ``MIN_AHEAD`` numbers or ``MIN_COMMITS_AHEAD`` commits'
worth, a third of a second of load, and is written once in half of that. A relay without calls comes back to the exact
number, so that a kill then is known to have cost nothing; the first call afterwards has the writer raise it again.

More can be missing than it says in two cases: the disk stands still for longer than that in the middle of a commit,
and the process is killed then; or it is killed in the millisecond in which the first call after a pause has ended and
the limit is being raised.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from ..errors import JournalError
from .directory import WriterLock, is_same_file, sync_directory

__all__ = ["SeqBound", "SeqLimit", "read_limit"]

LIMIT_NAME = "seq-limit.json"
MIN_AHEAD = 256
"""An idle relay that gets busy at once ends some hundred calls while its first commit gathers."""

MIN_COMMITS_AHEAD = 32

_WIDTH = 512
"""Written over in place, within one sector: that is not torn, and needs no space on a full disk."""

_encode = msgspec.json.Encoder().encode


class SeqBound(msgspec.Struct, frozen=True, kw_only=True):
    replica: str
    limit: int
    ended: bool = False
    """Whether ``limit`` is the last number that was handed out."""
    previous: str = ""
    """The run before this one that has left records, and its last number on disk."""
    previous_last: int = 0


_decode = msgspec.json.Decoder(SeqBound).decode


def read_limit(directory: Path) -> SeqBound | None:
    """What the latest run has promised; None if nothing that can be read."""
    try:
        return _decode((directory / LIMIT_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


class SeqLimit:
    """The writer's side. A disk that takes nothing is not raised: the commits say so, and it is tried again."""

    def __init__(self, lock: WriterLock, replica: str, previous: str = "", previous_last: int = 0) -> None:
        self._lock = lock
        self._path = lock.directory / LIMIT_NAME
        self._gathered = 0
        self._looked_at = 0
        self._limit = SeqBound(replica=replica, limit=0, previous=previous, previous_last=previous_last)
        self._fd: int | None = None
        self._write(self._limit)

    def keep_ahead(self, handed_out: int, gathered: int) -> None:
        """Before a pause or a commit of ``gathered`` records. Waits for the disk if the limit has come near."""
        self._gathered = max(self._gathered, gathered)
        ahead = self._ahead()
        if self._limit.limit - handed_out < ahead // 2:
            self._write(msgspec.structs.replace(self._limit, limit=handed_out + ahead))

    def tighten(self, handed_out: int) -> None:
        """Once a second, with nothing left to commit: comes back after a rush; to the exact number without calls."""
        ahead = self._ahead() if handed_out != self._looked_at else 0
        if not 0 <= self._limit.limit - handed_out <= 2 * ahead:
            self._write(msgspec.structs.replace(self._limit, limit=handed_out + ahead))
        self._gathered = 0
        self._looked_at = handed_out

    def _ahead(self) -> int:
        return max(MIN_AHEAD, MIN_COMMITS_AHEAD * self._gathered)

    def end(self, handed_out: int) -> None:
        self._write(msgspec.structs.replace(self._limit, limit=handed_out, ended=True))
        self._close()

    def _write(self, limit: SeqBound) -> None:
        with suppress(OSError, JournalError):
            if self._fd is None or not is_same_file(self._fd, self._path):
                self._open()
            assert self._fd is not None
            text = _encode(limit).ljust(_WIDTH)
            if os.pwritev(self._fd, [text], 0, os.RWF_DSYNC) == len(text):
                self._limit = limit

    def _open(self) -> None:
        self._close()
        self._lock.hold()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        sync_directory(self._path.parent)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

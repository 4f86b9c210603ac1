"""A writer's directory: what its files are called, who holds it, and what to do when it cannot be used."""

import errno
import fcntl
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from ..errors import JournalError, JournalInUse

__all__ = [
    "WriterLock",
    "append_line",
    "journal_directories",
    "journal_name",
    "segment_numbers",
    "segment_path",
    "sync_directory",
    "take_wish_for_segment",
    "unusable",
    "wish_for_segment",
]

SEGMENT_SUFFIX = ".twj"
LOCK_NAME = "lock"
_ENDING = "ending"
NAME_NAME = "name"
WISH_NAME = "next-segment"

_ADVICE = {
    errno.EACCES: "give the user that runs Tokenweir read and write permission on it",
    errno.EPERM: "give the user that runs Tokenweir read and write permission on it",
    errno.EROFS: "mount the file system for writing, or set [journal] directory elsewhere",
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "raise the disk quota or free space within it",
    errno.EFBIG: "raise the file size limit of the process (ulimit -f)",
    errno.EIO: "check the disk and the kernel's log",
    errno.ENOENT: "create it, or correct [journal] directory",
    errno.EEXIST: "a file is in its place: move it away, or correct [journal] directory",
    errno.ENOTDIR: "a part of the path is a file: correct [journal] directory",
    errno.EMFILE: "raise the limit of open files of the process (ulimit -n)",
}


def unusable(directory: Path, error: OSError) -> JournalError:
    """What a person needs to know about a failure of the file system."""
    advice = _ADVICE.get(error.errno or 0, "check the disk and [journal] directory")
    return JournalError(f"the journal in {directory} cannot be used ({error.strerror or error}): {advice}")


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:020d}{SEGMENT_SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """The numbers of all segments, oldest first. OSError if the directory cannot be read."""
    stems = (name.removesuffix(SEGMENT_SUFFIX) for name in os.listdir(directory) if name.endswith(SEGMENT_SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def wish_for_segment(directory: Path) -> None:
    """Has the relay that writes here begin a new segment within a second, so that the present one can be passed."""
    try:
        (directory / WISH_NAME).touch(mode=0o600)
    except OSError as error:
        raise unusable(directory, error) from error


def take_wish_for_segment(directory: Path) -> bool:
    """Whether somebody wished for one since the last time."""
    try:
        (directory / WISH_NAME).unlink()
    except OSError:
        return False
    return True


def journal_directories(root: Path) -> list[Path]:
    """The writers' directories under ``[journal] directory``, by name; none before a relay has started."""
    try:
        return sorted(path for path in root.iterdir() if (path / LOCK_NAME).is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(root, error) from error


def journal_name(root: Path) -> str:
    """A name for ``[journal] directory`` that no other one anywhere has: drawn when first asked for, and kept there.

    Whoever notes how far its journals have been read in a place that several gateways share needs it to tell them
    apart; every gateway's first relay is called ``relay-0``.
    """
    path = root / NAME_NAME
    try:
        if not path.exists():
            drawn = root / f".name.{os.getpid()}"
            drawn.write_text(f"{socket.gethostname()}-{secrets.token_hex(6)}")
            # Of several that draw one at the same time the first wins, and nobody reads half a name.
            with suppress(FileExistsError):
                os.link(drawn, path)
            drawn.unlink()
        return path.read_text()
    except OSError as error:
        raise unusable(root, error) from error


class WriterLock:
    """One writer per directory: an flock, which the kernel drops when the process dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._fd: int | None = None

    def hold(self) -> None:
        """Makes the directory if need be and takes the lock; does nothing if that lock is held.

        JournalInUse if another process holds it, OSError if the directory cannot be written.
        """
        if self._fd is not None and is_same_file(self._fd, self.directory / LOCK_NAME):
            return
        self.release()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A fixed width, written over the old one, needs no space on a full disk.
            os.pwrite(fd, b"%-20d\n%-6b\n" % (os.getpid(), b""), 0)
        except BlockingIOError:
            holder, _, state = os.pread(fd, 27, 0).decode("ascii", "replace").partition("\n")
            os.close(fd)
            error = JournalInUse(
                f"the journal in {self.directory} is being written by process {holder.strip() or 'unknown'}: "
                "stop that process, or give this one another [journal] directory"
            )
            error.is_ending = state == _ENDING
            raise error from None
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def announce_end(self) -> None:
        """Tells who wants the lock that it will be free: its holder takes no more calls."""
        if self._fd is not None:
            os.pwrite(self._fd, _ENDING.encode(), 21)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def sync_directory(directory: Path) -> None:
    """Returns once the names in it are on disk. OSError if the disk refuses."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def append_line(path: Path, line: bytes) -> None:
    """Adds a line to a file of notes, in one call, as several processes may have something to say; on disk on return.
    OSError if the disk refuses."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def is_same_file(fd: int, path: Path) -> bool:
    """Whether ``path`` still leads to the open file, that is: nobody has removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False

"""How a writer is doing, for its own process and, through a small file, for others that cannot ask it."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from ..records import TargetStatus

__all__ = ["JournalStatus", "Trouble", "read_status", "write_status"]

STATUS_NAME = "status.json"

_encode = msgspec.json.Encoder().encode


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong with a part of the gateway, since when, and what to do about it."""

    since: datetime
    message: str
    hinders_calls: bool = True
    """Whether a gateway with it is not ready."""


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the start of this run; ``waiting`` is in memory and not yet on disk."""

    replica: str
    written_at: datetime
    """When this was true. The file is renewed once a second: if it is old, its writer hangs or was killed."""
    running: bool
    records_written: int
    bytes_written: int
    commits: int
    last_commit_ms: float
    waiting_records: int
    waiting_bytes: int
    content_shed: int
    """Records that were written without their bodies, though content was to be kept."""
    records_lost: int
    """Records that found no room in memory while the disk took nothing, each of them in the log; at the end of a run,
    also those that waited and found no room in the reserve."""
    records_unnoted: int = 0
    """Records of the run before that are missing and of which the disk has not taken the note yet."""
    failing_since: datetime | None
    last_error: str | None
    """The latest reason why the disk did not take something; kept after it has recovered."""
    gauges: dict[str, float | int] = {}
    """Whatever else the owner of the journal wants seen."""
    upstream_errors: dict[str, dict[str, int]] = {}
    """Requests that got no good answer, by upstream and kind, as the owner counts them."""
    targets: list[TargetStatus] = []
    """How the targets of the owner's deployments are."""
    troubles: dict[str, Trouble] = {}
    """What is wrong with the owner's other parts, by their names."""


_decode = msgspec.json.Decoder(JournalStatus).decode


def write_status(directory: Path, status: JournalStatus) -> None:
    """Replaces the file in one step; on a full disk, writes over it. What the disk refuses is not raised."""
    path = directory / STATUS_NAME
    new = path.with_suffix(".new")
    text = _encode(status)
    try:
        new.write_bytes(text)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        with suppress(OSError):
            _write_over(path, text)


def read_status(directory: Path) -> JournalStatus | None:
    """What the writer of a directory last said; None if it said nothing that can be read."""
    try:
        return _decode((directory / STATUS_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def _write_over(path: Path, text: bytes) -> None:
    """Keeps to the bytes the file already owns, as far as they reach: those need no space."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, text.ljust(os.fstat(fd).st_size), 0)
    finally:
        os.close(fd)

"""The writer's side of a journal: one per relay process, used from its event loop."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from ..errors import JournalError, JournalUnavailable
from ..records import CallRecord, Clock, TargetStatus, without_contents
from .committer import Committer
from .cursors import Position
from .directory import WriterLock, unusable
from .missing import Missing, last_record, note_missing, try_to_note
from .payload import encode
from .segment import frame, new_marker
from .segment_file import cut_torn_tail
from .seq_limit import SeqLimit, read_limit
from .settings import JournalSettings
from .status import JournalStatus, Trouble, write_status

__all__ = ["Journal"]

_log = logging.getLogger(__name__)

MAX_WAITING_BYTES = 256 * 1024 * 1024
"""Bytes of records that may wait in memory for a disk that takes nothing; beyond it, a record is lost.

Half of it is for calls to go on: then no new ones are accepted and bodies are left out, and the other half is
for the endings of those under way, some 250,000 without bodies. Kept well below what a relay's container has.
"""

MAX_BYTES_WITH_CONTENT = MAX_WAITING_BYTES // 2


class _LastRun(NamedTuple):
    """The latest run here that has left records, and its last number."""

    replica: str
    last: int
    unnoted: Missing | None = None
    """What is missing at its end, where the disk did not take the note."""


class Journal:
    """Takes records and brings them to disk in the order in which they came.

    ``append`` returns at once. A record is on disk when its ``on_durable`` is called: on a healthy disk after
    ``commit_interval`` and one write at most. On one that is not, records wait in memory, attempts go on, and
    ``accepts_calls`` says whether new calls should be let in.

    ``replica`` names this run, not this place, and ``seq`` starts at 1 in each. A lasting name would have to
    find its last number on disk; a power cut takes the newest records with it, so numbers would be given
    twice, and a consumer that had seen the first would drop the second as a copy. This way (replica, seq) is
    unique for ever, and a number missing below a replica's last is a lost record. ``SeqLimit`` tells how far a run that
    was killed may have come.
    """

    @classmethod
    def open(cls, directory: Path, settings: JournalSettings, clock: Clock) -> Self:
        """Makes and locks the directory, repairs what a killed writer left, and starts the writer thread.

        The first record begins a new segment. JournalError if another process writes here, or nobody can.
        """
        lock = WriterLock(directory)
        try:
            lock.hold()
            cut = cut_torn_tail(directory)
            if cut:
                _log.warning("the journal in %s ended in half a record: %d bytes were cut off", directory, cut)
            return cls(lock, settings, clock, _end_of_last_run(directory, clock))
        except JournalError:
            lock.release()
            raise
        except OSError as error:
            lock.release()
            raise unusable(directory, error) from error

    def __init__(self, lock: WriterLock, settings: JournalSettings, clock: Clock, last_run: _LastRun) -> None:
        self.directory = lock.directory
        self.replica = f"{socket.gethostname()}-{self.directory.name}-{secrets.token_hex(6)}"
        self.gauges: dict[str, float | int] = {}
        """Published in the status file with our own counters; the owner keeps them up to date."""
        self.troubles: dict[str, Trouble] = {}
        """Published likewise."""
        self.targets: list[TargetStatus] = []
        """Published likewise."""
        self.upstream_errors: dict[str, dict[str, int]] = {}
        """Published likewise."""
        self._lock = lock
        self._clock = clock
        self._marker = new_marker()
        self._seq = 0
        self._bytes_taken = 0
        self._content_shed = 0
        self._records_lost = 0
        self._unnoted = [] if last_run.unnoted is None else [last_run.unnoted]
        limit = SeqLimit(lock, self.replica, last_run.replica, last_run.last)
        self._committer = Committer(lock, self._marker, settings, clock, self._publish, limit, lambda: self._seq)
        # In strict durability no answer could end, with or without the bodies in its record.
        self._goes_on = settings.on_failure == "shed_content" and settings.durability == "batch"
        self._committer.start()

    def __repr__(self) -> str:
        return f"<Journal {self}>"

    def __str__(self) -> str:
        """For a person."""
        committer = self._committer
        state = f"{committer.records_written} written, {len(committer.waiting)} waiting"
        if committer.failing_since is not None:
            state = f"failing since {committer.failing_since:%H:%M:%S}, {state}"
        return f"{self.directory.name} [{'' if committer.is_open else 'closed, '}{state}]"

    @property
    def accepts_calls(self) -> bool:
        """Whether the record of a new call would find its place."""
        committer = self._committer
        if not committer.is_open or self._waiting_bytes > MAX_BYTES_WITH_CONTENT:
            return False
        return committer.failing_since is None or self._goes_on

    @property
    def committed(self) -> Position:
        """Behind the last record that is on disk; within ``on_durable``, behind that record at least."""
        return self._committer.committed

    def next_seq(self) -> int:
        """The number of this run's next record."""
        self._seq += 1
        return self._seq

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        """Takes a record; ``on_durable`` is called in the running loop once it is on disk. Never blocks.

        JournalError if the record is lost: memory is full of what the disk refuses, or this is closed.
        """
        whole = frame(encode(record), self._marker)
        committer = self._committer
        waiting = self._bytes_taken + len(whole) - committer.bytes_written - committer.bytes_shed
        if waiting > MAX_BYTES_WITH_CONTENT or not committer.is_open:
            squeezed = self._squeeze(record, whole)
            if squeezed is None:
                return
            whole = squeezed
        if on_durable is not None and committer.loop is None:
            committer.loop = asyncio.get_running_loop()
        self._bytes_taken += len(whole)
        committer.waiting.append((whole, on_durable))
        if committer.is_resting:
            committer.wake()

    def status(self) -> JournalStatus:
        """From memory, so it is right whatever the disk does."""
        committer = self._committer
        return JournalStatus(
            replica=self.replica,
            written_at=self._clock.now(),
            running=committer.is_open,
            records_written=committer.records_written,
            bytes_written=committer.bytes_written,
            commits=committer.commits,
            last_commit_ms=committer.last_commit_ms,
            waiting_records=len(committer.waiting),
            waiting_bytes=self._waiting_bytes,
            content_shed=committer.content_shed + self._content_shed,
            # At the end, also what waited for a disk that took nothing.
            records_lost=self._records_lost + (0 if committer.is_open else len(committer.waiting)),
            records_unnoted=sum(one.records for one in self._unnoted),
            failing_since=committer.failing_since,
            last_error=committer.last_error,
            gauges=self.gauges.copy(),
            upstream_errors={name: kinds.copy() for name, kinds in self.upstream_errors.copy().items()},
            targets=self.targets,
            troubles=self.troubles.copy(),
        )

    def announce_end(self) -> None:
        """Tells a process that waits for this journal that it will be closed soon."""
        self._lock.announce_end()

    def close(self) -> int:
        """Brings everything to disk, ends the thread and gives the directory free; blocks meanwhile.

        Returns how many records could not be written; 0 unless the disk refuses.
        """
        committer = self._committer
        if committer.is_open:
            committer.stop()
            if committer.waiting:
                _log.error("records are lost, the journal closes with them: %s: %s", self, committer.last_error)
        if committer.has_ended():
            self._lock.release()
        return len(committer.waiting)

    @property
    def _waiting_bytes(self) -> int:
        return self._bytes_taken - self._committer.bytes_written - self._committer.bytes_shed

    def _publish(self) -> None:
        self._unnoted = [one for one in self._unnoted if not try_to_note(self.directory, one)]
        write_status(self.directory, self.status())

    def _squeeze(self, record: CallRecord, whole: bytes) -> bytes | None:
        """What can still be kept of a record when memory fills up."""
        committer = self._committer
        if committer.is_open and record.error_code == JournalUnavailable.code:
            # One of the calls that were refused for this very reason: they come without end, and would take
            # the room of those that were let in. Counted, and seen as a gap in seq.
            self._records_lost += 1
            return None
        bare = without_contents(record)
        if bare is not record:
            whole = frame(encode(bare), self._marker)
        if not committer.is_open or self._waiting_bytes + len(whole) > MAX_WAITING_BYTES:
            self._records_lost += 1
            _log.error("the record of call %s (seq %d) is lost: %s", record.call_id, record.seq, self)
            raise JournalError(f"the record of call {record.call_id} is lost: the journal takes no more")
        if bare is not record:
            self._content_shed += 1
        return whole


def _end_of_last_run(directory: Path, clock: Clock) -> _LastRun:
    """What it handed out beyond its last record is noted."""
    limit = read_limit(directory)
    if limit is None:
        return _LastRun("", 0)
    unnoted: Missing | None = None
    record = last_record(directory)
    on_disk = record.seq if record is not None and record.replica == limit.replica else 0
    if on_disk < limit.limit:
        reason = (
            "the run has ended, and its last records are not on disk"
            if limit.ended
            else "the relay was killed; it handed out at most these numbers, perhaps fewer"
        )
        missing = Missing(
            found_at=clock.now(), replica=limit.replica, first=on_disk + 1, last=limit.limit, reason=reason
        )
        unnoted = None if note_missing(directory, missing) else missing
    if on_disk:
        return _LastRun(limit.replica, on_disk, unnoted)
    return _LastRun(limit.previous, limit.previous_last, unnoted)

"""The writer thread: group commit, rotation, and what happens while the disk accepts nothing.

The event loop appends to the end of one list; this thread takes from its front what has come to disk. Both
are single operations on the list, so there is no lock to wait for, and nothing is ever between two hands.

    resting ──appended──▶ gather for commit_interval (batch) ──▶ commit ──nothing waits──▶ resting
                                                                    └─error──▶ abandon the segment, wait RETRY_S
                                                                               ──▶ commit into a new one
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from ..errors import JournalError, JournalUnavailable
from ..records import Clock
from .cursors import START, Position
from .directory import WriterLock, segment_numbers, take_wish_for_segment, unusable
from .payload import bare_payload, decode
from .reserve import Reserve
from .segment import HEADER_SIZE, frame, payload_of
from .segment_file import FRAMES_PER_WRITE, SegmentFile
from .seq_limit import SeqLimit
from .settings import JournalSettings

__all__ = ["Committer"]

_log = logging.getLogger(__name__)

RETRY_S = 0.5
"""Between attempts on a disk that accepts nothing: soon after space was made, without loading a failing disk."""

SHED_S = 10.0
"""How long after a failed write ``shed_content`` leaves bodies out, before it tries one with them again."""

REPORT_S = 1.0
"""How often the status file is renewed, and it is checked that the segment is still where readers look."""

CLOSE_S = 10.0
"""How long ``stop`` waits for a disk that does not answer. Kubernetes kills a pod 30 s after it was told to end."""

OnDurable = Callable[[], None]
Waiting = tuple[bytes, OnDurable | None]


class Committer:
    """Owns the thread and the segment it writes. From the loop: append to ``waiting``, then ``wake`` if it
    ``is_resting``; the counters may be read from anywhere."""

    def __init__(
        self,
        lock: WriterLock,
        marker: bytes,
        settings: JournalSettings,
        clock: Clock,
        report: Callable[[], None],
        limit: SeqLimit,
        handed_out: Callable[[], int],
    ) -> None:
        # for the process
        self.loop: asyncio.AbstractEventLoop | None = None
        self._lock = lock
        self._marker = marker
        self._settings = settings
        self._gather_s = settings.commit_interval if settings.durability == "batch" else 0.0
        self._clock = clock
        self._report = report
        self._limit = limit
        self._reserve = Reserve(lock.directory, settings.reserve)
        self._reserve.take_up()
        self._handed_out = handed_out
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        # what waits
        self.waiting: list[Waiting] = []
        self.is_resting = False
        self._stripped = 0
        # counters
        self.records_written = 0
        self.bytes_written = 0
        self.bytes_shed = 0
        self.content_shed = 0
        self.commits = 0
        self.committed = START
        """Behind the last record that is on disk."""
        self.last_commit_ms = 0.0
        # the state of the disk, and of the thread
        self.failing_since: datetime | None = None
        self.last_error: str | None = None
        self.is_open = True
        """Whether what is appended will be looked at: until the end, or until the thread has failed."""
        self._shed_until = 0.0
        self._segment: SegmentFile | None = None
        self._segment_began = clock.monotonic()
        self._last_number = max(segment_numbers(lock.directory), default=0)
        self._report_due = clock.monotonic()

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """To be called after something was appended while ``is_resting``. Never waits."""
        self.is_resting = False
        self._wakeups.put(None)

    def stop(self) -> None:
        """Commits what waits, unless the disk refuses, and ends the thread. Blocks for up to ``CLOSE_S``."""
        self.is_open = False
        self._wakeups.put(None)
        self._thread.join(CLOSE_S)

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    # the thread

    def _run(self) -> None:
        try:
            while self.is_open:
                self._rest()
                if self.waiting:
                    self._keep_ahead()
                    self._pause(self._gather_s)
                    self._keep_ahead()
                    if not self._commit():
                        self._pause(RETRY_S)
                if self._clock.monotonic() >= self._report_due:
                    self._check_and_report()
            while self.waiting and self._commit():
                pass
            if self.waiting:
                self._use_reserve()
            self._limit.end(self._handed_out())
        except Exception:
            _log.exception("the journal's writer thread has failed; no more calls are accepted: restart the relay")
        finally:
            self.is_open = False
            if self._segment is not None:
                self._segment.close()
                self._segment = None
            self._report()

    def _keep_ahead(self) -> None:
        self._limit.keep_ahead(self._handed_out(), min(len(self.waiting), FRAMES_PER_WRITE))

    def _rest(self) -> None:
        """Until something is appended, the next report is due, or the end."""
        self.is_resting = True
        if not self.waiting:
            self._pause(self._report_due - self._clock.monotonic())
        self.is_resting = False

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and self.is_open:
            with suppress(queue.Empty):
                self._wakeups.get(timeout=seconds)

    def _commit(self) -> bool:
        """Brings what has gathered to disk; False if any of it was refused."""
        started = self._clock.monotonic()
        is_shedding = self._is_shedding()
        if is_shedding:
            self._strip()
        batch = self.waiting[:FRAMES_PER_WRITE]
        try:
            written, error = self._open_segment().write([entry[0] for entry in batch])
        except JournalError as refusal:
            self._fail(refusal)
            return False
        if written:
            self.last_commit_ms = (self._clock.monotonic() - started) * 1000
            self._note_committed()
            self._settle(batch[:written])
        if error is not None:
            self._fail(unusable(self._lock.directory, error))
        elif self.failing_since is not None and not is_shedding:
            self._recover()
        return error is None

    def _use_reserve(self) -> None:
        """The end, on a disk that takes nothing. Where there is not room for all, records go without their bodies, and
        those of calls that were refused for this very reason go last."""
        if sum(len(whole) for whole, _ in self.waiting) > self._reserve.size():
            self._strip()
            self.waiting.sort(key=lambda entry: _was_refused(payload_of(entry[0])))
        frames = [whole for whole, _ in self.waiting]
        written = self._reserve.write(self._next_number(), self._marker, frames)
        if written:
            _log.warning("%d records were written into the reserve of the journal in %s", written, self._lock.directory)
            self._settle(self.waiting[:written])

    def _note_committed(self) -> None:
        if self._segment is not None:
            self.committed = Position(self._last_number, self._segment.end)

    def _is_shedding(self) -> bool:
        return self._clock.monotonic() < self._shed_until

    def _open_segment(self) -> SegmentFile:
        """The segment to write to, a new one if none is open or it is full. JournalError if there is none."""
        if self._segment is not None and self._segment.end >= self._settings.segment_size:
            self._segment.close()
            self._segment = None
        if self._segment is None:
            number = self._next_number()
            self._segment_began = self._clock.monotonic()
            try:
                self._lock.hold()
                self._segment = SegmentFile.create(self._lock.directory, number, self._marker)
            except OSError as error:
                raise unusable(self._lock.directory, error) from error
        return self._segment

    def _next_number(self) -> int:
        """The time in microseconds, so that not even a directory that was emptied sees a number twice: a reader's
        position in a segment of the same name would point into the middle of other records."""
        self._last_number = max(self._last_number + 1, int(self._clock.now().timestamp() * 1_000_000))
        return self._last_number

    def _settle(self, entries: list[Waiting]) -> None:
        del self.waiting[: len(entries)]
        self._stripped = max(0, self._stripped - len(entries))
        self.commits += 1
        self.records_written += len(entries)
        self.bytes_written += sum(len(whole) for whole, _ in entries)
        callbacks = [on_durable for _, on_durable in entries if on_durable is not None]
        if callbacks and self.loop is not None:
            # A loop that has closed has nobody left to be told.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(_call_all, callbacks)

    def _fail(self, error: JournalError) -> None:
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None
        self.last_error = str(error)
        sheds = self._settings.on_failure == "shed_content"
        if sheds:
            self._shed_until = self._clock.monotonic() + SHED_S
        if self.failing_since is None:
            self.failing_since = self._clock.now()
            consequence = "records go without their bodies" if sheds else "new calls are refused"
            _log.error("%s; %s; %d records wait in memory", error, consequence, len(self.waiting))

    def _recover(self) -> None:
        _log.warning("the journal in %s is written again; it failed since %s", self._lock.directory, self.failing_since)
        self.failing_since = None

    def _strip(self) -> None:
        """Takes the bodies out of what waits. Entries keep their places; the loop only adds behind them."""
        for index in range(self._stripped, len(self.waiting)):
            old, on_durable = self.waiting[index]
            bare = bare_payload(payload_of(old))
            if bare is not None:
                new = frame(bare, self._marker)
                self.waiting[index] = (new, on_durable)
                self.bytes_shed += len(old) - len(new)
                self.content_shed += 1
        self._stripped = len(self.waiting)

    def _check_and_report(self) -> None:
        self._report_due = self._clock.monotonic() + REPORT_S
        if not self.waiting:
            self._limit.tighten(self._handed_out())
        if self._segment is not None and not self._segment.is_in_place():
            directory = self._lock.directory
            self._fail(JournalError(f"the journal's newest segment was removed from {directory}, with its records"))
        if self.failing_since is not None and not self.waiting and not self._is_shedding():
            self._probe()
        if self.failing_since is None:
            self._reserve.take_up()
            self._turn_page()
        self._report()

    def _turn_page(self) -> None:
        """Begins a new segment where the present one, or the last one of the run before, has records and is old enough,
        or where somebody wants it passed."""
        is_wanted = take_wish_for_segment(self._lock.directory)
        segment = self._segment
        if segment is not None and segment.end == HEADER_SIZE:
            return
        if not is_wanted and self._clock.monotonic() - self._segment_began < self._settings.segment_age:
            return
        if segment is not None:
            segment.close()
            self._segment = None
        try:
            self._open_segment()
        except JournalError as error:
            self._fail(error)

    def _probe(self) -> None:
        """While calls are refused, nothing comes that a write could be tried with."""
        try:
            self._open_segment()
        except JournalError as error:
            self._fail(error)
        else:
            self._recover()


def _was_refused(payload: bytes) -> bool:
    return decode(payload).error_code == JournalUnavailable.code


def _call_all(callbacks: list[OnDurable]) -> None:
    for on_durable in callbacks:
        try:
            on_durable()
        except Exception:
            _log.exception("what waited for a record to be durable has failed")

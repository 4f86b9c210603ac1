"""What the books' process runs for jobs: the watch over the journals, the table, and who asks and bills."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from ..delivery.base import AttemptPolicy, RecordBatch
from ..delivery.loop import Delivery
from ..delivery.sources.journals import JournalReads, JournalsSource
from ..errors import ConfigError, JournalError
from ..journal import Journal, JournalSettings, begin_cursor
from ..records import CallRecord, Clock
from ..upstream import Upstream, UpstreamSettings, open_upstreams
from .billing import Biller
from .hosting import Hosting
from .listening import Listeners
from .settings import JobsSettings
from .table import JOBS_FILE, Job, JobsStatus, JobTable
from .watch import Watch, may_tell

__all__ = ["JOBS_CURSOR", "JOBS_JOURNAL", "Jobs", "begin_jobs", "jobs_status", "open_jobs", "rewrite_jobs"]

_log = logging.getLogger(__name__)

JOBS_JOURNAL = "jobs"
"""The journal in which the books write the records of jobs, beside those of the relays."""
JOBS_CURSOR = "jobs"
"""How far each journal has been watched for jobs."""

# How long a new row may wait to be seen, and connections to be closed, where nothing wakes the biller.
_LONGEST_NAP_SECONDS = 5.0
_LAST_SECONDS = 5.0
_FORGET_SECONDS = 3600.0
_SAY_AGAIN_SECONDS = 60.0


def begin_jobs(directory: Path) -> None:
    """From now on no segment of a journal goes before it was watched for jobs."""
    begin_cursor(directory, JOBS_CURSOR)


def jobs_status(root: Path, clock: Clock) -> JobsStatus:
    """How the jobs are of the gateway whose journals are below ``root``; from any thread and process, and without one
    that runs. Raises ``JournalError``."""
    with _table_of(root) as table:
        return JobsStatus() if table is None else table.status(clock.now())


def open_jobs(root: Path) -> list[Job]:
    """Its open jobs, the oldest first. Raises ``JournalError``."""
    with _table_of(root) as table:
        return [] if table is None else list(table.open())


def rewrite_jobs(root: Path, change: Callable[[CallRecord], CallRecord | None]) -> int:
    """Exchanges the records of calls that have made jobs, where ``change`` gives another; how many. Raises
    ``JournalError``."""
    with _table_of(root, read_only=False) as table:
        return 0 if table is None else table.rewrite(change)


@contextmanager
def _table_of(root: Path, *, read_only: bool = True) -> Iterator[JobTable | None]:
    """None where there was no job yet."""
    directory = root / JOBS_JOURNAL
    if not (directory / JOBS_FILE).exists():
        yield None
        return
    with closing(JobTable(directory, read_only=read_only)) as table:
        yield table


class Jobs:
    """Of one gateway. ``start`` in a running loop, ``stop`` at the end; without, nothing is watched or asked."""

    def __init__(
        self,
        root: Path,
        settings: JobsSettings,
        upstreams: Sequence[UpstreamSettings],
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._root = root
        self._settings = settings
        self._clock = clock
        self._upstreams = _usable(upstreams, environ, clock)
        self._delivery = Delivery(
            "jobs", JournalsSource(root, JOBS_CURSOR, JournalReads(wants=may_tell)), [self], clock
        )
        self._wakes = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._listeners: Listeners | None = None
        # while it is open
        self._table: JobTable | None = None
        self._journal: Journal | None = None
        self._watch: Watch | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._delivery.run(), name="jobs")

    async def stop(self) -> None:
        """What is under way is asked again after the next start."""
        self._delivery.stop()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    # --- a destination of the delivery loop ---

    async def open(self) -> None:
        if self._watch is not None:
            return
        directory = self._root / JOBS_JOURNAL
        self._journal = self._journal or Journal.open(directory, JournalSettings(), self._clock)
        table = self._table = JobTable(directory)
        self._watch = Watch(table, self._settings, self._resource_of, self._clock)
        biller = Biller(table, self._journal, self._upstreams, self._settings, self._clock)
        if self._settings.listen:
            self._listeners = Listeners(table, self._journal, self._upstreams, self._settings, self._clock)
        hosting = Hosting(table, self._journal, self._settings, self._clock)
        self._asking = asyncio.get_running_loop().create_task(self._ask(biller, hosting, table))

    async def deliver(self, batch: RecordBatch, attempt: AttemptPolicy) -> None:
        async def take() -> None:
            if self._watch is not None and self._watch.take(batch.records):
                self._wakes.set()

        await attempt(take)

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
        if self._listeners is not None:
            await self._listeners.close()
        if self._table is not None:
            self._table.close()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)
        for upstream in self._upstreams.values():
            upstream.pool.close()

    # --- inside ---

    async def _ask(self, biller: Biller, hosting: Hosting, table: JobTable) -> None:
        """Looks at what is due, for as long as the process lives."""
        forget_at = say_at = 0.0
        while True:
            self._wakes.clear()
            pause = _LONGEST_NAP_SECONDS
            try:
                if self._listeners is not None:
                    self._listeners.look()
                await hosting.look()
                while await biller.turn():
                    pass
                if self._clock.monotonic() >= forget_at:
                    table.forget(self._clock.now() - timedelta(seconds=2 * self._settings.give_up))
                    forget_at = self._clock.monotonic() + _FORGET_SECONDS
                next_at = table.next_at()
                if next_at is not None:
                    pause = min(pause, max(0.05, (next_at - self._clock.now()).total_seconds()))
            except JournalError as error:
                if self._clock.monotonic() >= say_at:
                    _log.error("jobs are not billed for now, and are asked for again: %s", error)
                    say_at = self._clock.monotonic() + _SAY_AGAIN_SECONDS
            except Exception:
                _log.exception("jobs could not be looked at; it is tried again")
            for upstream in self._upstreams.values():
                upstream.pool.close_aged()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wakes.wait(), pause)

    def _resource_of(self, backend: str | None) -> str:
        """Of one that is not configured any more, its name has to do."""
        upstream = self._upstreams.get(backend or "")
        if upstream is None:
            return f"upstream {backend}"
        return (upstream.endpoint.authority + upstream.endpoint.base).decode()


def _usable(settings: Sequence[UpstreamSettings], environ: Mapping[str, str], clock: Clock) -> dict[str, Upstream]:
    """Those that can be signed in to from here. A job at another one says so when it is asked for."""
    found: dict[str, Upstream] = {}
    for one in settings:
        try:
            found |= open_upstreams([one], environ, clock)
        except ConfigError as error:
            _log.error("jobs at the upstream %s cannot be asked for: %s", one.name, error)
    return found

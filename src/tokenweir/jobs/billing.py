"""Asks for the jobs that are due, and writes the record of each that has ended. It alone writes such records.

A record is on disk before its job's row is closed. A crash in between asks once more and writes the same record, with
the same ``call_id``, again: whoever keeps records keeps one.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import quote

from msgspec.structs import replace

from ..apis import JOB_KINDS, has_ended, surface_of
from ..errors import JournalError, place_of
from ..metering import Meter, meter_for
from ..records import CallRecord, Clock
from ..upstream import Upstream
from .asking import Question, QuestionFailed, ask
from .batch_files import FirstLine, OutputLines
from .record import day_record, given_up_record, job_record, lacks_usage
from .settings import JobsSettings
from .table import Job, JobTable

__all__ = ["Biller", "JobLog"]

_log = logging.getLogger(__name__)

_KINDS = {kind.name: kind for kind in JOB_KINDS}
_DAY = timedelta(days=1)

_AT_ONCE = 8
# A resource that has just made a job may not know it yet everywhere.
_TIMES_MISSING = 3
_GONE = (404, 410)
_MOST_DAYS_AT_ONCE = 31


class JobLog(Protocol):
    """Where the records go: a journal."""

    replica: str

    def next_seq(self) -> int: ...

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None: ...


class Biller:
    """One for the table; ``turn`` is called by one task."""

    def __init__(
        self, table: JobTable, log: JobLog, upstreams: Mapping[str, Upstream], settings: JobsSettings, clock: Clock
    ) -> None:
        self._table = table
        self._log = log
        self._upstreams = upstreams
        self._settings = settings
        self._clock = clock
        self._written: set[str] = set()
        """Ids of records whose row is not closed yet, so that a table that takes nothing costs no second record."""

    async def turn(self) -> bool:
        """Looks at the jobs that are due now; whether there may be more. Raises ``JournalError``."""
        due = self._table.due(self._clock.now(), _AT_ONCE)
        rows = await asyncio.gather(*map(self._looked_at, due), return_exceptions=True)
        for job, row in zip(due, rows, strict=True):
            if isinstance(row, Job):
                self._table.put(self._with_what_was_seen(job, row))
            elif isinstance(row, Exception) and not isinstance(row, JournalError):
                _log.error("%s %s could not be looked at: %s", job.key.kind, job.key.id, place_of(row))
                self._table.put(self._later(job._replace(failures=job.failures + 1, last_error=place_of(row))))
        for failure in rows:
            if isinstance(failure, JournalError):
                raise failure
        self._written.clear()
        return len(due) == _AT_ONCE

    def _with_what_was_seen(self, asked: Job, row: Job) -> Job:
        """Somebody may have been told of the end while it was asked for."""
        now = self._table.get(asked.key)
        if now is None or now.seen is None or asked.seen is not None or row.state == "closed":
            return row
        return row._replace(state="open", seen=now.seen, seen_by=now.seen_by, next_at=now.next_at)

    async def _looked_at(self, job: Job) -> Job:
        """The row afterwards."""
        made, now = job.made, self._clock.now()
        if made is None:  # somebody else's, whose record may still come
            return job._replace(state="unclaimed", next_at=None)
        try:
            said, by = await self._said(job, made)
            if _KINDS[job.key.kind].is_metered_daily:
                return await self._daily(job, made, said)
            if not has_ended(said) and self._is_too_old(job):
                return await self._given_up(job, made, f"it was open for too long, and is still {said.get('status')}")
            if not has_ended(said):
                return self._later(job._replace(asked=job.asked + 1, failures=0, missing=0, last_error=None))
            if job.key.kind == "batch":
                said = await self._batch(job, made, said)
        except QuestionFailed as error:
            return await self._without_answer(job, made, error)
        await self._write(job_record(job, made, said, by, now))
        return job._replace(state="closed", seen=None, next_at=None, last_error=None)

    # --- asking ---

    async def _said(self, job: Job, made: CallRecord) -> tuple[dict[str, Any], str]:
        """What is said of a job, and to whom. A caller who cancels a response may be told of its end and not of its
        usage; then it is asked for as well."""
        seen, by = job.seen, job.seen_by or ""
        if seen is not None and (job.key.kind != "response" or seen.get("usage")):
            return seen, by
        try:
            return await self._ask(job, made), "poll"
        except QuestionFailed:
            if seen is None or job.failures < _TIMES_MISSING:
                raise
            return seen, by

    async def _ask(self, job: Job, made: CallRecord) -> dict[str, Any]:
        """What the upstream says of a job."""
        kind = _KINDS[job.key.kind]
        meter = meter_for(
            surface_of(kind.surface),
            event_stream=False,
            content_encoding="",
            keep_content=False,
            reads_usage=True,
            monotonic=self._clock.monotonic,
        )
        await self._get(job, made, f"{kind.path}/{_plain(job.key.id)}", meter)
        said = meter.finish().job
        if said is None or said.get("id") != job.key.id:
            raise QuestionFailed("the upstream's answer does not tell of this job")
        return said

    async def _get(self, job: Job, made: CallRecord, tail: str, reader: Meter | OutputLines | FirstLine) -> None:
        if not self._settings.ask:
            raise QuestionFailed("the books are told not to ask ([jobs] ask)")
        upstream = self._upstreams.get(made.backend or "")
        if upstream is None:
            raise QuestionFailed(f"the upstream {made.backend} is not configured any more")
        if not upstream.signs:
            raise QuestionFailed(f"the gateway has no credential of its own at {upstream.name}; callers bring theirs")
        is_enough = reader.is_enough if isinstance(reader, FirstLine) else lambda: False
        await ask(Question(upstream, made.path, made.api_version), tail, reader, self._clock, is_enough=is_enough)

    async def _batch(self, job: Job, made: CallRecord, said: dict[str, Any]) -> dict[str, Any]:
        """A batch with its usage, and with the deployment that its input names: that stands in no other place."""
        said = dict(said)
        if lacks_usage(said):
            lines = OutputLines()
            await self._get(job, made, f"files/{_plain(said['output_file_id'])}/content", lines)
            try:
                said["usage"] = lines.finish()
            except ValueError as error:
                raise QuestionFailed(str(error)) from error
            said.setdefault("model", lines.model)
        if made.deployment is None and isinstance(said.get("input_file_id"), str):
            first = FirstLine()
            try:
                await self._get(job, made, f"files/{_plain(said['input_file_id'])}/content", first)
            except QuestionFailed as error:
                if error.status not in _GONE and self._settings.ask and job.failures < _TIMES_MISSING:
                    raise
            said["deployment"] = first.model
        return {name: value for name, value in said.items() if value is not None}

    # --- what comes of it ---

    async def _daily(self, job: Job, made: CallRecord, said: dict[str, Any]) -> Job:
        """A record for each day that has passed."""
        passed = min((self._clock.now() - job.made_at) // _DAY, job.days + _MOST_DAYS_AT_ONCE)
        for day in range(job.days, passed):
            await self._write(day_record(job, made, said, day, job.made_at + day * _DAY))
        row = job._replace(days=passed, seen=None, asked=job.asked + 1, failures=0, missing=0, last_error=None)
        if has_ended(said):
            return row._replace(state="closed", next_at=None)
        return row._replace(next_at=job.made_at + (passed + 1) * _DAY)

    async def _without_answer(self, job: Job, made: CallRecord, error: QuestionFailed) -> Job:
        is_gone = error.status in _GONE
        row = job._replace(
            asked=job.asked + 1,
            failures=job.failures + 1,
            missing=job.missing + 1 if is_gone else 0,
            last_error=str(error),
        )
        if row.missing >= _TIMES_MISSING and _KINDS[job.key.kind].is_metered_daily:
            return row._replace(state="closed", next_at=None)  # it was removed, which is no loss
        if row.missing >= _TIMES_MISSING:
            return await self._given_up(row, made, f"the upstream does not have it, or not any more: {error}")
        if self._is_too_old(job):
            return await self._given_up(row, made, f"it was open for too long; at last: {error}")
        return self._later(row, error.retry_after)

    async def _given_up(self, job: Job, made: CallRecord, reason: str) -> Job:
        _log.warning("%s %s of %s is given up: %s", job.key.kind, job.key.id, made.caller, reason)
        await self._write(given_up_record(job, made, reason, self._clock.now()))
        return job._replace(state="given_up", seen=None, next_at=None)

    def _is_too_old(self, job: Job) -> bool:
        """Counted from the last day that is recorded, where that is done daily."""
        since = job.made_at + job.days * _DAY
        return self._clock.now() - since >= timedelta(seconds=self._settings.give_up)

    def _later(self, job: Job, at_least: float = 0.0) -> Job:
        """The next question: after a quarter of the job's age, and later after failures."""
        settings, now = self._settings, self._clock.now()
        age = (now - job.made_at).total_seconds()
        pause = max(settings.first * 2.0 ** min(job.failures, 20), age / 4)
        return job._replace(next_at=now + timedelta(seconds=max(min(pause, settings.longest), at_least)))

    async def _write(self, record: CallRecord) -> None:
        """Returns once it is on disk."""
        if record.call_id in self._written:
            return
        durable = asyncio.Event()
        self._log.append(replace(record, replica=self._log.replica, seq=self._log.next_seq()), durable.set)
        await durable.wait()
        self._written.add(record.call_id)


def _plain(id: object) -> str:
    """An id as one segment of a path, whatever an upstream has put into it."""
    return quote(str(id), safe="")

"""What costs by the hour, with or without calls: deployments of fine-tuned models, which the configuration names.

A row for each remembers since when, and how many days of it are recorded: a record for each day, and one for the hours
that are left when it is not configured any more. A record is on disk before its row says so, and has a derived id.
"""

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from ..records import CallRecord, Clock
from .billing import JobLog
from .record import hosting_record
from .settings import HostedSettings, JobsSettings
from .table import HOSTING, Job, JobKey, JobTable

__all__ = ["Hosting"]

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


class Hosting:
    """One for the table; ``look`` is called by one task."""

    def __init__(self, table: JobTable, log: JobLog, settings: JobsSettings, clock: Clock) -> None:
        self._table = table
        self._log = log
        self._hosted = {one.deployment: one for one in settings.hosted}
        self._clock = clock

    async def look(self) -> None:
        """Begins with what is new, records what has passed. Raises ``JournalError``."""
        for job in self._table.open_of(HOSTING):
            await self._record(job)
        for name, one in self._hosted.items():
            key = JobKey("", HOSTING, name)
            row = self._table.get(key)
            if row is None or row.state == "closed":
                self._table.put(self._begun(key, one))

    def _begun(self, key: JobKey, one: HostedSettings) -> Job:
        now = self._clock.now()
        made = CallRecord("", now, deployment=one.deployment, requested_model=one.model, caller=one.caller)
        return Job(key, "open", made, now, None, None, None, 0, 0, 0, 0, None)

    async def _record(self, job: Job) -> None:
        made = job.made
        if made is None:
            return
        passed, rest = divmod(self._clock.now() - job.made_at, _DAY)
        for day in range(job.days, passed):
            await self._write(hosting_record(job, made, day, 24))
        if job.key.id not in self._hosted:
            if rest >= _HOUR:
                await self._write(hosting_record(job, made, passed, rest // _HOUR))
            self._table.put(job._replace(state="closed"))
        elif passed > job.days:
            self._table.put(job._replace(days=passed))

    async def _write(self, record: CallRecord) -> None:
        """Returns once it is on disk."""
        durable = asyncio.Event()
        self._log.append(replace(record, replica=self._log.replica, seq=self._log.next_seq()), durable.set)
        await durable.wait()

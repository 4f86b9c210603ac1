"""What records tell of jobs: who made one, and who was told of its end. It becomes rows of the table, and no record."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from ..apis import has_ended, kind_of
from ..records import SESSION, CallRecord, Clock
from .settings import JobsSettings
from .table import Job, JobKey, JobTable

__all__ = ["Watch", "may_tell"]

_DAY = timedelta(days=1)

# As texts of these lengths begin in msgpack: the member `object` of every job, and the reason of every call that has
# made something which is billed later.
_OBJECT, _LATER = b"\xa6object", b"\xa5later"


def may_tell(payload: bytes) -> bool:
    """Whether a record of the journal may tell of a job. Nearly all do not, and need not be decoded for that."""
    return payload.find(_OBJECT) >= 0 or payload.find(_LATER) >= 0


class Watch:
    """Takes records in any order, and the same ones any number of times."""

    def __init__(
        self, table: JobTable, settings: JobsSettings, resource_of: Callable[[str | None], str], clock: Clock
    ) -> None:
        """``resource_of`` gives the resource of an upstream's name."""
        self._table = table
        self._settings = settings
        self._resource_of = resource_of
        self._clock = clock

    def take(self, records: Sequence[CallRecord]) -> bool:
        """Whether there is anything new. Raises ``JournalError``."""
        changed: dict[JobKey, Job] = {}
        for record in records:
            said = record.job or {}
            if record.usage.reason == "later" and record.job is None and record.session_id is not None:
                key = JobKey(self._resource_of(record.backend), SESSION, record.session_id)
                if key not in changed and self._table.get(key) is None:
                    changed[key] = _row(key, record, None)  # nobody asks for it: there is something to listen to
                continue
            kind, id = kind_of(said), said.get("id")
            if kind is None or not isinstance(id, str):
                continue  # it tells of no job; the records of jobs have their id elsewhere
            key = JobKey(self._resource_of(record.backend), kind.name, id)
            before = changed.get(key) or self._table.get(key)
            after = self._made(key, before, record) if _has_made(record) else self._seen(key, before, record)
            if after is not None:
                changed[key] = after
        self._table.put(*changed.values())
        return bool(changed)

    def _made(self, key: JobKey, before: Job | None, record: CallRecord) -> Job | None:
        if before is not None and before.state != "unclaimed":
            return None
        if record.usage.source != "none":  # a stream that was read to its end
            return _row(key, record, before)._replace(state="closed")
        kind = kind_of(record.job or {})
        is_daily = kind is not None and kind.is_metered_daily
        wait = _DAY if is_daily else timedelta(seconds=self._settings.first)
        is_known = before is not None and before.seen is not None
        ended = record.started_at + timedelta(milliseconds=record.latency_ms)
        return _row(key, record, before)._replace(next_at=self._clock.now() if is_known else ended + wait)

    def _seen(self, key: JobKey, before: Job | None, record: CallRecord) -> Job | None:
        """Only an end says something: it is what a job is billed by, whoever was told of it."""
        said = record.job or {}
        if not has_ended(said) or (before is not None and (before.state == "closed" or before.seen is not None)):
            return None
        row = before or _row(key, None, None)._replace(state="unclaimed", made_at=record.started_at)
        state = "open" if before is not None and before.state == "given_up" else row.state
        return row._replace(state=state, seen=said, seen_by=record.call_id, next_at=self._clock.now())


def _has_made(record: CallRecord) -> bool:
    """Whether the call has made the job that its answer is about, and was not about that job itself."""
    said = record.job or {}
    return record.method == "POST" and f"/{said['id']}" not in record.path


def _row(key: JobKey, made: CallRecord | None, before: Job | None) -> Job:
    seen, seen_by = (before.seen, before.seen_by) if before is not None else (None, None)
    made_at = datetime.fromtimestamp(0, UTC) if made is None else made.started_at
    return Job(key, "open", made, made_at, seen, seen_by, None, 0, 0, 0, 0, None)

"""The table of jobs: what is open, whose it is, when it is asked for next. One SQLite file beside the journals.

The books' process alone writes it. A row is there before the cursor moves past the record that it came from, and is
closed after its own record is on disk, so after a crash anywhere a job is asked for once more and never forgotten.
"""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from ..apis import JOB_KINDS
from ..errors import JournalError
from ..journal.payload import decode, encode
from ..records import CallRecord, without_contents

__all__ = ["HOSTING", "JOBS_FILE", "Job", "JobKey", "JobState", "JobTable", "JobsStatus"]

JOBS_FILE = "jobs.sqlite"

JobState = Literal["open", "closed", "given_up", "unclaimed"]
"""``unclaimed``: its end was seen, and not the call that made it. That call's record may still come."""

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    resource TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, made BLOB, made_at REAL NOT NULL,
    seen TEXT, seen_by TEXT, next_at REAL, asked INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0, days INTEGER NOT NULL DEFAULT 0, last_error TEXT,
    PRIMARY KEY (resource, kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON jobs (state, next_at);
"""
_COLUMNS = (
    "resource, kind, id, state, made, made_at, seen, seen_by, next_at, asked, failures, missing, days, last_error"
)

HOSTING = "hosting"
"""The kind of a deployment that is hosted: no job of an upstream's."""
_DAILY = {HOSTING, *(kind.name for kind in JOB_KINDS if kind.is_metered_daily)}

_KEY = ("resource", "kind", "id")
# A record stays as it was first written, or as somebody who was to be forgotten has left it.
_CHANGED = {name: f"excluded.{name}" for name in _COLUMNS.split(", ") if name not in _KEY} | {
    "made": "CASE excluded.state WHEN 'closed' THEN NULL ELSE coalesce(jobs.made, excluded.made) END"
}
_OR_CHANGE = (
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(f'{name} = {new}' for name, new in _CHANGED.items())}"
)


class JobKey(NamedTuple):
    """Which job: an id means nothing at another resource."""

    resource: str
    """The host and path of the upstream's endpoint."""
    kind: str
    id: str


class Job(NamedTuple):
    """One row."""

    key: JobKey
    state: JobState
    made: CallRecord | None
    """The record of the call that made it, without contents; ``None`` while it is unclaimed, and once it is closed."""
    made_at: datetime
    seen: dict[str, Any] | None
    """What an answer said of its end."""
    seen_by: str | None
    """``poll``, or the ``call_id`` of the call that was answered so."""
    next_at: datetime | None
    """When it is looked at next."""
    asked: int
    failures: int
    """Questions in a row that had no useful answer."""
    missing: int
    """Times in a row that the upstream did not know it."""
    days: int
    """How many days of it are recorded, where that is done daily."""
    last_error: str | None


class JobsStatus(msgspec.Struct, frozen=True):
    """How the jobs are, for metrics and people."""

    open: dict[str, int] = {}
    """By kind."""
    oldest_seconds: float = 0.0
    """The age of the oldest open job that is not metered daily."""
    given_up: int = 0


class JobTable:
    """The rows. Used by one thread at a time; any process may read."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Raises ``JournalError``."""
        path = directory / JOBS_FILE
        try:
            if read_only:
                self._rows = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
                return
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._rows = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._rows.executescript(_TABLE)
        except (OSError, sqlite3.Error) as error:
            said = f"the table of jobs {path} cannot be used ({error})"
            raise JournalError(f"{said}: check its disk and owner") from error

    def close(self) -> None:
        self._rows.close()

    def get(self, key: JobKey) -> Job | None:
        return next(self._select("resource = ? AND kind = ? AND id = ?", *key), None)

    def due(self, now: datetime, limit: int) -> list[Job]:
        """Jobs to be looked at now, those that wait longest first."""
        return list(self._select("state = 'open' AND next_at <= ? ORDER BY next_at LIMIT ?", now.timestamp(), limit))

    def next_at(self) -> datetime | None:
        """When a job has to be looked at next."""
        ((first,),) = self._read("SELECT min(next_at) FROM jobs WHERE state = 'open'")
        return None if first is None else _moment(first)

    def open_of(self, kind: str) -> list[Job]:
        """Open jobs of one kind, the oldest first."""
        return list(self._select("state = 'open' AND kind = ? ORDER BY made_at", kind))

    def open(self) -> Iterator[Job]:
        """All open jobs, the oldest first."""
        return self._select("state = 'open' ORDER BY made_at")

    def status(self, now: datetime) -> JobsStatus:
        counted = "SELECT kind, state, count(*), min(made_at) FROM jobs GROUP BY kind, state"
        rows = self._read(counted)
        ends = [made_at for kind, state, _, made_at in rows if state == "open" and kind not in _DAILY]
        return JobsStatus(
            {kind: count for kind, state, count, _ in rows if state == "open"},
            max(0.0, now.timestamp() - min(ends, default=now.timestamp())),
            sum(count for _, state, count, _ in rows if state == "given_up"),
        )

    def put(self, *jobs: Job) -> None:
        """Writes rows, new or changed; they are on disk when this returns. Raises ``JournalError``."""
        values = [
            (
                *job.key,
                job.state,
                None if job.made is None or job.state == "closed" else encode(without_contents(job.made)),
                job.made_at.timestamp(),
                None if job.seen is None else msgspec.json.encode(job.seen).decode(),
                job.seen_by,
                None if job.next_at is None else job.next_at.timestamp(),
                *job[7:],
            )
            for job in jobs
        ]
        marks = ", ".join("?" * len(values[0])) if values else ""
        self._execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES ({marks}) {_OR_CHANGE}", values)

    def rewrite(self, change: Callable[[CallRecord], CallRecord | None]) -> int:
        """Exchanges records of calls that have made jobs, where ``change`` gives another; how many. What is asked for
        at that moment may still be billed in the old name. Raises ``JournalError``."""
        rows = self._read("SELECT made, resource, kind, id FROM jobs WHERE made IS NOT NULL")
        changed = [(encode(new), *key) for made, *key in rows if (new := change(decode(made))) is not None]
        self._execute("UPDATE jobs SET made = ? WHERE resource = ? AND kind = ? AND id = ?", changed)
        return len(changed)

    def forget(self, before: datetime) -> None:
        """Removes what has been over since ``before``, and what nobody has claimed since."""
        self._execute("DELETE FROM jobs WHERE state <> 'open' AND made_at < ?", [(before.timestamp(),)])

    def _execute(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        if not values:
            return
        try:
            self._rows.execute("BEGIN IMMEDIATE")
            try:
                self._rows.executemany(statement, values)
            except BaseException:
                self._rows.execute("ROLLBACK")
                raise
            self._rows.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"the table of jobs takes nothing ({error}): check its disk") from error

    def _read(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._rows.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"the table of jobs cannot be read ({error})") from error

    def _select(self, where: str, *values: Any) -> Iterator[Job]:
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE {where}", *values)
        for resource, kind, id, state, made, made_at, seen, seen_by, next_at, *counts in rows:
            yield Job(
                JobKey(resource, kind, id),
                state,
                None if made is None else decode(made),
                _moment(made_at),
                None if seen is None else msgspec.json.decode(seen),
                seen_by,
                None if next_at is None else _moment(next_at),
                *counts,
            )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)

"""Jobs: what a call has started and what is billed later, once, to whoever made the call.

table.py        what is open: one SQLite file beside the journals
watch.py        records become rows
billing.py      asks for what is due (asking.py, batch_files.py) and writes the records of what has ended (record.py)
hosting.py      records the hours of deployments that cost by the hour
listening.py    listens to sessions that pass by, where that is wanted
service.py      all of it, as the books run it
"""

from .service import JOBS_CURSOR, JOBS_JOURNAL, Jobs, begin_jobs, jobs_status, open_jobs, rewrite_jobs
from .settings import JobsSettings
from .table import Job, JobsStatus

__all__ = [
    "JOBS_CURSOR",
    "JOBS_JOURNAL",
    "Job",
    "Jobs",
    "JobsSettings",
    "JobsStatus",
    "begin_jobs",
    "jobs_status",
    "open_jobs",
    "rewrite_jobs",
]

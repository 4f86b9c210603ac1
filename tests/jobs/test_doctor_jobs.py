"""What people are told of jobs: the doctor's line, and the list."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.call_records import a_call
from support.clocks import JumpingClock
from tokenweir.cli import app
from tokenweir.cli.checkup.books import check_jobs
from tokenweir.config import Config
from tokenweir.jobs import Job
from tokenweir.jobs.table import JobKey, JobState, JobTable
from tokenweir.journal import JournalSettings

CLOCK = JumpingClock(runs=True)


def job(state: JobState = "open", failures: int = 0, error: str | None = None) -> Job:
    made = a_call(caller="team-a", backend="sweden", job_id="resp_1")
    at = CLOCK.now() - timedelta(hours=3)
    key = JobKey("host", "response", f"resp_{state}")
    return Job(key, state, made, at, None, None, at, 7, failures, 0, 0, error)


def told(root: Path, *jobs: Job) -> tuple[str, str]:
    table = JobTable(root / "jobs")
    table.put(*jobs)
    table.close()
    (result,) = check_jobs(Config(journal=JournalSettings(directory=str(root))))
    return result.status, result.what


def test_the_doctor_says_how_jobs_are(tmp_path: Path) -> None:
    assert told(tmp_path / "none") == ("ok", "jobs: 0 are open")
    assert told(tmp_path / "well", job()) == ("ok", "jobs: 1 are open")
    assert told(tmp_path / "ill", job(failures=2, error="upstream sweden answers 403")) == (
        "warn",
        "jobs: 1 of 1 cannot be asked for; upstream sweden answers 403",
    )
    status, what = told(tmp_path / "lost", job("given_up"))
    assert (status, "1 were given up" in what) == ("warn", True)


def test_a_table_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "jobs.sqlite").write_bytes(b"this is no database, whatever its name says" * 100)
    (result,) = check_jobs(Config(journal=JournalSettings(directory=str(tmp_path))))
    assert (result.status, "cannot be read" in result.what) == ("bad", True)


@pytest.mark.parametrize("is_empty", [True, False])
def test_the_list_is_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_empty: bool) -> None:
    monkeypatch.setenv("TOKENWEIR_JOURNAL__DIRECTORY", str(tmp_path))
    told(tmp_path, *([] if is_empty else [job(error="upstream sweden answers 503")]))
    ran = CliRunner().invoke(app, ["jobs"], catch_exceptions=False)
    if is_empty:
        assert (ran.stdout, ran.stderr) == ("", "tokenweir: no job is open: nothing waits to be billed later\n")
    else:
        row = ran.stdout.splitlines()[-1].split()
        assert row == [
            "resp_open",
            "response",
            "team-a",
            "sweden",
            "3h",
            "0s",
            "7",
            *["upstream", "sweden", "answers", "503"],
        ]

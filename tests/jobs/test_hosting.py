"""Deployments that cost by the hour: each hour is recorded once, whatever happens to the books."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jobs.conftest import MortalLog
from support.clocks import JumpingClock
from tokenweir.errors import JournalError
from tokenweir.jobs import JOBS_JOURNAL, JobsSettings, jobs_status
from tokenweir.jobs.hosting import Hosting
from tokenweir.jobs.settings import HostedSettings
from tokenweir.jobs.table import JobTable
from tokenweir.journal import Journal, JournalReader, JournalSettings
from tokenweir.records import CallRecord

OURS = HostedSettings("ours", "gpt-4o.ft-ours", "team-a")


class HostingBench:
    """Books that look at what is hosted when a test says so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = JumpingClock()

    @contextmanager
    def books(self, *hosted: HostedSettings, dies: bool = False) -> Iterator[Hosting]:
        directory = self.root / JOBS_JOURNAL
        journal = Journal.open(directory, JournalSettings(), self.clock)
        log = MortalLog(journal)
        log.dies = dies
        with closing(JobTable(directory)) as table:
            yield Hosting(table, log, JobsSettings(hosted=list(hosted)), self.clock)
        journal.close()

    def look(self, *hosted: HostedSettings) -> None:
        with self.books(*hosted) as hosting:
            asyncio.run(hosting.look())

    def records(self) -> list[CallRecord]:
        reader = JournalReader(self.root / JOBS_JOURNAL, None)
        return [record for batch in iter(lambda: reader.read(1000).records, []) for record in batch]

    def hours(self) -> int:
        """Of all records, each counted once, as every ledger does."""
        amounts = {record.call_id: record.usage.quantities["hosted_hours"].amount for record in self.records()}
        return int(sum(amount or 0 for amount in amounts.values()))


@pytest.fixture
def bench(tmp_path: Path) -> HostingBench:
    return HostingBench(tmp_path)


def test_each_day_has_a_record_and_the_hours_that_are_left_have_one_at_the_end(bench: HostingBench) -> None:
    bench.look(OURS)
    began = bench.clock.now()
    for _ in range(5):
        bench.clock.jump(10 * 3600)
        bench.look(OURS)
    assert [record.usage.quantities["hosted_hours"].amount for record in bench.records()] == [24, 24]
    bench.clock.jump(3 * 3600 + 1800)
    bench.look()
    bench.look()
    *_, first, last = bench.records()
    assert bench.hours() == 48 + 5
    assert (last.deployment, last.requested_model, last.caller) == ("ours", "gpt-4o.ft-ours", "team-a")
    assert (last.operation, last.usage.source, last.job) == ("job", "reported", {"object": "hosting"})
    assert (last.started_at - began).days == 2
    assert jobs_status(bench.root, bench.clock).open == {}


def test_what_is_hosted_again_begins_anew(bench: HostingBench) -> None:
    for hosted in ([OURS], [], [OURS], []):
        bench.look(*hosted)
        bench.clock.jump(2 * 3600)
    assert len({record.call_id for record in bench.records()}) == 2
    assert bench.hours() == 4


def test_books_that_die_between_the_record_and_its_row_write_the_same_record_again(bench: HostingBench) -> None:
    bench.look(OURS)
    bench.clock.jump(50 * 3600)
    with bench.books(OURS, dies=True) as hosting, pytest.raises(JournalError):
        asyncio.run(hosting.look())
    with bench.books(OURS) as hosting:
        hosting._table.put = lambda *jobs: (_ for _ in ()).throw(JournalError("killed"))  # type: ignore[method-assign]
        with pytest.raises(JournalError):
            asyncio.run(hosting.look())
    bench.look(OURS)
    assert len(bench.records()) == 4
    assert bench.hours() == 48


def test_a_deployment_that_is_hosted_is_no_job_that_is_late(bench: HostingBench) -> None:
    bench.look(OURS)
    bench.clock.jump(40 * 86400)
    assert jobs_status(bench.root, bench.clock).oldest_seconds == 0

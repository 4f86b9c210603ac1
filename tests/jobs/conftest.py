"""The books' side of jobs, step by step: a relay in front of a simulator, and a watch and a biller whose time a test
moves."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import OpenAI

from support.clocks import JumpingClock
from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.errors import JournalError
from tokenweir.jobs import JOBS_JOURNAL, JobsSettings
from tokenweir.jobs.billing import Biller
from tokenweir.jobs.table import JobTable
from tokenweir.jobs.watch import Watch
from tokenweir.journal import Journal, JournalReader, JournalSettings, journal_directories
from tokenweir.records import CallRecord
from tokenweir.simulator import HostedSimulator, running_simulator
from tokenweir.upstream import CredentialSettings, UpstreamSettings, open_upstreams


class MortalLog:
    """A journal that dies before it takes a record, if it is told to."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.replica = journal.replica
        self.dies = False

    def next_seq(self) -> int:
        return self._journal.next_seq()

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        if self.dies:
            raise JournalError("killed")
        self._journal.append(record, on_durable)


class JobsBench:
    """What the books do about jobs, when a test says so. ``restart`` forgets whatever is only in memory."""

    def __init__(self, root: Path, url: str, clock: JumpingClock, settings: JobsSettings, name: str = "sim") -> None:
        self.root = root
        self.clock = clock
        self._settings = settings
        self._upstreams = [UpstreamSettings(name, url, CredentialSettings(key="upstream-key"))]
        self._resource = url.removeprefix("http://")
        self._read: dict[str, JournalReader] = {}
        self._stack = ExitStack()
        self.start()

    def start(self) -> None:
        self.runner = self._stack.enter_context(asyncio.Runner())
        self.table = JobTable(self.root / JOBS_JOURNAL)
        self._stack.callback(self.table.close)
        self.journal = Journal.open(self.root / JOBS_JOURNAL, JournalSettings(), self.clock)
        self._stack.callback(self.journal.close)
        upstreams = open_upstreams(self._upstreams, {}, self.clock)
        self.watch = Watch(self.table, self._settings, lambda backend: self._resource, self.clock)
        self.log = MortalLog(self.journal)
        self.biller = Biller(self.table, self.log, upstreams, self._settings, self.clock)
        for upstream in upstreams.values():
            self._stack.callback(self._close, upstream.pool.close)

    def _close(self, close: Callable[[], None]) -> None:
        async def closed() -> None:
            close()
            await asyncio.sleep(0)

        self.runner.run(closed())

    def stop(self) -> None:
        self._stack.close()

    def restart(self) -> None:
        self.stop()
        self._read = {}  # all records come again
        self.start()

    def look(self, seconds: float = 0) -> list[CallRecord]:
        """Lets time pass, reads the journals, looks at what is due; the records of jobs so far."""
        self.clock.jump(seconds)
        for directory in journal_directories(self.root):
            reader = self._read.setdefault(directory.name, JournalReader(directory, None))
            while records := reader.read(1000).records:
                self.watch.take(records)
        self.turn()
        return self.billed()

    def turn(self) -> None:
        async def turns() -> None:
            while await self.biller.turn():
                pass

        self.runner.run(turns())

    def billed(self) -> list[CallRecord]:
        """All records of jobs on disk, each as often as it was written."""
        reader = JournalReader(self.root / JOBS_JOURNAL, None)
        return [record for batch in iter(lambda: reader.read(1000).records, []) for record in batch]


@pytest.fixture
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def relay(sim: HostedSimulator, tmp_path: Path) -> Iterator[RelayThread]:
    with running_relay(tmp_path, sim.url) as running:
        yield running


@pytest.fixture
def settings() -> JobsSettings:
    return JobsSettings()


@pytest.fixture
def bench(relay: RelayThread, sim: HostedSimulator, settings: JobsSettings, tmp_path: Path) -> Iterator[JobsBench]:
    bench = JobsBench(tmp_path / "journal", sim.url, relay.clock, settings)
    yield bench
    bench.stop()


@pytest.fixture
def client(relay: RelayThread) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY, max_retries=0) as client:
        yield client

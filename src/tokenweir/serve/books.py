"""The books process: reads the journals, fills the ledger, feeds the sinks, serves the admin port.

It may crash, lag or be upgraded; the relay does not notice. What a batch of records brought and how far
it was read are committed together, so that after any crash every record is posted exactly once.
"""

import asyncio
import gc
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import uvicorn
import uvloop

from ..admin import AccountsApi, ConfigInForce, LedgerStatus, Metrics, RelayStatus, ServiceLists, create_app
from ..config import Config, ConfigSource, Loaded, parse_address, pricer_of
from ..config.dump import write
from ..config.setting_path import Origins
from ..config.sink_variables import sinks_with_servers
from ..delivery.pricer import FREE, Pricer, bring
from ..delivery.shipping import Shipping
from ..errors import TokenweirError
from ..jobs import JOBS_JOURNAL, Jobs, JobsStatus, begin_jobs, jobs_status
from ..journal import (
    Batch,
    JournalReader,
    SeqWatch,
    Trouble,
    begin_cursor,
    bytes_behind,
    is_in_later_segment,
    journal_directories,
    journal_name,
    journal_size,
    load_cursor,
    oldest_behind,
    read_gap,
    read_missing,
    read_status,
    save_cursor,
)
from ..ledger import NO_LEDGER, Ledger, LedgerError, Person, ledger_opener
from ..policy import DebugTokens, former_names, read_keys
from ..records import CallRecord, Clock, SystemClock
from ..statements import ReRating, StatementBooks
from .erasing import Erasure, erase, make_segments_pass
from .late_ledger import LateLedger
from .ledger_gaps import CURSOR, look_again, look_back
from .limit_report import limit_states
from .logs import configure_logging
from .own_keys import OwnKeys
from .passed_segments import PassedSegments
from .relay import stop_with_supervisor
from .reloading import digest_of_config, reloaded
from .retention import Retention
from .shared_keys import open_key_store
from .starting import one_line_for_errors

__all__ = ["Books", "books_main", "catch_up"]

_log = logging.getLogger(__name__)

# One transaction a batch: large enough to be quick, small enough not to hold much in memory.
_BATCH = 5_000
# Each is of a megabyte or one longer record, so that records with bodies do not fill the memory.
_READS = 16
# How long a finished call may wait before it is posted; who asks the admin port does not wait at all. A batch has a
# fixed price of some 6 ms, and a record in a large one costs half of what it does in one of a few hundred.
_POLL_SECONDS = 5.0
# A relay says every second that it is well.
_STALE_SECONDS = 5.0

# Where the two share a core, the call under way comes before the book-keeping.
_NICENESS = 10

# Somebody's query may build a list of billions. DuckDB's own limit does not count a single huge value; this
# makes it an error of that query instead of the end of the process.
_MEMORY_BYTES = 8 * 1024**3

_SAY_AGAIN_SECONDS = 60.0

# Between looks whether segments that somebody waits for have been passed.
_LOOK_SECONDS = 0.2

# It counts in the ledger, which an engine without an index on runs reads whole.
_LOOK_AT_GAPS_SECONDS = 30.0


class Books:
    """Journals on one side, ledger on the other. ``catch_up`` may be called from any thread.

    Without a ledger the records are only counted for the metrics; the sinks, which read by themselves, take them on.
    """

    def __init__(
        self,
        root: Path,
        ledger: Ledger | None,
        clock: Clock,
        shipping: Shipping,
        price: Pricer = FREE,
        *,
        watches_jobs: bool = False,
    ) -> None:
        """``watches_jobs``: whether `Jobs` read the journals beside it, too."""
        self._root = root
        self._watches_jobs = watches_jobs
        self._ledger = ledger
        self._clock = clock
        self.shipping = shipping
        self._price = price
        self.metrics = Metrics(self.relays, lambda: self.shipping.statuses(), self.ledger_status, self.jobs_status)
        self._ledger_failing_since: datetime | None = None
        self._ledger_errors = 0
        self._look_at_gaps_at = clock.monotonic()
        self.archive_trouble: Trouble | None = None
        """Why passed segments stay in the journals; set by who looks after them."""
        self._one_at_a_time = threading.Lock()
        self._readers: dict[str, JournalReader] = {}
        self._watches: dict[str, SeqWatch] = {}

    def configure(self, shipping: Shipping, price: Pricer) -> None:
        """Exchanges the sinks and the prices. What is not posted yet gets the new prices."""
        with self._one_at_a_time:
            for directory in journal_directories(self._root):
                shipping.begin(directory)
            self.shipping, self._price = shipping, price

    def catch_up(self) -> int:
        """Posts everything the journals hold. Returns how many records were new."""
        with self._one_at_a_time:
            try:
                if self._ledger is not None and not self._readers:
                    self._ledger.position("")  # one that is late is opened, or says what is wrong with it
                new = sum(self._post_all(directory) for directory in journal_directories(self._root))
            except TokenweirError:
                self._ledger_failing_since = self._ledger_failing_since or self._clock.now()
                self._ledger_errors += 1
                raise
            self._ledger_failing_since = None
            return new

    def bring(self, records: Sequence[CallRecord]) -> int:
        """Posts calls that came another way; how many were new. From any thread; blocks."""
        if self._ledger is None:
            raise LedgerError("this gateway keeps no ledger")
        return bring(self._ledger, records, self._price)

    def rate(self, record: CallRecord) -> CallRecord:
        """The record with what it costs by the prices in force now."""
        return self._price(record)

    def erase(self, config: Config, person: Person, who: str) -> Erasure:
        """See `erasing`; to be called while the sinks are stopped."""
        with self._one_at_a_time:
            done = erase(config, self._ledger, person, self._clock, who)
            self._readers.clear()  # segments may have others in their places
            return done

    def look_at_gaps(self) -> None:
        """Whether the ledger has by now what it was found to miss."""
        now = self._clock.monotonic()
        if self._ledger is not None and now >= self._look_at_gaps_at:
            self._look_at_gaps_at = now + _LOOK_AT_GAPS_SECONDS
            for directory in journal_directories(self._root):
                look_again(directory, self._ledger)

    def jobs_status(self) -> JobsStatus:
        """From any thread. Of a table that cannot be read, its own log tells."""
        try:
            return jobs_status(self._root, self._clock)
        except TokenweirError:
            return JobsStatus()

    def ledger_status(self) -> LedgerStatus:
        """From any thread."""
        return LedgerStatus(self._ledger_failing_since, self._ledger_errors, self.archive_trouble)

    def _post_all(self, directory: Path) -> int:
        source = f"{journal_name(self._root)}/{directory.name}"
        reader = self._readers.get(source)
        if reader is None:
            self.shipping.begin(directory)  # or segments would go that no sink has seen
            if self._watches_jobs:
                begin_jobs(directory)  # or that was not watched for jobs
            begin_cursor(directory, CURSOR)  # or that the ledger, which may be away, has not
            position = self._position(directory, source)
            if self._ledger is not None:
                position = look_back(directory, self._ledger, position, self._clock)
            reader = self._readers[source] = JournalReader(directory, position)
            if source not in self._watches or self._watches[source].position != position:
                self._watches[source] = SeqWatch(directory, position, self._clock)
        watch = self._watches[source]
        new, more = 0, True
        try:
            # What is written meanwhile waits for the next time. A batch has a fixed price of some 15 ms, and on a
            # busy relay the reader would never see the journal's end, only ever smaller batches.
            while more:
                batch, more = _gather(reader)
                watch.see_cut(reader.cut_segments)
                if not batch.records:
                    self._pass_segments(directory, source, batch.position)
                    break
                records = [self._price(record) for record in batch.records]
                new += self._post(records, source, batch.position)
                watch.see(batch.records, batch.position)
                save_cursor(directory, CURSOR, batch.position)
                self.metrics.observe(records)
        except BaseException:
            # The reader may be ahead of the ledger now. The next one begins where the ledger really is.
            del self._readers[source]
            raise
        return new

    def _pass_segments(self, directory: Path, source: str, position: str) -> None:
        """The relay has begun another segment: those before it may go, though no record came since."""
        if is_in_later_segment(position, load_cursor(directory, CURSOR)):
            if self._ledger is not None:
                self._ledger.post([], source, position)
            save_cursor(directory, CURSOR, position)

    def _position(self, directory: Path, source: str) -> str | None:
        return self._ledger.position(source) if self._ledger else load_cursor(directory, CURSOR)

    def _post(self, records: list[CallRecord], source: str, position: str) -> int:
        return self._ledger.post(records, source, position) if self._ledger else len(records)

    def relays(self) -> list[RelayStatus]:
        """How each relay is, as its journal directory tells."""
        directories = journal_directories(self._root)
        return [self._relay(directory) for directory in directories if directory.name != JOBS_JOURNAL]

    def _relay(self, directory: Path) -> RelayStatus:
        status = read_status(directory)
        missing = read_missing(directory)
        age = (self._clock.now() - status.written_at).total_seconds() if status is not None else None
        return RelayStatus(
            name=directory.name,
            fresh=age is not None and age < _STALE_SECONDS,
            age=age,
            gauges=status.gauges if status is not None else {},
            journal=status,
            lag_bytes=bytes_behind(directory, CURSOR),
            oldest_unposted_seconds=oldest_behind(directory, CURSOR, self._clock),
            journal_size_bytes=journal_size(directory),
            ledger_gap=read_gap(directory),
            is_read_only=bool(os.statvfs(directory).f_flag & os.ST_RDONLY),
            journal_free_bytes=shutil.disk_usage(directory).free,
            records_missing=sum(one.records for one in missing) + (status.records_unnoted if status is not None else 0),
            segments_cut=sum(one.replica is None for one in missing),
        )


def _gather(reader: JournalReader) -> tuple[Batch, bool]:
    """What is there now, in one batch, as far as a batch goes; and whether there may be more."""
    records: list[CallRecord] = []
    for _ in range(_READS):
        batch = reader.read(_BATCH)
        records += batch.records
        if not batch.records:
            return Batch(records, batch.position), False
        if len(records) >= _BATCH:
            break
    return Batch(records, batch.position), True


def catch_up(config: Config, ledger: Ledger) -> int:
    """Posts what the journals still hold, for the commands that read the books while no gateway runs."""
    root, clock, price = Path(config.journal.directory), SystemClock(), pricer_of(config)
    books = Books(root, ledger, clock, _shipping(config, root, clock, price), price)
    new = books.catch_up()
    books.look_at_gaps()
    return new


def books_main(config: Config, source: ConfigSource, listener: socket.socket, supervisor: int) -> None:
    """The books process's whole life; called in a process of its own."""
    configure_logging("books")
    os.nice(_NICENESS)
    os.umask(0o077)  # the ledger and what its engine writes beside it can hold prompts
    _limit_memory()
    # Records have no cycles: they are freed by reference counts, and looking for cycles among thousands costs a third
    # of reading them.
    gc.set_threshold(50_000, 20, 50)
    with one_line_for_errors():
        uvloop.run(_serve(config, source, listener, supervisor))


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _service_lists(config: Config) -> ServiceLists:
    keys = Path(config.server.keys)
    return ServiceLists(
        parse_address(config.server.data),
        lambda: [
            *(caller.name for caller in config.callers),
            *(key.caller for key in read_keys(keys) if not key.is_revoked),
        ],
        api=config.tracing.api,
        has_tls=config.server.certificate is not None,
        key=os.environ.get(config.tracing.subscription_key_env or "") or None,
    )


def _statements(ledger: Ledger, config: Config, clock: Clock) -> StatementBooks:
    return StatementBooks(ledger, config.statements, clock, former_names(config.callers))


async def _serve(config: Config, source: ConfigSource, listener: socket.socket, supervisor: int) -> None:
    clock = SystemClock()
    ledger = LateLedger(ledger_opener(config.ledger.url), clock) if config.ledger.url != NO_LEDGER else None
    if ledger is not None:
        ledger.rename(former_names(config.callers))
    root = Path(config.journal.directory)
    price = pricer_of(config)
    books = Books(root, ledger, clock, _shipping(config, root, clock, price), price, watches_jobs=True)
    running = config
    store = open_key_store(config)
    segments = PassedSegments(root, lambda: running.journal, clock, has_ledger=ledger is not None)
    app = create_app(
        ledger,
        catch_up=books.catch_up,
        bring=books.bring,
        erase=lambda person: forget(person),
        metrics=books.metrics,
        token=config.server.admin_token,
        identify=OwnKeys(store, lambda: running, clock).identify,
        relays=books.relays,
        sinks=lambda: books.shipping.statuses(),
        configuration=lambda: _in_force(running, source.file),
        expected_relays=config.server.relays,
        keys=store,
        groups=lambda: [group.name for group in running.groups],
        ledger_status=books.ledger_status,
        limits=lambda: limit_states(running, clock),
        service=_service_lists(config),
        accounts=AccountsApi(
            lambda: None if ledger is None else _statements(ledger, running, clock),
            lambda: None if ledger is None else ReRating(ledger, books.rate, clock),
            books.catch_up,
        ),
        debug_tokens=DebugTokens(config.tracing.secret or secrets.token_hex(), config.tracing.api),
        clock=clock,
    )
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    stop = asyncio.Event()
    stop_with_supervisor(stop.set, supervisor)
    books.shipping.start()
    jobs = Jobs(root, config.jobs, config.upstreams, os.environ, clock)
    jobs.start()
    loop = asyncio.get_running_loop()
    one_reload = asyncio.Lock()

    async def reload() -> None:
        nonlocal running, jobs
        async with one_reload:
            try:
                config = reloaded(source, running).config
                price = pricer_of(config)
                shipping = _shipping(config, root, clock, price)
            except TokenweirError as error:
                _log.error("the configuration was not reloaded, the old one stays: %s", error)
                return
            if _priced_and_sent(config) != _priced_and_sent(running):
                await books.shipping.stop()
                await asyncio.to_thread(books.configure, shipping, price)
                shipping.start()
                _log.info("prices and sinks reloaded: %d and %d", len(config.prices), len(config.sinks))
            if (config.jobs, config.upstreams) != (running.jobs, running.upstreams):
                await jobs.stop()
                jobs = Jobs(root, config.jobs, config.upstreams, os.environ, clock)
                jobs.start()
            if ledger is not None:
                ledger.rename(former_names(config.callers))
            running = config

    async def forget(person: Person) -> Erasure:
        def step() -> None:
            books.catch_up()
            segments.tidy()

        await asyncio.to_thread(make_segments_pass, running, clock, step, lambda: time.sleep(_LOOK_SECONDS))
        async with one_reload:
            await books.shipping.stop()
            try:
                return await asyncio.to_thread(books.erase, running, person, "the admin port")
            finally:
                price = pricer_of(running)
                shipping = _shipping(running, root, clock, price)
                await asyncio.to_thread(books.configure, shipping, price)
                shipping.start()

    reloads: set[asyncio.Task[None]] = set()

    def on_reload() -> None:
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, on_reload)
    # A thread of its own: those that all share may wait for the disk of a sink.
    posting = ThreadPoolExecutor(1, "posting")
    trouble = _Trouble(clock)
    tidying = ThreadPoolExecutor(1, "tidying")
    retention = Retention(lambda: running, ledger, clock)
    tidied = loop.run_in_executor(tidying, _tidy, books, segments, retention)
    serving = loop.create_task(server.serve(sockets=[listener]))
    try:
        while not stop.is_set():
            await loop.run_in_executor(posting, _try_to_catch_up, books, trouble)
            if tidied.done():
                tidied = loop.run_in_executor(tidying, _tidy, books, segments, retention)
            try:
                await asyncio.wait_for(stop.wait(), _POLL_SECONDS)
            except TimeoutError:
                pass
    finally:
        server.should_exit = True
        await serving
        await jobs.stop()
        _try_to_catch_up(books, trouble)
        await books.shipping.stop()
        if ledger is not None:
            ledger.close()


def _tidy(books: Books, segments: PassedSegments, retention: Retention) -> None:
    """What may take long, in a thread of its own. An error of ours ends nothing."""
    try:
        segments.tidy()
        books.archive_trouble = segments.trouble
        books.look_at_gaps()
        retention.tidy()
    except TokenweirError as error:
        _log.debug("not tidied: %s", error)  # the ledger is away, which posting says
    except Exception:
        _log.exception("segments and gaps could not be looked at; it is tried again")


def _priced_and_sent(config: Config) -> tuple[object, ...]:
    """What decides which prices records get and where they go; of deployments, the SKUs of what is spilled over."""
    of_prices = config.prices, config.pricing, config.exchange_rates, config.adjustments
    return config.sinks, of_prices, config.deployments


def _shipping(config: Config, root: Path, clock: Clock, price: Pricer) -> Shipping:
    is_awaited = config.journal.durability == "shipped"
    return Shipping(root, sinks_with_servers(config), os.environ, clock, price, is_awaited=is_awaited)


def _in_force(config: Config, source: Path | None) -> ConfigInForce:
    """The configuration as the admin port tells it, secrets masked."""
    loaded = Loaded(config, source, Origins(None, {}), [], [])
    return ConfigInForce(
        source=str(source.resolve()) if source is not None else None,
        lines=[line.text for line in write(loaded, defaults=True)],
        digest=digest_of_config(config),
    )


class _Trouble:
    """Says what is wrong with the ledger once, and then now and again: it is tried twice a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = ""
        self._said_at = 0.0

    def say(self, error: TokenweirError) -> None:
        now = self._clock.monotonic()
        if str(error) != self._last or now - self._said_at >= _SAY_AGAIN_SECONDS:
            _log.error("the ledger does not take the journal's records, which wait: %s", error)
            self._last, self._said_at = str(error), now

    def over(self) -> None:
        self._last = ""


def _try_to_catch_up(books: Books, trouble: _Trouble) -> None:
    """The ledger may fail for a while (a full disk, a lost database); the journal waits for it."""
    try:
        books.catch_up()
        trouble.over()
    except TokenweirError as error:
        trouble.say(error)

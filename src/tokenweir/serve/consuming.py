"""The process of ``tokenweir consume``: receives messages, posts their records, and only then says that it has them.

Exactly once comes from both sides: a batch that was not said to be done comes again, and a ledger knows the calls
that it has. Any number of these processes may share a consumer group and a ledger.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import uvicorn
import uvloop

from ..admin import ConsumerStatus, create_consumer_app
from ..config import Config, ConfigSource, is_loopback, parse_address, pricer_of
from ..delivery import Delivery, RecordBatch
from ..delivery.base import AttemptPolicy
from ..delivery.dead_letters import DeadMessages, bury
from ..delivery.sources import (
    ApimEvents,
    MessageFormat,
    MessageRecords,
    WholeRecords,
    open_dead_messages,
    open_source,
)
from ..errors import ConfigError, TokenweirError, quoted
from ..ledger import Ledger, ledger_opener
from ..policy import Keyring, StoredKey, read_keys
from ..records import Clock, SystemClock
from .late_ledger import LateLedger
from .logs import configure_logging
from .shared_keys import open_shared_keys
from .starting import listen

__all__ = ["LedgerDestination", "format_of", "run"]

_log = logging.getLogger(__name__)

_REPORT_SECONDS = 60.0


class LedgerDestination:
    """A `Destination` that is a ledger, which keeps the positions together with the records; messages that became no
    record are kept before those."""

    def __init__(self, ledger: Ledger, dead_messages: DeadMessages, clock: Clock) -> None:
        self._ledger = ledger
        self._dead_messages = dead_messages
        self._clock = clock
        self._reported_at = clock.monotonic()
        self.new = 0
        """Calls that were not in the ledger before."""
        self.known = 0
        self.dead = 0
        self.newest_at: datetime | None = None
        """When the newest call began that was posted."""

    def __repr__(self) -> str:
        return f"<LedgerDestination {self.new} new, {self.known} known, {self.dead} dead>"

    async def open(self) -> None:
        """It is open already."""

    async def deliver(self, batch: RecordBatch, attempt: AttemptPolicy) -> None:
        if batch.dead:
            self.dead += await attempt(lambda: asyncio.to_thread(self._bury, batch))
        new = await attempt(lambda: asyncio.to_thread(self._post, batch))
        self.new += new
        self.known += len(batch.records) - new
        newest = [record.started_at for record in batch.records]
        self.newest_at = max([*newest, *([self.newest_at] if self.newest_at else [])], default=None)
        if self._clock.monotonic() - self._reported_at > _REPORT_SECONDS:
            self._report()

    async def close(self) -> None:
        self._report()

    def _bury(self, batch: RecordBatch) -> int:
        # Of a record whose other parts went to another consumer, that one has posted the whole.
        dead = [one for one in batch.dead if one.call_id is None or not self._ledger.call(one.call_id)]
        bury(dead, self._dead_messages)
        return len(dead)

    def _post(self, batch: RecordBatch) -> int:
        positions = dict(batch.positions)
        new = self._ledger.post(batch.records, batch.partition, positions.pop(batch.partition, None))
        for partition, position in positions.items():
            self._ledger.post([], partition, position)
        return new

    def _report(self) -> None:
        self._reported_at = self._clock.monotonic()
        _log.info("so far %d new records, %d that were known, %d dead letters", self.new, self.known, self.dead)


def format_of(config: Config) -> MessageFormat:
    """How messages are read, as ``[intake]`` says, and whose keys are in them as it is known now. Blocks. `ConfigError`
    if the keys cannot be read."""
    if config.intake.format == "tokenweir":
        return WholeRecords()
    return ApimEvents(
        Keyring(config.callers, _stored_keys(config), config.groups),
        keeps_keys=config.intake.subscription_keys == "as-is",
        keeps_content=config.journal.content == "full",
        has_gateway_logs=config.intake.gateway_logs,
    )


def _stored_keys(config: Config) -> list[StoredKey]:
    shared = open_shared_keys(config.server.shared_keys)
    if shared is None:
        return read_keys(Path(config.server.keys))
    with closing(shared):
        return read_keys(shared)


def run(source: ConfigSource) -> int:
    """Consumes until SIGTERM or Ctrl-C. Returns the exit code. `ConfigError` if the configuration cannot be used."""
    config = source.load(os.environ, checked=False).config
    configure_logging("consume")
    uvloop.run(_run(config, source))
    return 0


class _Intake:
    """Everything that one configuration makes: a source, a ledger, which may be away, and the loop between them."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """`ConfigError` if something of it cannot be."""
        # What is wrong with the source is said before a ledger is made.
        format = format_of(config)
        self._source = source = open_source(config.intake, os.environ, lambda name: self._ledger.position(name))
        self._dead_messages = open_dead_messages(config.intake, clock)
        self._ledger = LateLedger(ledger_opener(config.ledger.url), clock)
        self.destination = LedgerDestination(self._ledger, self._dead_messages, clock)
        records = MessageRecords(source, format, pricer_of(config))
        self.delivery = Delivery("consume", records, [self.destination], clock)
        self._about = f"from {source} into {config.ledger.url.partition(':')[0]}"

    def __str__(self) -> str:
        return self._about

    def status(self) -> ConsumerStatus:
        return ConsumerStatus(
            new=self.destination.new,
            known=self.destination.known,
            dead=self.destination.dead,
            retries=self.delivery.retries,
            newest_at=self.destination.newest_at,
            failing_since=self.delivery.failing_since,
            stuck_since=self.delivery.stuck_since,
            last_error=self.delivery.last_error,
            behind=self._source.behind(),
        )

    def close(self) -> None:
        self._ledger.close()
        self._dead_messages.close()


async def _run(config: Config, source: ConfigSource) -> None:
    clock = SystemClock()
    loop = asyncio.get_running_loop()
    is_stopping = False
    intake = _Intake(config, clock)
    following: _Intake | None = None

    def stop() -> None:
        nonlocal is_stopping
        is_stopping = True
        intake.delivery.stop()

    def reload() -> None:
        """The batch under way ends, then everything is made anew. What is wrong changes nothing."""
        nonlocal following
        try:
            following = _Intake(source.load(os.environ, checked=False).config, clock)
        except TokenweirError as error:
            _log.error("the configuration was not reloaded, the old one stays: %s", error)
            return
        intake.delivery.stop()

    async def consume() -> None:
        nonlocal intake, following
        while True:
            _log.info("%s", intake)
            try:
                await intake.delivery.run()
            finally:
                intake.close()
            if is_stopping or following is None:
                return
            intake, following = following, None
            _log.info("configuration reloaded")

    server = _server(config, lambda: intake.status())
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    serving = loop.create_task(server[0].serve(sockets=[server[1]])) if server is not None else None
    try:
        await consume()
    finally:
        if server is not None and serving is not None:
            server[0].should_exit = True
            await serving


class _AdminServer(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(config: Config, status: Callable[[], ConsumerStatus]) -> tuple[_AdminServer, socket.socket] | None:
    """The admin port, if one is asked for. `ConfigError` if it cannot be."""
    address, token = config.intake.admin, config.server.admin_token
    if address is None:
        return None
    if token is None and not is_loopback(parse_address(address)[0]):
        raise ConfigError(
            f"[intake] admin = {quoted(address)} can be reached from other machines; set [server] admin_token, or "
            "listen on 127.0.0.1"
        )
    listener = listen(address, "[intake] admin")
    app = create_consumer_app(status, token)
    _log.info("admin port http://%s", address)
    return _AdminServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")), listener

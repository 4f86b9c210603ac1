"""The process of ``tokenweir consume``: receives messages, posts their records, and only then says that it has them.

Exactly once comes from both sides: a batch that was not said to be done comes again, and a ledger knows the calls
that it has. Any number of these processes may share a consumer group and a ledger.
"""

import asyncio
import logging
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvloop

from ..config import Config
from ..delivery.pricer import FREE, Pricer
from ..delivery.sources import (
    ApimEvents,
    Batch,
    DeadLetters,
    Format,
    Inbox,
    Source,
    SourceDenied,
    SourceError,
    Taken,
    WholeRecords,
    open_dead_letters,
    open_source,
)
from ..errors import TokenweirError
from ..ledger import Ledger, open_ledger
from ..policy import Keyring, read_keys
from ..records import Clock, SystemClock
from .logs import configure_logging

__all__ = ["Consumer", "format_of", "run"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_REPORT_SECONDS = 60.0


class Consumer:
    """Takes batches from a source to a ledger until it is stopped."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        dead_letters: DeadLetters,
        clock: Clock,
        format: Format | None = None,
        chance: Callable[[], float] = random.random,
        first_pause: float = _FIRST_PAUSE_SECONDS,
        price: Pricer = FREE,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._clock = clock
        self._format = format
        self._chance = chance
        self._first_pause = first_pause
        self._price = price
        self._stop = asyncio.Event()
        self._reported_at = clock.monotonic()
        self.new = 0
        """Calls that were not in the ledger before."""
        self.known = 0
        self.dead = 0

    def __repr__(self) -> str:
        return f"<Consumer {self.new} new, {self.known} known, {self.dead} dead>"

    def stop(self) -> None:
        """Lets the batch under way end, unless the ledger does not take it."""
        self._stop.set()

    async def run(self) -> None:
        """Consumes until `stop`. Outages are waited for, however long."""
        failures = 0
        while not self._stop.is_set():
            # Whatever was not done comes again, so what was held of it is let go.
            inbox = Inbox(self._format)
            batches = self._source.batches()
            try:
                while (batch := await self._next(batches)) is not None:
                    failures = 0
                    await self._take(batch, inbox)
            except SourceError as error:
                failures += 1
                _log.error("nothing is received, and will be tried again: %s", error)
                await self._pause(failures, longest=isinstance(error, SourceDenied))
        await self._source.close()
        self._report()

    async def _next(self, batches: AsyncIterator[Batch]) -> Batch | None:
        """The next batch; ``None`` when it is time to stop."""
        if self._stop.is_set():
            return None
        loop = asyncio.get_running_loop()
        pulling, stopping = loop.create_task(_pull(batches)), loop.create_task(self._stop.wait())
        await asyncio.wait({pulling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (pulling, stopping):
            if not task.done():
                task.cancel()
        await asyncio.gather(pulling, stopping, return_exceptions=True)
        return None if pulling.cancelled() else pulling.result()

    async def _take(self, batch: Batch, inbox: Inbox) -> None:
        taken = await asyncio.to_thread(inbox.take, batch)  # what has to be counted takes its time
        if not await self._keep(batch, taken):
            return
        for settled in taken.settled:
            try:
                await self._source.done(settled)
            except SourceError as error:
                _log.warning("%s comes again, which the ledger does not mind: %s", settled.source, error)
        if self._clock.monotonic() - self._reported_at > _REPORT_SECONDS:
            self._report()

    async def _keep(self, batch: Batch, taken: Taken) -> bool:
        """Tries until ledger and disk have what a batch brought; whether they do. Only a stop ends it otherwise."""
        failures = 0
        while True:
            try:
                await asyncio.to_thread(self._post, batch, taken)
                return True
            except (TokenweirError, OSError) as error:
                failures += 1
                _log.error("%d records are not taken, and will be tried again: %s", len(taken.records), error)
                await self._pause(failures)
            if self._stop.is_set():
                return False

    def _post(self, batch: Batch, taken: Taken) -> None:
        positions = {settled.source: settled.position for settled in taken.settled}
        # Of a record whose other parts went to another consumer, that one has posted the whole.
        dead = [letter for letter in taken.dead if letter.call_id is None or not self._ledger.call(letter.call_id)]
        self._dead_letters.bury(dead)
        records = [self._price(record) for record in taken.records]
        new = self._ledger.post(records, batch.source, positions.pop(batch.source, None))
        for source, position in positions.items():
            self._ledger.post([], source, position)
        for letter in dead:
            _log.error(
                "%s, %s is kept in %s: %s", letter.source, letter.message.place, self._dead_letters.where, letter.reason
            )
        self.new += new
        self.known += len(records) - new
        self.dead += len(dead)

    async def _pause(self, failures: int, *, longest: bool = False) -> None:
        """Waits, each time twice as long as before, or until it is time to stop."""
        backed_off = min(_LONGEST_PAUSE_SECONDS, self._first_pause * 2.0 ** min(failures - 1, 20))
        seconds = (_LONGEST_PAUSE_SECONDS if longest else backed_off) * (0.5 + self._chance() / 2)
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            pass

    def _report(self) -> None:
        self._reported_at = self._clock.monotonic()
        _log.info("so far %d new records, %d that were known, %d dead letters", self.new, self.known, self.dead)


def format_of(config: Config) -> Format:
    """How messages are read, as ``[intake]`` says. `ConfigError` if the file of keys cannot be."""
    if config.intake.format == "tokenweir":
        return WholeRecords()
    return ApimEvents(
        Keyring(config.callers, read_keys(Path(config.server.keys))),
        keeps_keys=config.intake.subscription_keys == "as-is",
        keeps_content=config.journal.content == "full",
    )


async def _pull(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)


def run(config: Config) -> int:
    """Consumes until SIGTERM or Ctrl-C. Returns the exit code. `ConfigError` or `LedgerError` if it cannot begin."""
    configure_logging("consume")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    uvloop.run(_run(config))
    return 0


async def _run(config: Config) -> None:
    # What is wrong with the source is said before a ledger is made.
    format = format_of(config)
    source = open_source(config.intake, os.environ, lambda name: ledger.position(name))
    clock = SystemClock()
    dead_letters = open_dead_letters(config.intake, clock)
    ledger = open_ledger(config.ledger.url)
    consumer = Consumer(source, ledger, dead_letters, clock, format, price=Pricer(config.prices))
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, consumer.stop)
    _log.info("from %s into %s", source, ledger)
    try:
        await consumer.run()
    finally:
        ledger.close()
        dead_letters.close()

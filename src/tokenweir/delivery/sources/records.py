"""Messages as a source of records: read, put together where they came in parts, priced."""

import asyncio
import logging
from collections.abc import AsyncIterator

from ..base import RecordBatch
from ..errors import DeliveryError
from ..messages import MessageBatch, MessageSource
from ..pricer import FREE, Pricer
from .formats import MessageFormat
from .reassembly import Reassembler

__all__ = ["MessageRecords", "records_of"]

_log = logging.getLogger(__name__)


def records_of(batch: MessageBatch, reassembler: Reassembler, price: Pricer) -> RecordBatch:
    """What a batch of messages brought. What has to be counted takes its time: not for an event loop."""
    found = reassembler.take(batch)
    return RecordBatch(
        records=[price(record) for record in found.records],
        positions={settled.partition: settled.position for settled in found.settled},
        partition=batch.partition,
        dead=found.dead,
    )


class MessageRecords:
    """A `RecordSource` of messages. When it fails it begins anew with what was not done, and lets go of the parts that
    it held: they come again."""

    def __init__(self, source: MessageSource, format: MessageFormat | None = None, price: Pricer = FREE) -> None:
        self._source = source
        self._format = format
        self._price = price
        self._stop = asyncio.Event()
        # since the latest beginning
        self._batches: AsyncIterator[MessageBatch] | None = None
        self._reassembler = Reassembler(format)

    async def read(self) -> RecordBatch | None:
        if self._stop.is_set():
            return None
        if self._batches is None:
            self._batches, self._reassembler = self._source.batches(), Reassembler(self._format)
        try:
            batch = await self._next(self._batches)
            if batch is None:
                return None
            return await asyncio.to_thread(records_of, batch, self._reassembler, self._price)
        except BaseException:
            self._batches = None
            raise

    async def done(self, batch: RecordBatch) -> None:
        for partition, position in batch.positions.items():
            try:
                await self._source.done(partition, position)
            except DeliveryError as error:
                _log.warning("%s comes again, which the ledger does not mind: %s", partition, error)

    def stop(self) -> None:
        self._stop.set()

    async def close(self) -> None:
        await self._source.close()

    async def _next(self, batches: AsyncIterator[MessageBatch]) -> MessageBatch | None:
        """The next batch; `None` when it is time to stop."""
        loop = asyncio.get_running_loop()
        pulling, stopping = loop.create_task(_pull(batches)), loop.create_task(self._stop.wait())
        await asyncio.wait({pulling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (pulling, stopping):
            if not task.done():
                task.cancel()
        await asyncio.gather(pulling, stopping, return_exceptions=True)
        return None if pulling.cancelled() else pulling.result()


async def _pull(batches: AsyncIterator[MessageBatch]) -> MessageBatch:
    return await anext(batches)

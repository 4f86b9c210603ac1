"""Messages as a source of records: put together where they came in parts, priced; what cannot be read is set aside.

A batch is settled when each of its messages has become a record or a dead letter. One with a part whose other parts
have not come yet is not, and holds up the batches behind it in its partition: if we are killed, the part has to come
again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator

import msgspec

from ...errors import place_of
from ...records import CallRecord
from ..base import BrokerMessage, DeadMessage, DeliveryError, MessageBatch, MessageSource, RecordBatch
from ..pricer import FREE, Pricer
from .formats import MessageFormat, RecordPart, Unreadable, WholeRecords

__all__ = ["MessageRecords", "Reassembled", "Reassembler", "records_of"]

# The largest record by far: a request and a response of 64 MB each, in JSON.
MOST_HELD_BYTES = 256 * 1024 * 1024


class Reassembled(msgspec.Struct, frozen=True):
    """What a batch brought."""

    records: list[CallRecord]
    dead: list[DeadMessage]
    settled: list[MessageBatch]
    """Of each partition the last batch that is settled now, if there is a new one."""


_Part = tuple[RecordPart, BrokerMessage]


class _Held(msgspec.Struct, eq=False):
    """A batch that was taken and is not settled, or stands behind one that is not."""

    batch: MessageBatch
    size: int
    waiting: int = 0
    """How many unfinished records have a part in it."""


class _Unfinished(msgspec.Struct, eq=False):
    """A record of which some parts are missing."""

    parts: dict[int, _Part]
    held: list[_Held]


class Reassembler:
    """Takes batches, of any number of partitions, as they come."""

    def __init__(self, format: MessageFormat | None = None, most_held_bytes: int = MOST_HELD_BYTES) -> None:
        self._format = format or WholeRecords()
        self._most_held_bytes = most_held_bytes
        self._held: dict[str, deque[_Held]] = {}
        self._held_bytes = 0
        # A record that is sent again may be cut otherwise than before, so its number of parts tells the tries apart.
        self._unfinished: dict[tuple[str, int], _Unfinished] = {}

    def __repr__(self) -> str:
        return f"<Reassembler {len(self._unfinished)} unfinished, {self._held_bytes} bytes held>"

    def take(self, batch: MessageBatch) -> Reassembled:
        """Reads a batch. It may finish records that began in earlier ones."""
        held = _Held(batch, sum(len(message.body) for message in batch.messages))
        self._held.setdefault(batch.partition, deque()).append(held)
        self._held_bytes += held.size
        records: list[CallRecord] = []
        dead: list[DeadMessage] = []
        for message in batch.messages:
            belonging = [message]
            try:
                piece = self._format.unwrap(message)
                if piece.parts > 1:
                    pieces = self._add(piece, message, held)
                    if len(pieces) < piece.parts:
                        continue
                    belonging = [message for _, message in pieces]
                    piece = RecordPart(b"".join(piece.data for piece, _ in pieces))
                records.append(self._format.decode(piece.data))
            except Unreadable as error:
                dead += [self._letter(batch.partition, message, str(error)) for message in belonging]
            except Exception as error:
                # A defect of ours, in one message: it must not hold up all others.
                reason = f"no record could be made of it: {place_of(error)}"
                dead += [self._letter(batch.partition, message, reason) for message in belonging]
        settled = self._settle()
        while self._held_bytes > self._most_held_bytes and self._unfinished:
            dead += self._give_up(next(iter(self._unfinished)))
            settled |= self._settle()
        return Reassembled(records, dead, list(settled.values()))

    def _add(self, piece: RecordPart, message: BrokerMessage, held: _Held) -> list[_Part]:
        """The parts of a record that are there now, in their order; if it is all of them, they are not kept."""
        key = (piece.call_id, piece.parts)
        unfinished = self._unfinished.setdefault(key, _Unfinished({}, []))
        unfinished.parts[piece.part] = (piece, message)
        if held not in unfinished.held:
            unfinished.held.append(held)
            held.waiting += 1
        if len(unfinished.parts) == piece.parts:
            for other in [other for other in self._unfinished if other[0] == piece.call_id]:
                self._release(other)
        return [unfinished.parts[number] for number in sorted(unfinished.parts)]

    def _release(self, key: tuple[str, int]) -> _Unfinished:
        unfinished = self._unfinished.pop(key)
        for held in unfinished.held:
            held.waiting -= 1
        return unfinished

    def _give_up(self, key: tuple[str, int]) -> Iterator[DeadMessage]:
        unfinished = self._release(key)
        reason = f"only {len(unfinished.parts)} of its {key[1]} parts came"
        source = unfinished.held[0].batch.partition
        return (self._letter(source, message, reason, key[0]) for _, message in unfinished.parts.values())

    def _letter(self, source: str, message: BrokerMessage, reason: str, call_id: str | None = None) -> DeadMessage:
        return DeadMessage(source, self._format.presentable(message), reason, call_id)

    def _settle(self) -> dict[str, MessageBatch]:
        """Lets go of what is settled."""
        settled = {}
        for partition, waiting in list(self._held.items()):
            while waiting and waiting[0].waiting == 0:
                held = waiting.popleft()
                self._held_bytes -= held.size
                settled[partition] = held.batch
            if not waiting:
                del self._held[partition]
        return settled


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

"""Messages as a source of records: put together where they came in parts, priced; what cannot be read is set aside.

A batch is settled when each of its messages has become a record or a dead letter. One with a part whose other parts
have not come yet is not, and holds up the batches behind it in its partition: if we are killed, the part has to come
again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec

from ...errors import place_of
from ...records import CallRecord
from ..base import BrokerMessage, DeadMessage, DeliveryError, MessageBatch, MessageSource, RecordBatch
from ..pricer import FREE, Pricer
from .formats import MessageFormat, RecordPart, Unreadable, WholeRecords

__all__ = ["MessageRecords", "Reassembled", "Reassembler", "records_of"]

# The largest record by far: a request and a response of 64 MB each, in JSON.
MOST_HELD_BYTES = 256 * 1024 * 1024


# How many more batches are waited for where nobody knows how many parts a record has.
_MOST_BATCHES = 20


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
    since: int
    """How many batches had come when it began."""


class Reassembler:
    """Takes batches, of any number of partitions, as they come."""

    def __init__(self, format: MessageFormat | None = None, most_held_bytes: int = MOST_HELD_BYTES) -> None:
        self._format = format or WholeRecords()
        self._most_held_bytes = most_held_bytes
        self._taken = 0
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
        self._taken += 1
        records: list[CallRecord] = []
        dead: list[DeadMessage] = []
        for message in batch.messages:
            try:
                pieces = self._format.unwrap(message)
            except Unreadable as error:
                dead.append(self._letter(batch.partition, message, str(error)))
                continue
            for number, piece in enumerate(pieces, 1):
                one = message if len(pieces) == 1 else _one_of(message, piece, number)
                whole: bytes | None = piece.data
                belonging = [one]
                if piece.parts != 1:
                    waiting = self._add(piece, one, held)
                    whole, belonging = self._joined(piece, waiting), [part for _, part in waiting]
                if whole is not None:
                    self._decode(whole, piece.problem, batch.partition, belonging, records, dead)
        settled = self._settle()
        while self._unfinished and (self._held_bytes > self._most_held_bytes or self._is_old()):
            self._give_up(next(iter(self._unfinished)), records, dead)
            settled |= self._settle()
        return Reassembled(records, dead, list(settled.values()))

    def _decode(
        self,
        data: bytes,
        problem: str | None,
        partition: str,
        messages: Sequence[BrokerMessage],
        records: list[CallRecord],
        dead: list[DeadMessage],
    ) -> None:
        try:
            if problem is not None:
                raise Unreadable(problem)
            records.append(self._format.decode(data))
        except Unreadable as error:
            dead += [self._letter(partition, message, str(error)) for message in messages]
        except Exception as error:
            # A defect of ours, in one message: it must not hold up all others.
            reason = f"no record could be made of it: {place_of(error)}"
            dead += [self._letter(partition, message, reason) for message in messages]

    def _joined(self, piece: RecordPart, parts: Sequence[_Part]) -> bytes | None:
        """The whole, if all parts are there."""
        if piece.parts > 1:
            return b"".join(part.data for part, _ in parts) if len(parts) == piece.parts else None
        whole = self._format.assembled([part.data for part, _ in parts], is_last=False)
        if whole is not None:
            self._release((piece.call_id, 0))
        return whole

    def _is_old(self) -> bool:
        """Whether the oldest of those that nobody knows the number of has waited long enough."""
        (_, parts), unfinished = next(iter(self._unfinished.items()))
        return parts == 0 and self._taken - unfinished.since >= _MOST_BATCHES

    def _add(self, piece: RecordPart, message: BrokerMessage, held: _Held) -> list[_Part]:
        """The parts of a record that are there now, in their order; if it is all of them, they are not kept."""
        key = (piece.call_id, piece.parts)
        unfinished = self._unfinished.setdefault(key, _Unfinished({}, [], self._taken))
        unfinished.parts[piece.part] = (piece, message)
        if held not in unfinished.held:
            unfinished.held.append(held)
            held.waiting += 1
        if piece.parts and len(unfinished.parts) == piece.parts:
            for other in [other for other in self._unfinished if other[0] == piece.call_id]:
                self._release(other)
        return [unfinished.parts[number] for number in sorted(unfinished.parts)]

    def _release(self, key: tuple[str, int]) -> _Unfinished:
        unfinished = self._unfinished.pop(key)
        for held in unfinished.held:
            held.waiting -= 1
        return unfinished

    def _give_up(self, key: tuple[str, int], records: list[CallRecord], dead: list[DeadMessage]) -> None:
        unfinished = self._release(key)
        source = unfinished.held[0].batch.partition
        if key[1] == 0:
            parts = [unfinished.parts[number] for number in sorted(unfinished.parts)]
            whole = self._format.assembled([part.data for part, _ in parts], is_last=True)
            if whole is not None:
                self._decode(whole, None, source, [message for _, message in parts], records, dead)
            return
        reason = f"only {len(unfinished.parts)} of its {key[1]} parts came"
        dead += [self._letter(source, message, reason, key[0]) for _, message in unfinished.parts.values()]

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


def _one_of(message: BrokerMessage, piece: RecordPart, number: int) -> BrokerMessage:
    """What a dead letter of one of several in a message holds."""
    return BrokerMessage(body=piece.data, properties=message.properties, place=f"{message.place}, entry {number}")


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

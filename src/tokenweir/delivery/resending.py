"""Sends again what went to the dead letters: each letter once, as far as the other side lets us know.

A sending that is cut off goes on where it was; a group of letters at most is sent twice then, and never is one lost.
What is refused again, or cannot be read, is put back as a new letter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from .base import AttemptPolicy, BrokerMessage, Denied, Destination, MessageBatch, Rejected, SinkEvent
from .dead_letters import DeadLetter, DeadMessages, LetterStore, bury
from .loop import backoff
from .outlet import Outlet
from .pricer import Pricer
from .sinks import EventFormat
from .sources import MessageFormat, Reassembler, records_of

__all__ = ["ResendResult", "resend_events", "resend_messages"]

T = TypeVar("T")

# As many are sent twice where a sending is cut off at the worst moment.
_GROUP_LETTERS = 200
_MOST_ATTEMPTS = 6

_read = msgspec.json.Decoder(DeadLetter).decode


class ResendResult(msgspec.Struct):
    """What became of the letters."""

    sent: int = 0
    refused: int = 0
    """Refused as before, or unreadable as before; they are dead letters again."""
    unreadable: int = 0
    """Lines that are no letters, or hold too little; they are put back as they were."""


async def resend_events(
    store: LetterStore, format: EventFormat, outlet: Outlet, attempt: AttemptPolicy | None = None
) -> ResendResult:
    """A sink's events to the sink. `DeliveryError` where it takes nothing; then the next try begins there."""

    async def deliver(letters: Sequence[DeadLetter], result: ResendResult) -> list[DeadLetter]:
        events: list[SinkEvent] = []
        odd: list[DeadLetter] = []
        for letter in letters:
            try:
                events.append(format.again(letter))
            except (ValueError, msgspec.MsgspecError):
                odd.append(letter)
        sent, dead = outlet.sent, outlet.dead
        if events:
            await outlet.deliver_events(events, attempt or _some_attempts)
        result.sent += outlet.sent - sent
        result.refused += outlet.dead - dead
        return odd

    return await _resend(store, deliver)


async def resend_messages(
    messages: DeadMessages,
    format: MessageFormat,
    price: Pricer,
    destinations: Sequence[Destination],
    attempt: AttemptPolicy | None = None,
) -> ResendResult:
    """Messages that could not be read, read again; what they hold goes to all destinations. As ``resend_events``."""

    async def deliver(letters: Sequence[DeadLetter], result: ResendResult) -> list[DeadLetter]:
        given = [
            BrokerMessage(body=letter.body_bytes, properties=letter.properties, place=letter.place)
            for letter in letters
        ]
        batch = MessageBatch(partition="dead letters", position="", messages=given)
        # Parts whose others are missing are not waited for.
        found = await asyncio.to_thread(records_of, batch, Reassembler(format, most_held_bytes=0), price)
        records = msgspec.structs.replace(found, positions={}, dead=())
        for destination in destinations:
            await destination.deliver(records, attempt or _some_attempts)
        await asyncio.to_thread(bury, found.dead, messages)
        result.sent += len(found.records)
        result.refused += len(found.dead)
        return []

    return await _resend(messages.store, deliver)


_Deliver = Callable[[Sequence[DeadLetter], ResendResult], Awaitable[list[DeadLetter]]]


async def _resend(store: LetterStore, deliver: _Deliver) -> ResendResult:
    result = ResendResult()
    with store.claim() as claimed:
        for letters in claimed:
            for lines, position in _groups(letters.lines()):
                readable: list[DeadLetter] = []
                odd: list[bytes] = []
                for line in lines:
                    try:
                        readable.append(_read(line))
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        odd.append(line.rstrip(b"\n"))
                odd += [msgspec.json.encode(letter) for letter in await deliver(readable, result)]
                if odd:
                    result.unreadable += len(odd)
                    store.append(odd)
                letters.done(position)
    return result


def _groups(lines: Iterator[tuple[bytes, int]]) -> Iterator[tuple[list[bytes], int]]:
    group: list[bytes] = []
    behind = 0
    for line, behind in lines:
        group.append(line)
        if len(group) == _GROUP_LETTERS:
            yield group, behind
            group = []
    if group:
        yield group, behind


async def _some_attempts(action: Callable[[], Awaitable[T]], /) -> T:
    """The `AttemptPolicy` of somebody who waits at a prompt."""
    failures = 0
    while True:
        try:
            return await action()
        except (Rejected, Denied):
            raise
        except Exception as error:
            failures += 1
            if failures == _MOST_ATTEMPTS:
                raise
            await asyncio.sleep(backoff(failures, error, 0.5))

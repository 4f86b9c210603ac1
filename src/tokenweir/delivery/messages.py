"""Messages that hold records, and what a source of them promises, whichever wire it reads."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

__all__ = ["DeadMessage", "Message", "MessageBatch", "MessageSource"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it arrived: a whole event, or one part of it."""

    body: bytes
    properties: dict[str, str] = {}
    """What stood beside the body: application properties or headers. Values that are no text are written as text."""
    place: str
    """Where it lies, for a person who looks for it: ``partition 3, offset 170``."""


class MessageBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one partition, in their order, and how far it has been read with them."""

    partition: str
    """Which partition of what: the name under which the ledger keeps the position."""
    position: str
    """Behind the last of the messages; opaque to everybody but the source."""
    messages: list[Message]


class DeadMessage(msgspec.Struct, frozen=True):
    """A message that became no record, and why."""

    partition: str
    message: Message
    reason: str
    call_id: str | None = None
    """Of a part without the others: another consumer may have had them all."""


class MessageSource(Protocol):
    """Partitions of a hub or topic, shared with the other consumers of a group. At least once: what was not said to
    be ``done`` comes again, to this consumer after a restart or to another one.

    One task uses a source. It may ask for further batches before it says that one is done: a record that was sent in
    parts can end in a later batch. Of a partition's batches it may say so for the last one only.
    """

    def batches(self) -> AsyncIterator[MessageBatch]:
        """Connects, and gives what arrives until the iterator is closed; those of one partition in their order.

        Waits as long as nothing arrives, and gets over outages by itself where the wire can. Otherwise raises
        `Unavailable` or `Denied`; then this may be called anew.
        """
        ...

    async def done(self, partition: str, position: str) -> None:
        """Everything before the position is kept: save that with the group.

        A partition that went to another consumer meanwhile is none of ours any more: then this does nothing.
        `Unavailable` if it could not be saved; then it comes again, which the ledger does not mind.
        """
        ...

    async def close(self) -> None:
        """Leaves the group and lets go of everything that is open; raises nothing."""
        ...

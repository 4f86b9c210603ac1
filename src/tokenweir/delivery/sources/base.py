"""What a source of messages promises, whichever wire it reads, and how it fails. The sources live beside this file."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from ...errors import TokenweirError

__all__ = ["Batch", "Message", "Source", "SourceDenied", "SourceError", "SourceUnavailable"]


class SourceError(TokenweirError):
    """Messages could not be received. The text is for a person, and holds no key and no prompt."""


class SourceUnavailable(SourceError):
    """An outage or a timeout: it may be tried again later."""


class SourceDenied(SourceError):
    """A wrong key, a hub or topic that does not exist, a certificate nobody trusts: a person must act."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it arrived: a whole event, or one part of it."""

    body: bytes
    properties: dict[str, str] = {}
    """What stood beside the body: application properties or headers. Values that are no text are written as text."""
    place: str
    """Where it lies, for a person who looks for it: ``partition 3, offset 170``."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one partition, in their order, and how far it has been read with them."""

    source: str
    """Which partition of what: the name under which the ledger keeps the position."""
    position: str
    """Behind the last of the messages; opaque to everybody but the source."""
    messages: list[Message]


class Source(Protocol):
    """Partitions of a hub or topic, shared with the other consumers of a group. At least once: what was not said to
    be ``done`` comes again, to this consumer after a restart or to another one.

    One task uses a source. It may ask for further batches before it says that one is done: a record that was sent in
    parts can end in a later batch. Of a partition's batches it may say so for the last one only.
    """

    def batches(self) -> AsyncIterator[Batch]:
        """Connects, and gives what arrives until the iterator is closed; those of one partition in their order.

        Waits as long as nothing arrives, and gets over outages by itself where the wire can. Otherwise raises
        `SourceUnavailable` or `SourceDenied`; then this may be called anew.
        """
        ...

    async def done(self, batch: Batch) -> None:
        """The ledger has the batch and everything before it in its partition: save that with the group.

        A partition that went to another consumer meanwhile is none of ours any more: then this does nothing.
        `SourceUnavailable` if it could not be saved; the batch comes again, which the ledger does not mind.
        """
        ...

    async def close(self) -> None:
        """Leaves the group and lets go of everything that is open; raises nothing."""
        ...

"""What a delivery loop joins: a source of records, and destinations that take them; what travels between them, and how
delivery fails. Texts of errors are for a person, and hold no key and no prompt."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ..errors import TokenweirError
from ..records import CallRecord

__all__ = [
    "AttemptPolicy",
    "DeadMessage",
    "DeliveryError",
    "Denied",
    "Destination",
    "SinkEvent",
    "BrokerMessage",
    "MessageBatch",
    "MessageSource",
    "RecordBatch",
    "RecordSource",
    "Rejected",
    "Throttled",
    "Unavailable",
    "once",
    "way_of_asking",
]


class BrokerMessage(msgspec.Struct, frozen=True, kw_only=True):
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
    messages: list[BrokerMessage]


class DeadMessage(msgspec.Struct, frozen=True):
    """A message that became no record, and why."""

    partition: str
    message: BrokerMessage
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

    def behind(self) -> dict[str, int]:
        """Messages of each partition that are not done, as far as the broker has said; nothing where it has not."""
        ...

    async def probe(self) -> str:
        """Connects as far as that is possible without taking anything or joining the group, for ``tokenweir doctor``.

        Returns what was found. `Unavailable` or `Denied` where nothing could be taken now.
        """
        ...

    async def close(self) -> None:
        """Leaves the group and lets go of everything that is open; raises nothing."""
        ...


T = TypeVar("T")


class RecordBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Records in their order, with their cost, and how far their source has been read with them."""

    records: Sequence[CallRecord]
    positions: Mapping[str, str]
    """Behind the last of the records, by partition: a relay's journal, a partition of a hub or topic. Opaque to
    everybody but the source. Of messages there may be none yet, or several."""
    partition: str = ""
    """Which partition was read."""
    dead: Sequence[DeadMessage] = ()
    """Messages that became no record."""
    has_more: bool = True
    """Whether it is likely that the next ones can be read at once."""


class SinkEvent(Protocol):
    """One thing that a sink sends: what is said of one call, or a part of that."""

    @property
    def call_id(self) -> str: ...
    @property
    def properties(self) -> dict[str, str]:
        """Beside the event: always ``call_id``, ``replica``, ``seq`` and ``shape``."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it takes on a wire, at most."""
        ...

    def letter(self) -> dict[str, Any]:
        """Members of its `DeadLetter`: ``event``, which a person can read, and what else it takes to send it again."""
        ...


class RecordSource(Protocol):
    """Where records come from, at least once: what was not said to be ``done`` comes again after a restart.

    One task uses a source. Raises `TokenweirError` where it cannot be read; then it may be called again.
    """

    async def read(self) -> RecordBatch | None:
        """The next records, of a bounded size together; `None` if there are none now. A source that waits for them
        says so only after ``stop``."""
        ...

    async def done(self, batch: RecordBatch) -> None:
        """Everything before the batch's positions is taken care of: the next run may begin there."""
        ...

    def stop(self) -> None:
        """Lets a ``read`` that waits return."""
        ...

    async def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


class AttemptPolicy(Protocol):
    """How something that may fail is done: once, or again and again until it works. Only `Rejected` always passes."""

    def __call__(self, action: Callable[[], Awaitable[T]], /) -> Awaitable[T]: ...


async def once(action: Callable[[], Awaitable[T]], /) -> T:
    """The `AttemptPolicy` of a host that hands the same batch over again by itself."""
    return await action()


class Destination(Protocol):
    """Where records go to, at least once. One task uses a destination."""

    async def open(self) -> None:
        """Connects, if it is not connected. `DeliveryError` in words for a person."""
        ...

    async def deliver(self, batch: RecordBatch, attempt: AttemptPolicy) -> None:
        """When this returns, everything of the batch is kept by the other side, or among the dead letters.

        Each step that can fail goes through ``attempt``, so that what was done before is not done again.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


class DeliveryError(TokenweirError):
    """A source gave nothing; or a sink took nothing, or only some."""


class Unavailable(DeliveryError):
    """An outage or a timeout: the same may be tried again later."""


class Throttled(Unavailable):
    """The other side is busy, or a quota is used up for now."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, if the other side said so."""


class Denied(DeliveryError):
    """A wrong key, a hub or topic that does not exist, a certificate nobody trusts: a person must act."""


class Rejected(DeliveryError):
    """These events can never be sent; all others of the same sending were."""

    def __init__(self, reason: str, events: Sequence[SinkEvent]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = tuple(events)


def way_of_asking(*, tls: bool) -> str:
    """What to try where a broker closes the connection, which is all that one does who speaks the other way."""
    if tls:
        return "it is asked over TLS; if its listener is PLAINTEXT or SASL_PLAINTEXT, set `tls = false`"
    return "it is asked in plaintext; if its listener is SSL or SASL_SSL, set `tls = true`"

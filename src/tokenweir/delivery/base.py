"""What a delivery loop joins: a source of records, and destinations that take them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from ..records import CallRecord
from .messages import DeadMessage

__all__ = ["Attempt", "Destination", "Event", "RecordBatch", "RecordSource", "once"]

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


class Event(Protocol):
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

    def text(self) -> str:
        """For a dead letter: what a person can read, and send by hand."""
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


class Attempt(Protocol):
    """How something that may fail is done: once, or again and again until it works. Only `Rejected` always passes."""

    def __call__(self, action: Callable[[], Awaitable[T]], /) -> Awaitable[T]: ...


async def once(action: Callable[[], Awaitable[T]], /) -> T:
    """The `Attempt` of a host that hands the same batch over again by itself."""
    return await action()


class Destination(Protocol):
    """Where records go to, at least once. One task uses a destination."""

    async def open(self) -> None:
        """Connects, if it is not connected. `DeliveryError` in words for a person."""
        ...

    async def deliver(self, batch: RecordBatch, attempt: Attempt) -> None:
        """When this returns, everything of the batch is kept by the other side, or among the dead letters.

        Each step that can fail goes through ``attempt``, so that what was done before is not done again.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...

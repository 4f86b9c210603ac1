"""What is told of a call while it is watched, in the order in which it happens. Also the lines of a saved capture.

    Began ▸ Connected ▸ Head ▸ BodyPiece, BodyPiece, …    ▸ Ended      watched by raw HTTP
    Began             ▸ Head ▸ Chunk, Chunk, …            ▸ Ended      watched through the official SDK

Every ``at`` is in seconds since the call was sent: since its first byte was handed to the kernel, or since the
SDK was called, which connects within that. Any moment but the first and the last may be missing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Self

import msgspec

from .. import __version__
from ..records import Clock
from .target import StreamApi, StreamTarget

__all__ = ["Began", "Chunk", "Connected", "Ended", "Ending", "Head", "Moment", "BodyPiece", "READ_SIZE", "Tell", "Via"]

READ_SIZE = 64 * 1024
"""The most that one read of the socket takes. On a fast link reads have this size, which says nothing of the way."""

Via = Literal["http", "sdk"]

Ending = Literal["complete", "closed", "reset", "timed_out", "unreachable", "not_http", "refused", "interrupted"]
"""``complete``: the answer's end was told, as HTTP tells it. ``closed``: the connection ended before that.
``refused``: the SDK raised what the endpoint had answered. ``interrupted``: cancelled (Ctrl-C)."""


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """The call is about to be made."""

    format: int = 1
    """Of a saved capture."""
    taken_at: datetime
    tokenweir: str
    """The version that watched."""
    name: str
    url: str
    via: Via
    api: StreamApi
    deployment: str

    @classmethod
    def now(cls, target: StreamTarget, via: Via, clock: Clock) -> Self:
        return cls(
            taken_at=clock.now(),
            tokenweir=__version__,
            name=target.name,
            url=target.url,
            via=via,
            api=target.api,
            deployment=target.deployment,
        )


class Connected(msgspec.Struct, frozen=True, tag="connected"):
    """A connection is there; seconds that each step took."""

    address: str
    lookup: float
    connect: float
    """TCP; about one round trip to whatever is connected to."""
    tls: float | None = None
    proxy: str | None = None
    """The proxy on the way, whose tunnel is part of ``connect``."""


class Head(msgspec.Struct, frozen=True, tag="head"):
    """Status and headers; only headers that hold nothing secret are here."""

    at: float
    status: int
    headers: list[tuple[str, str]] = []
    withheld: int = 0
    """How many others there were."""

    def header(self, name: str) -> str | None:
        """The first value of a header, whose name is given in lower case."""
        return next((value for known, value in self.headers if known == name), None)


class BodyPiece(msgspec.Struct, frozen=True, tag="piece"):
    """What of the body one read of the socket gave; unpacked where it came compressed."""

    at: float
    data: bytes
    size: int
    """Bytes of the body as they travelled."""


class Chunk(msgspec.Struct, frozen=True, tag="chunk"):
    """One event as the SDK handed it over, as JSON."""

    at: float
    data: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """Nothing more will come."""

    at: float
    how: Ending
    detail: str = ""
    """What went wrong, in the words of whoever noticed."""


Moment = Began | Connected | Head | BodyPiece | Chunk | Ended


Tell = Callable[[Moment], None]
"""Takes each moment as it happens, in the thread that watches, which must not wait for it."""

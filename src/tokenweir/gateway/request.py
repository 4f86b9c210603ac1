"""What the steps hand to each other: a request, what was decided about it, and how it ended."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from ..deployments import Target
from ..metering import Measurement
from ..policy import DebugToken, Identity
from ..records import Outcome, Route
from ..wire import Members, RequestHead

__all__ = ["Address", "Admission", "Attempt", "BodyMembers", "Candidates", "Client", "Ending", "Nobody", "Request"]


class Address(msgspec.Struct, frozen=True, gc=False):
    """What a head says, worked out once for all requests that share it."""

    method: str
    path: str
    route: Route
    query: bytes
    """Without the caller's key."""
    query_key: bytes | None
    api_version: str | None
    is_buffered: bool
    """Whether the body is held until whole: it has to be read, and can be sent again."""
    user_agent: str | None = None
    traceparent: str | None = None
    debug_token: bytes | None = None
    principal: str | None = None
    """Who called, as a platform in front says that has authenticated. Anybody can say so where there is none."""


class BodyMembers(msgspec.Struct, gc=False):
    """What is read of a JSON body. Types are the upstream's to judge, so any is let through."""

    model: Any = msgspec.UNSET
    stream: Any = msgspec.UNSET
    stream_options: Any = msgspec.UNSET
    service_tier: Any = msgspec.UNSET
    data_sources: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Request(msgspec.Struct, gc=False):
    """A client's request. The fields after ``received_at`` are filled in when its body is whole."""

    call_id: str
    head: RequestHead
    address: Address
    started_at: datetime
    received_at: float

    debug: DebugToken | None = None
    """One of ours that came with it, valid or not."""
    body: bytes = b""
    pieces: list[bytes] | None = None
    """A large body, as it came, in the place of ``body``."""
    members: Members | None = None
    """Where the members of a large one stand."""
    model: str | None = None
    service_tier: str | None = None
    stream: bool = False
    stream_options: object = UNSET
    """``UNSET``: there is no such member."""
    asks_for_usage: bool = False
    has_data_sources: bool = False

    def whole_body(self) -> bytes:
        """A copy, where the body is large."""
        return self.body if self.pieces is None else b"".join(self.pieces)


class Admission(msgspec.Struct, frozen=True, gc=False):
    """Who calls, and whose key it was."""

    identity: Identity
    key: bytes | None
    subject: str | None = None
    """Who used the caller's access, where that is known."""


class Candidates(msgspec.Struct, gc=False):
    """Where a call may go, best first; ``tried`` have been."""

    targets: Sequence[Target]
    tried: int = 0

    def next(self) -> Target | None:
        if self.tried >= len(self.targets):
            return None
        self.tried += 1
        return self.targets[self.tried - 1]

    @property
    def has_more(self) -> bool:
        return self.tried < len(self.targets)


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One request to an upstream; moments on the monotonic clock, seconds, 0.0 where one never came."""

    target: Target
    began: float
    connected: float = 0.0
    sent: float = 0.0
    answered: float = 0.0
    status: int | None = None
    error: str | None = None
    lines: bytes = b""
    """The answer's header lines, each behind its CR LF."""


class Ending(msgspec.Struct, gc=False):
    """How a call ended, and what the meter read."""

    outcome: Outcome
    status: int | None
    error_code: str | None = None
    reading: Measurement | None = None


class Client(Protocol):
    """The client's side of a call. One ``respond``, any number of ``write``, then ``finish`` or ``break_off``."""

    @property
    def address(self) -> str | None: ...

    def continue_body(self) -> None:
        """Tells a client that waits for it (``Expect: 100-continue``) to send its body."""
        ...

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        """Writes the head, its ``lines`` each behind a CR LF; if ``is_followed``, together with what is written
        next. ``length`` is ``None`` where the body's end is not known beforehand."""
        ...

    def write(self, data: bytes) -> None: ...

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        """Writes ``data``, which came as ``chunk`` of the chunked coding: that need not be made anew."""
        ...

    def flush(self) -> None:
        """What should have followed the head does not come now; the head goes alone."""
        ...

    def finish(self) -> None:
        """The answer is whole; the connection may carry the next request."""
        ...

    def break_off(self) -> None:
        """The answer will not become whole, and the client must be able to see that."""
        ...

    def close_after(self) -> None:
        """The connection must not carry another request after this answer."""
        ...

    def pause_body(self, paused: bool) -> None:
        """Stops or resumes taking the request's body."""
        ...


class Nobody:
    """Stands where a client was: an answer that is drained for its usage is written to nobody."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    def continue_body(self) -> None: ...

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None: ...

    def write(self, data: bytes) -> None: ...

    def write_chunk(self, data: bytes, chunk: bytes) -> None: ...

    def flush(self) -> None: ...

    def finish(self) -> None: ...

    def break_off(self) -> None: ...

    def close_after(self) -> None: ...

    def pause_body(self, paused: bool) -> None: ...

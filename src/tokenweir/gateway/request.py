"""What the steps hand to each other: a request, what was decided about it, and how it ended.

Plain classes, so that the compiled ones are C structs; they are read a hundred times in a call.
"""

import asyncio
from datetime import datetime

from msgspec import UNSET, json

from ..apis import kind_at, surface_of
from ..compiled import mypyc_attr
from ..deployments import Target
from ..metering import Measurement
from ..policy import DebugToken, Identity, Permissions
from ..records import Outcome, Route
from ..wire import Members, RequestHead

__all__ = ["Address", "Admission", "Attempt", "Client", "Ending", "Request"]


class Address:
    """What a head says, worked out once for all requests that share it. Not to be changed."""

    def __init__(
        self,
        method: str,
        path: str,
        route: Route,
        query: bytes = b"",
        query_key: bytes | None = None,
        api_version: str | None = None,
        *,
        is_buffered: bool = True,
        user_agent: str | None = None,
        traceparent: str | None = None,
        debug_token: bytes | None = None,
        principal: str | None = None,
        is_multipart: bool = False,
        is_socket: bool = False,
        protocols: bytes = b"",
        model: str | None = None,
    ) -> None:
        """``query`` is without the caller's key. ``is_buffered``: whether the body is held until whole, as it has to be
        read, and can be sent again. ``principal``: who called, as a platform in front says that has authenticated;
        anybody can say so where there is none. ``is_multipart``: whether its Content-Type is that of a form.
        ``is_socket``: whether a WebSocket is asked for; then ``protocols`` are
        the subprotocols that are offered, without the caller's key, and ``model`` is what the query names."""
        self.method = method
        self.path = path
        self.route = route
        self.surface = surface_of(route.api)
        self.read_as = self.surface if route.job_id is None else surface_of(kind_at(route.tail).surface)
        """The surface whose answers come: about a job, that of the call which made it."""
        self.is_metered = self.surface.is_metered
        self.is_form = self.surface.body == "form" or (is_multipart and self.surface.body == "either")
        self.query = query
        self.query_key = query_key
        self.api_version = api_version
        self.is_buffered = is_buffered
        self.user_agent = user_agent
        self.traceparent = traceparent
        self.debug_token = debug_token
        self.principal = principal
        self.is_socket = is_socket
        self.protocols = protocols
        self.model = model


class Request:
    """A client's request. What the class gives a default is filled in when the body is whole."""

    debug: DebugToken | None = None
    """One of ours that came with it, valid or not."""
    permissions: Permissions | None = None
    """What its caller may use; ``None``: everything."""
    body: bytes = b""
    pieces: list[bytes] | None = None
    """A large body, as it came, in the place of ``body``."""
    members: Members | None = None
    """Where the members of a large one stand."""
    model: str | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    stream: bool = False
    stream_options: object = UNSET
    """``UNSET``: there is no such member."""
    asks_for_usage: bool = False
    has_data_sources: bool = False
    max_output: int = 0
    """Tokens that the answer may have at most, as the body says; 0 where it says nothing that makes sense."""
    answers: int = 1
    """How many the body asks for (``n``)."""
    metadata: bytes = b""
    """The body's ``metadata``, as it came."""

    def __init__(
        self, call_id: str, head: RequestHead, address: Address, started_at: datetime, received_at: float
    ) -> None:
        self.call_id = call_id
        self.head = head
        self.address = address
        self.started_at = started_at
        self.received_at = received_at

    def metadata_member(self, name: str) -> str | None:
        """A text of the body's ``metadata``."""
        try:
            members = json.decode(self.metadata) if self.metadata else None
        except (ValueError, RecursionError):  # the upstream's to judge
            return None
        found = members.get(name) if isinstance(members, dict) else None
        return found if isinstance(found, str) and found else None

    def header(self, name: bytes) -> str | None:
        """Any that the client has sent, by its lower-case name."""
        value = self.head.fields.get(name)
        if value is None:
            for line in self.head.kept:
                found, _, rest = line.partition(b":")
                if found.lower() == name:
                    value = rest.strip()
                    break
        return value.decode("latin-1") if value is not None else None

    def whole_body(self) -> bytes:
        """A copy, where the body is large."""
        return self.body if self.pieces is None else b"".join(self.pieces)


class Admission:
    """Who calls, and whose key it was. Not to be changed."""

    def __init__(
        self,
        identity: Identity,
        key: bytes | None,
        subject: str | None = None,
        application: str | None = None,
        identity_source: str | None = None,
    ) -> None:
        """``subject`` and ``application``: who used the caller's access, where that is known; ``identity_source`` says
        by whom, as in the record."""
        self.identity = identity
        self.key = key
        self.subject = subject
        self.application = application
        self.identity_source = identity_source


class Attempt:
    """One request to an upstream. Not to be changed."""

    def __init__(
        self,
        target: Target,
        began: float,
        connected: float,
        sent: float,
        answered: float,
        status: int | None,
        error: str | None,
        lines: bytes,
        before: bytes = b"",
    ) -> None:
        """Moments are on the monotonic clock, seconds, 0.0 where one never came; ``lines`` are the answer's header
        lines, each behind its CR LF, ``before`` those of the target's answer to an earlier call, where kept."""
        self.target = target
        self.began = began
        self.connected = connected
        self.sent = sent
        self.answered = answered
        self.status = status
        self.error = error
        self.lines = lines
        self.before = before


class Ending:
    """How a call ended, and what the meter read."""

    def __init__(
        self, outcome: Outcome, status: int | None, error_code: str | None = None, reading: Measurement | None = None
    ) -> None:
        self.outcome: Outcome = outcome
        self.status = status
        self.error_code = error_code
        self.reading = reading


@mypyc_attr(allow_interpreted_subclasses=True)
class Client:
    """The client's side of a call. One ``respond``, any number of ``write``, then ``finish`` or ``break_off``.

    This base takes everything and does nothing: it stands where a client was, while an answer is drained for its usage.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address

    def continue_body(self) -> None:
        """Tells a client that waits for it (``Expect: 100-continue``) to send its body."""

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        """Writes the head, its ``lines`` each behind a CR LF; if ``is_followed``, together with what is written
        next. ``length`` is ``None`` where the body's end is not known beforehand."""

    def write(self, data: bytes) -> None:
        """Writes the next bytes of the body."""

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        """Writes ``data``, which came as ``chunk`` of the chunked coding: that need not be made anew."""

    def flush(self) -> None:
        """What should have followed the head does not come now; the head goes alone."""

    def finish(self) -> None:
        """The answer is whole; the connection may carry the next request."""

    def break_off(self) -> None:
        """The answer will not become whole, and the client must be able to see that."""

    def switch(self, line: bytes, lines: bytes, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        """Writes the head of a 101. From then on ``protocol`` is told what comes, and has to tell ``connection_lost``
        here. Returns the transport, and what has come already."""
        raise AssertionError("nobody is there to speak another protocol")

    def connection_lost(self, error: Exception | None) -> None:
        """Told by whoever it was switched to."""

    def close_after(self) -> None:
        """The connection must not carry another request after this answer."""

    def pause_body(self, paused: bool) -> None:
        """Stops or resumes taking the request's body."""

"""Step 5, forward: bytes passed on unchanged as they arrive, the meter shown each of them.

This is the path every streamed chunk takes. Nothing here waits, allocates a task or asks the time more
than once per answer.
"""

from collections.abc import Callable
from typing import Protocol

from ..metering import Meter
from ..records import Clock, Outcome
from ..upstream import UpstreamConnection
from ..wire import ResponseHead, UsageStripper
from .request import Client

__all__ = ["Collector", "Forwarder"]

_DONE = b"data: [DONE]\n\n"


class Flow(Protocol):
    """Who is told how the forwarding ended."""

    def forwarded(self, outcome: Outcome, reason: str | None) -> None: ...


class Forwarder:
    """Passes one answer from an upstream's connection to a client.

    With ``holds_end`` (strict durability) the last bytes of an answer are kept back until ``release``:
    the piece that completes a body of known length, or a stream's ``[DONE]``.
    """

    def __init__(
        self,
        flow: Flow,
        client: Client,
        connection: UpstreamConnection,
        meter: Meter,
        stripper: UsageStripper | None,
        clock: Clock,
        *,
        holds_end: bool,
    ) -> None:
        self._flow = flow
        self._client = client
        self._connection = connection
        self._monotonic: Callable[[], float] = clock.monotonic
        self.meter = meter
        self._feed = meter.feed
        self._stripper = stripper
        self._holds_end = holds_end
        self._held = b""
        self._length: int | None = None
        self.first_byte_at = 0.0
        self.received = 0
        self.ended = False
        self.ended_in_order = False
        """Whether the upstream's connection brought the answer's end, whatever the answer was worth."""
        self.client_is_paused = False

    def start(self, head: ResponseHead, fields: list[bytes], *, is_head_request: bool) -> None:
        """Writes the client's copy of the head. A stripped body has another length, so it goes chunked."""
        self._length = head.content_length if self._stripper is None else None
        has_body = head.has_body and not is_head_request
        self._client.respond(
            head.line, fields, length=self._length, has_body=has_body, is_followed=has_body and head.is_followed
        )

    def body_received(self, data: bytes) -> None:
        if not self.received:
            self.first_byte_at = self._monotonic()
        self.received += len(data)
        self._feed(data)
        if self._stripper is not None:
            data = self._stripper.feed(data)
            if not data:
                return
        if self._holds_end and self._is_end(data):
            self._held += data
        else:
            self._client.write(data)

    def _is_end(self, data: bytes) -> bool:
        return bool(self._held) or data.endswith(_DONE) or self.received == self._length

    def end_received(self) -> None:
        self.ended_in_order = True
        self._end("completed", None)

    def connection_broken(self, reason: str) -> None:
        self._end("upstream_broken", reason)

    def head_received(self, head: ResponseHead) -> None:
        """The head came before this receiver did; a second one cannot follow on the same call."""
        self._end("upstream_broken", "it answered twice")

    def upload_paused(self, paused: bool) -> None:
        """The upstream answers before it has read the whole request; the rest of it is not waited for."""

    def client_paused(self, paused: bool) -> None:
        """A slow client slows its upstream: what is on the way stays bounded."""
        self.client_is_paused = paused
        if paused:
            self._connection.pause_reading()
        else:
            self._connection.resume_reading()

    def continue_for(self, nobody: Client) -> None:
        """The client is gone; the meter reads on."""
        self._client = nobody
        self.client_is_paused = False
        self._connection.resume_reading()

    def release(self) -> None:
        """Writes what was held back."""
        held, self._held = self._held, b""
        if held:
            self._client.write(held)

    def stop(self, outcome: Outcome, reason: str | None) -> None:
        """Ends it from our side: the upstream's connection closes at once."""
        if not self.ended:
            self._connection.abandon()
            self._end(outcome, reason)

    def _end(self, outcome: Outcome, reason: str | None) -> None:
        if self.ended:
            return
        self.ended = True
        if self._stripper is not None:
            rest = self._stripper.finish()
            if rest and self._holds_end and outcome == "completed":
                self._held += rest
            elif rest:
                self._client.write(rest)
        self._flow.forwarded(outcome, reason)


class Collector:
    """Reads a short answer whole before anything of it is passed on. More than ``limit`` bytes break it off."""

    def __init__(
        self,
        connection: UpstreamConnection,
        limit: int,
        whole: Callable[[bytes], None],
        broken: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._limit = limit
        self._whole = whole
        self._broken = broken
        self._pieces: list[bytes] = []
        self._size = 0

    def head_received(self, head: ResponseHead) -> None:
        """The head came before this receiver did."""

    def body_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self._connection.abandon()
            self._broken("its error answer is too long")

    def end_received(self) -> None:
        self._whole(b"".join(self._pieces))

    def connection_broken(self, reason: str) -> None:
        self._broken(reason)

    def upload_paused(self, paused: bool) -> None:
        """The request was sent whole."""

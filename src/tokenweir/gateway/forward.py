"""Step 5, forward: bytes passed on unchanged as they arrive, the meter shown each of them.

This is the path every streamed chunk takes. Nothing here waits, allocates a task or asks the time more
than once per answer.
"""

from collections.abc import Callable
from typing import Protocol

from ..errors import UpstreamBroken
from ..metering import Meter, Reading, log_failure, replacement
from ..records import Clock, Outcome
from ..upstream import UpstreamConnection
from ..wire import ResponseHead, UsageStripper
from .request import Client

__all__ = ["Collector", "Forwarder"]

_DONE = b"data:[DONE]"


class Flow(Protocol):
    """Who is told how the forwarding ended."""

    def forwarded(self, outcome: Outcome, error_code: str | None) -> None: ...

    def upload_paused(self, paused: bool) -> None: ...


class Forwarder:
    """Passes one answer from an upstream's connection to a client.

    With ``holds_end`` (strict durability) the last bytes of an answer are kept back until ``release``: the
    piece that completes a body of known length, a stream's ``[DONE]``, the head where there is no body.
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
        self.feed: Callable[[bytes], None] = meter.feed
        self._stripper = stripper
        self._holds_end = holds_end
        self._held = b""
        self._held_head: tuple[bytes, bytes] | None = None
        self._length: int | None = None
        self._is_stream = False
        self.first_byte_at = 0.0
        self.received = 0
        self.ended = False
        self.ended_in_order = False
        """Whether the upstream's connection brought the answer's end, whatever the answer was worth."""
        self.client_is_paused = False

    def start(self, head: ResponseHead, lines: bytes, *, is_head_request: bool) -> None:
        """Writes the client's copy of the head. A stripped body has another length, so it goes chunked."""
        self._length = head.content_length if self._stripper is None else None
        self._is_stream = head.is_event_stream or self._stripper is not None
        has_body = head.has_body and not is_head_request
        if self._holds_end and not has_body:
            self._held_head = head.line, lines
            return
        self._client.respond(
            head.line, lines, length=self._length, has_body=has_body, is_followed=has_body and head.is_followed
        )

    def body_received(self, data: bytes) -> None:
        if not self.received:
            self.first_byte_at = self._monotonic()
        self.received += len(data)
        try:
            self.feed(data)
        except Exception as error:
            self._replace_meter(error)
        if self._stripper is not None:
            try:
                data = self._stripper.feed(data)
            except Exception as error:
                data = self._without_stripper(self._stripper, data, error)
            if not data:
                self._client.flush()
                return
        if self._holds_end:
            data = self._held + data
            end = self._end_in(data)
            data, self._held = data[:end], data[end:]
            if not data:
                return
        self._client.write(data)

    def _replace_meter(self, error: Exception) -> None:
        self.meter = replacement(self.meter, error)
        self.feed = self.meter.feed

    def _without_stripper(self, stripper: UsageStripper, data: bytes, error: Exception) -> bytes:
        log_failure("a stream's usage could not be taken out, so it is passed on", error)
        self._stripper = None
        return stripper.finish() + data

    def reading(self) -> Reading:
        """What the meter says in the end. To be asked once."""
        try:
            return self.meter.finish()
        except Exception as error:
            self._replace_meter(error)
            return self.meter.finish()

    def _end_in(self, data: bytes) -> int:
        """Where in ``data`` begins what a client may take for the answer's end."""
        if self.received == self._length:
            return 0
        if not self._is_stream:
            return len(data)
        lines = data.rstrip(b"\r\n")
        start = lines.rfind(b"\n") + 1
        last = lines[start:].replace(b" ", b"")
        return start if last and _DONE.startswith(last) else len(data)

    def end_received(self) -> None:
        self.ended_in_order = True
        self._end("completed", None)

    def connection_broken(self, reason: str) -> None:
        self._end("upstream_broken", UpstreamBroken.code)

    def head_received(self, head: ResponseHead) -> None:
        """The head came before this receiver did; a second one cannot follow on the same call."""
        self._end("upstream_broken", UpstreamBroken.code)

    def upload_paused(self, paused: bool) -> None:
        """The upstream has begun to answer, and may all the same read on."""
        self._flow.upload_paused(paused)

    def client_paused(self, paused: bool) -> None:
        """A slow client slows its upstream: what is on the way stays bounded."""
        self.client_is_paused = paused
        if self.ended:
            return  # the connection may be another call's by now
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
        if self._held_head is not None:
            line, lines = self._held_head
            self._client.respond(line, lines, length=self._length, has_body=False, is_followed=False)
        held, self._held = self._held, b""
        if held:
            self._client.write(held)

    def stop(self, outcome: Outcome, error_code: str | None) -> None:
        """Ends it from our side: the upstream's connection closes at once."""
        if not self.ended:
            self._connection.abandon()
            self._end(outcome, error_code)

    def _end(self, outcome: Outcome, error_code: str | None) -> None:
        if self.ended:
            return
        self.ended = True
        if self._stripper is not None:
            rest = self._stripper.finish()
            if rest and self._holds_end and outcome == "completed":
                self._held += rest
            elif rest:
                self._client.write(rest)
        self._flow.forwarded(outcome, error_code)


class Collector:
    """Reads a short answer whole before anything of it is passed on. More than ``limit`` bytes break it off."""

    def __init__(
        self,
        connection: UpstreamConnection,
        limit: int,
        whole: Callable[[bytes], None],
        broken: Callable[[str], None],
        upload_paused: Callable[[bool], None],
    ) -> None:
        self.upload_paused = upload_paused
        """Told where the request's body is still on its way."""
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

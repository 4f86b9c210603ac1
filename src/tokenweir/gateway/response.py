"""An answer on its way to the client: bytes passed on unchanged as they arrive, the meter shown each of them.

This is the path every streamed chunk takes. Nothing here waits, allocates a task or asks the time more
than once per answer.
"""

from typing import Protocol

from ..errors import UpstreamBroken
from ..metering import Measurement, Meter, log_failure, replacement
from ..records import Clock, Outcome
from ..upstream import Receiver, UpstreamConnection
from ..wire import ResponseHead, UsageStripper
from .request import Client
from .request_body import Upload
from .tracing import TracingNotes

__all__ = ["Response"]

_DONE = b"data:[DONE]"


class ResponseOwner(Protocol):
    """Who is told, once, how an answer ended."""

    def answer_ended(self, outcome: Outcome, error_code: str | None) -> None: ...


class Response(Receiver):
    """Passes one answer from an upstream's connection to a client.

    With ``holds_end`` (strict durability) the last bytes of an answer are kept back until ``release``: the
    piece that completes a body of known length, a stream's ``[DONE]``, the head where there is no body.
    """

    first_byte_at = 0.0
    """On the monotonic clock, in seconds."""
    received = 0
    """Bytes of the body that have come from the upstream."""
    ended = False
    ended_in_order = False
    """Whether the upstream's connection brought the answer's end, whatever the answer was worth."""
    client_is_paused = False
    _upload: Upload | None = None
    _notes: TracingNotes | None = None
    _stripper: UsageStripper | None = None
    _held = b""
    _held_head: tuple[bytes, bytes] | None = None
    _length: int | None = None
    _is_stream = False
    _seen = 0
    """What had been received when somebody last looked."""
    _seen_since = 0.0

    def __init__(
        self,
        owner: ResponseOwner,
        client: Client,
        connection: UpstreamConnection,
        meter: Meter,
        clock: Clock,
        *,
        holds_end: bool,
        stripper: UsageStripper | None = None,
        upload: Upload | None = None,
        notes: TracingNotes | None = None,
    ) -> None:
        self._owner: ResponseOwner | None = owner
        self._client = client
        self._connection = connection
        self._clock = clock
        self.meter = meter
        self._holds_end = holds_end
        if stripper is not None:
            self._stripper = stripper
        if upload is not None:
            self._upload = upload
        if notes is not None:
            self._notes = notes

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
        came = data
        if not self.received:
            self.first_byte_at = self._clock.monotonic()
        self.received += len(data)
        try:
            if self._notes is not None:
                self._notes.note_arrival(len(data))
            self.meter.feed(data)
        except Exception as error:
            self._replace_meter(error)
        stripper = self._stripper
        if stripper is not None and not (self.meter.knew_last and stripper.is_between):
            try:
                data = stripper.feed(data)
            except Exception as error:
                data = self._without_stripper(stripper, data, error)
            if not data:
                self._client.flush()
                return
        if self._holds_end:
            data = self._held + data
            end = self._end_in(data)
            data, self._held = data[:end], data[end:]
            if not data:
                return
        chunk = self._connection.chunk
        if chunk and data is came:
            self._client.write_chunk(data, chunk)
        else:
            self._client.write(data)

    def _replace_meter(self, error: Exception) -> None:
        self.meter = replacement(self.meter, error)

    def _without_stripper(self, stripper: UsageStripper, data: bytes, error: Exception) -> bytes:
        log_failure("a stream's usage could not be taken out, so it is passed on", error)
        self._stripper = None
        return stripper.finish() + data

    def reading(self) -> Measurement:
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
        if self._upload is not None:
            self._upload.pause(paused)

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

    def is_idle(self, now: float, limit: float) -> bool:
        """Whether nothing has come for more than ``limit`` seconds. To be asked again and again."""
        if self.received != self._seen or not self._seen_since:
            self._seen, self._seen_since = self.received, now
            return False
        return now - self._seen_since > limit

    def end_with(self, event: bytes) -> None:
        """The owner ends a stream between two of its events with one more, so that it is whole for its client."""
        self.stop()
        self.ended_in_order = True
        self._client.write(self._held + event)
        self._held = b""

    def stop(self) -> None:
        """The owner ends it: the upstream's connection closes at once."""
        if not self.ended:
            self._connection.abandon()
            self._finish(is_whole=False)

    def _end(self, outcome: Outcome, error_code: str | None) -> None:
        if self.ended:
            return
        owner = self._owner
        self._finish(is_whole=outcome == "completed")
        if owner is not None:
            owner.answer_ended(outcome, error_code)

    def _finish(self, *, is_whole: bool) -> None:
        self.ended = True
        self._owner = None
        if self._stripper is not None:
            rest = self._stripper.finish()
            if rest and self._holds_end and is_whole:
                self._held += rest
            elif rest:
                self._client.write(rest)

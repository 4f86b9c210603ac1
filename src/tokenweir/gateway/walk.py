"""One request on its way through the six steps: accept, admit, choose, connect, forward, settle.

The walk is what holds a call together: it asks each step for its decision and does the waiting between
them. Whatever happens, ``_end`` runs once and one record is written.

    begin ─▶ (body) ─▶ connect ─▶ head ─▶ forward ─▶ end ─▶ settle
      │         │          │        └─▶ the next target, or once more without stream_options
      └─────────┴──────────┴─▶ refuse ─────────────▶ end

Defaults stand on the class and not in ``__init__``: most calls never touch most of them, and every call
makes a walk.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..errors import (
    BodyTooLarge,
    JournalError,
    Refusal,
    ShuttingDown,
    UpstreamBroken,
    UpstreamTimeout,
)
from ..metering import log_failure, meter_for
from ..records import NO_USAGE, CallRecord, Outcome, Route, Trace, TraceReason, Usage, new_call_id
from ..upstream import Upstream, UpstreamConnection
from ..wire import RequestHead, ResponseHead, UsageStripper, status_line
from .accept import cannot_be_read, read_body, take_members, unreadable_head
from .admit import admit
from .approach import Approach
from .familiar import Familiar
from .forward import Forwarder
from .held_body import SMALL, HeldBody, encoding_of
from .request import Address, Admission, Client, Ending, Nobody, Request
from .settle import Timings, completed_by, ends_whole, needs_estimate, record_of, why_not_reported
from .tracing import answer_line, trace_of
from .upload import Upload

if TYPE_CHECKING:
    from .relay import Relay

__all__ = ["Walk"]

# In strict durability: how long an answer's end waits for a disk that does not come back.
_MAX_SETTLE_SECONDS = 30.0

# How long a large body may be read in one turn of the loop.
_READ_SECONDS = 0.002
# And as a piece of it arrives: libuv takes up to 32 of them in one turn.
_READ_ARRIVING_SECONDS = 0.0005

_UNREADABLE = Usage(reason="unreadable")


class Walk(Approach):
    """One call. ``client`` is replaced by ``Nobody`` once it has left."""

    # for the call
    _admission: Admission | None = None
    _refusal: Refusal | None = None
    _body = b""
    _body_taken = 0
    _encoding: bytes | None = None
    _held: HeldBody | None = None
    _bytes_in = 0
    _body_whole = False
    _preflight: bytes | None = None
    """What a browser is told that asked beforehand. That is no call, and has no record."""
    # for the answer
    _forwarder: Forwarder | None = None
    _client_left = False
    _drains_until = 0.0
    _drains_from = 0
    _mark = (0, 0.0)
    # for the end
    _waits_for_disk = False
    _is_settled = False

    def __init__(self, relay: "Relay", client: Client, familiar: Familiar) -> None:
        self._relay = relay
        self._client = client
        self._client_address = client.address
        self._familiar = familiar
        self._timings = Timings(relay.clock.monotonic())

    def __repr__(self) -> str:
        step = "ended" if self._ending else "forwarding" if self._forwarder else "connecting"
        return f"<Walk {step} {self._request.address.path}>"

    # --- what the client's connection tells ---

    def serve(self, head: RequestHead, body: bytes) -> None:
        """A request that arrived whole."""
        self._begin(head)
        if self._ending is not None:
            self._answer_preflight()
            return
        length = len(body)
        if self._upload is None and self._refusal is None and self._encoding is None and length <= SMALL:
            self._bytes_in = length  # of which `_begin` has seen that it is not too much
            try:
                self._hold_small(body)
            except Refusal as refusal:
                self.refuse(refusal)
        else:
            self.request_data(body)
        self.request_end()

    def begin(self, head: RequestHead) -> None:
        """A request whose body is still to come."""
        self._begin(head)
        if head.expects_continue and head.content_length != 0 and self._ending is None:
            self._client.continue_body()

    def _begin(self, head: RequestHead) -> None:
        relay, familiar = self._relay, self._familiar
        if relay.cors is not None:
            self._preflight = relay.cors.preflight(head)
            if self._preflight is not None:
                self._request, self._ending = self._unread_request(head), Ending("completed", 204)
                return
        relay.walks.add(self)
        try:
            address = familiar.address(head)
            request = self._request = Request(new_call_id(), head, address, relay.clock.now(), self._timings.received)
            if address.debug_token is not None or relay.tracing.sample:
                self._notes = relay.tracing.begin(request)
            trusts_platform = relay.settings.platform_identity
            self._admission = familiar.admission(
                request, relay.keyring, relay.own_names, trusts_platform=trusts_platform
            )
            admit(journal_accepts=relay.journal.accepts_calls, stopping=relay.is_stopping)
            length = head.content_length
            if length is not None and length > SMALL:
                if length > self._most_body:
                    raise self._too_large()
                if address.is_buffered:
                    relay.bodies.must_have(length)
            elif length and length > self._most_body:
                raise self._too_large()
            if address.is_buffered:
                if b"content-encoding" in head.fields and address.route.is_metered:
                    self._encoding = encoding_of(head.fields[b"content-encoding"])
            else:
                self._upload = Upload(self._client, chunked=head.content_length is None)
                self._timings.since = self._timings.received
                self._choose()
        except Refusal as refusal:
            self.refuse(refusal, head)

    def request_data(self, data: bytes) -> None:
        self._bytes_in += len(data)
        is_too_large = self._bytes_in > self._most_body
        if self._refusal is not None or self._ending is not None:
            # read to its end, so that the answer is not lost in a reset; but not without end
            if is_too_large and self._refusal is not None:
                self._answer_refusal(self._refusal)
        elif is_too_large:
            self._drop_body()
            self.refuse(self._too_large())
        elif self._upload is not None:
            self._upload.add(data)
        else:
            try:
                self._hold(data)
            except Refusal as refusal:
                self._drop_body()
                self.refuse(refusal)

    def _hold(self, data: bytes) -> None:
        """Raises what `HeldBody` raises."""
        relay, held = self._relay, self._held
        if held is None:
            length = len(data)
            if length == self._request.head.content_length and length <= SMALL and self._encoding is None:
                self._hold_small(data)
                return
            held = self._held = HeldBody(relay.bodies, relay.settings.max_body, self._too_large, self._encoding)
        held.add(data)
        monotonic = relay.clock.monotonic
        held.read(monotonic() + _READ_ARRIVING_SECONDS, monotonic)

    def _hold_small(self, body: bytes) -> None:
        """Raises ``BuffersFull``."""
        length, bodies = len(body), self._relay.bodies
        if bodies.used + length > bodies.limit:
            bodies.must_have(length)
        bodies.used += length
        self._body, self._body_taken = body, length

    def _drop_body(self) -> None:
        """Nobody needs it any more."""
        self._relay.bodies.used -= self._body_taken
        self._body, self._body_taken = b"", 0
        if self._held is not None:
            self._held.release()

    def request_end(self) -> None:
        self._body_whole = True
        self._timings.since = self._relay.clock.monotonic()
        if self._ending is not None:
            self._answer_preflight()
            return
        if self._refusal is not None:
            self._answer_refusal(self._refusal)
            return
        if self._upload is not None:
            self._upload.end()
            self._timings.sent = self._timings.since
            return
        try:
            if self._held is not None:
                self._held.end()
                self._read_held(self._held)
                return
            body, self._body = self._body, b""
            read_body(self._request, body)
            self._choose()
        except Refusal as refusal:
            self._answer_refusal(refusal)

    def _read_held(self, held: HeldBody) -> None:
        """Reads at once what can be read in no time, and the rest between the turns of others."""
        monotonic = self._relay.clock.monotonic
        if held.read(monotonic() + _READ_SECONDS, monotonic):
            self._take_body(held)
        else:
            self._relay.start(self._read_on(held))

    async def _read_on(self, held: HeldBody) -> None:
        monotonic = self._relay.clock.monotonic
        try:
            is_read = False
            while not is_read:
                await asyncio.sleep(0)
                if self._ending is not None:
                    return
                is_read = held.read(monotonic() + _READ_SECONDS, monotonic)
            self._take_body(held)
        except Refusal as refusal:
            self._answer_refusal(refusal)

    def _take_body(self, held: HeldBody) -> None:
        request = self._request
        if held.is_small:
            read_body(request, b"".join(held.pieces))
        else:
            request.pieces, request.members = held.pieces, held.members
            if held.members is not None:
                take_members(request, held.members)
            elif held.error is not None:
                cannot_be_read(request, held.error)
        self._choose()

    def client_paused(self, paused: bool) -> None:
        if self._forwarder is not None:
            self._forwarder.client_paused(paused)

    def client_gone(self) -> None:
        """By policy the upstream is closed at once, or read on for its usage."""
        self._client = Nobody(self._client_address)
        if self._ending is not None:
            return
        self._client_left = True
        if not (self._drains and self._body_whole and self._connection is not None):
            self._give_up("client_gone", None)  # what nobody was asked for yet need not be asked for
            return
        self._drains_until = self._relay.clock.monotonic() + self._relay.settings.drain_time
        if self._forwarder is not None:
            self._drains_from = self._forwarder.received
            self._forwarder.continue_for(self._client)

    def refuse(self, refusal: Refusal, head: RequestHead | None = None) -> None:
        """Ends the call with an answer of our own, once its body is read where that is reasonable."""
        relay = self._relay
        if not hasattr(self, "_request"):
            relay.walks.add(self)
            self._request = self._unread_request(head or unreadable_head())
        request = self._request
        head, length = request.head, request.head.content_length or 0
        if self._forwarder is not None:
            self._forwarder.stop("refused", refusal.code)  # an answer that has begun cannot become another one
        elif refusal.closes or head.expects_continue or self._upload or length > self._most_body:
            self._client.close_after()
            self._answer_refusal(refusal)
        elif self._body_whole:
            self._answer_refusal(refusal)
        else:
            self._refusal = refusal

    def _unread_request(self, head: RequestHead) -> Request:
        """One of which nothing is worked out."""
        route = Route("other", "", "openai", None, "")
        address = Address(head.method.decode("ascii"), _path_of(head), route, b"", None, None, True)
        return Request(new_call_id(), head, address, self._relay.clock.now(), self._timings.received)

    def _answer_preflight(self) -> None:
        lines, self._preflight = self._preflight, None
        if lines is not None:
            self._client.respond(status_line(204), lines, length=None, has_body=False, is_followed=False)
            self._client.finish()

    # --- forward ---

    def _forward(self, connection: UpstreamConnection, head: ResponseHead) -> Forwarder:
        request, relay = self._request, self._relay
        self._answer = head
        is_stream = head.is_event_stream
        encoding = head.fields.get(b"content-encoding")
        strips = self._injected and head.status == 200 and encoding is None
        meter = meter_for(
            request.address.route.api,
            event_stream=is_stream,
            may_be_stream=request.stream and not is_stream,
            reads_usage=not request.address.route.is_metered and _may_tell_usage(request),
            content_encoding=encoding.decode("latin-1") if encoding else "",
            keep_content=relay.keeps_content,
            monotonic=relay.clock.monotonic,
        )
        forwarder = self._forwarder = Forwarder(
            self,
            self._client,
            connection,
            meter,
            UsageStripper(may_be_body=not is_stream) if strips else None,
            relay.clock,
            holds_end=relay.is_strict,
        )
        if self._notes is not None:
            forwarder.feed = self._notes.watch(forwarder.feed)
        lines = b"%b\r\nx-ms-stream: %b\r\nx-tokenweir-call-id: %b" % (
            head.lines,
            b"True" if request.stream else b"False",
            request.call_id.encode("ascii"),
        )
        if request.debug is not None:
            lines += answer_line(request.debug, request.call_id.encode("ascii"))
        if relay.cors is not None:
            lines = relay.cors.answered(lines, request.head.fields)
        forwarder.start(head, lines, is_head_request=request.head.method == b"HEAD")
        return forwarder

    def forwarded(self, outcome: Outcome, error_code: str | None) -> None:
        """The forwarder's end: what came is judged by what the meter read."""
        forwarder, answer = self._forwarder, self._answer
        if forwarder is None or answer is None:
            return
        reading = forwarder.reading()
        error_code = reading.error_code or error_code
        if outcome == "completed":
            if answer.status >= 400 or error_code is not None:
                outcome = "upstream_error"
            elif answer.status == 200 and not ends_whole(reading) and self._request.address.route.is_metered:
                # the connection ended in order, the answer did not
                outcome, error_code = "upstream_broken", UpstreamBroken.code
        if self._client_left:
            outcome, error_code = "client_gone", reading.error_code
        self._end(Ending(outcome, answer.status, error_code, reading))

    # --- time limits and giving up ---

    def tick(self, now: float) -> None:
        """Called by the sweeper every second; ends what lasts too long."""
        if self._ending is not None:
            if now - self._timings.ended > _MAX_SETTLE_SECONDS:
                self._give_up_on_disk()
            return
        upstream, forwarder = self._upstream, self._forwarder
        if upstream is None:
            if self._refusal is not None and now - self._timings.received > self._relay.settings.request_timeout:
                self._client.close_after()
                self._answer_refusal(self._refusal)  # its body may be read for so long, and no longer
            return
        if forwarder is not None:
            received, since = self._mark
            if forwarder.received != received or not since:
                self._mark = (forwarder.received, now)
            elif now - since > upstream.settings.idle_timeout:
                self._client_left = self._client_left or forwarder.client_is_paused
                forwarder.stop("timed_out", UpstreamTimeout.code)
        elif self._connection is not None and (self._body_whole or (self._upload and self._upload.is_paused)):
            if now - self._timings.sent > upstream.settings.first_byte_timeout:
                self._too_slow(upstream)
        if self._drains_until and self._ending is None:
            drained = forwarder.received - self._drains_from if forwarder is not None else 0
            too_much = drained > self._relay.settings.drain_size
            if now > self._drains_until or too_much:
                self._give_up("client_gone", None)

    def abort(self) -> None:
        """The gateway stops and cannot wait for this call any longer."""
        if self._ending is None:
            self._give_up("aborted", "shutting_down")

    def _too_slow(self, upstream: Upstream) -> None:
        limit = upstream.settings.first_byte_timeout
        self._answer_refusal(
            UpstreamTimeout(
                f"Upstream `{upstream.name}` did not begin to answer within {limit:g} s (first_byte_timeout). "
                "A streamed call, a smaller request or another deployment may answer sooner."
            )
        )

    def _give_up(self, outcome: Outcome, error_code: str | None) -> None:
        if self._forwarder is not None:
            self._forwarder.stop(outcome, error_code)
            return
        if outcome == "aborted" and not self._client_left:
            self._answer_refusal(ShuttingDown("This gateway is shutting down; send the request again."))
        else:
            self._let_go()
            self._end(Ending(outcome, None, error_code))

    def _let_go(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None

    @property
    def _drains(self) -> bool:
        chosen = self._admission.identity.on_client_gone if self._admission else None
        if chosen is None and self._target is not None:
            chosen = self._target.on_client_gone
        return (chosen or self._relay.settings.on_client_gone) == "drain"

    # --- the end ---

    @property
    def _most_body(self) -> int:
        settings = self._relay.settings
        return settings.max_body if self._request.address.is_buffered else settings.max_upload

    def _too_large(self) -> BodyTooLarge:
        setting = "max_body" if self._request.address.is_buffered else "max_upload"
        return BodyTooLarge(
            f"The request's body is larger than this gateway accepts: {self._most_body} bytes (server.{setting})."
        )

    def _answer_refusal(self, refusal: Refusal) -> None:
        if self._ending is not None:
            return
        outcome: Outcome = "refused"
        if self._client_left:
            outcome = "client_gone"
        elif isinstance(refusal, UpstreamTimeout):
            outcome = "timed_out"
        elif isinstance(refusal, ShuttingDown) and self._attempts:
            outcome = "aborted"
        elif refusal.source == "upstream":
            outcome = "upstream_error"
        if refusal.closes:
            self._client.close_after()
        self._let_go()
        self._refusal = refusal
        self._end(Ending(outcome, refusal.status, refusal.code))

    def _end(self, ending: Ending) -> None:
        """Every call ends here, once. The client's answer is completed now, or in strict durability once
        the record is on disk; where usage has to be estimated, that happens in a thread."""
        if self._ending is not None:
            return
        self._ending = ending
        relay, timings, forwarder = self._relay, self._timings, self._forwarder
        timings.ended = relay.clock.monotonic()
        if forwarder is not None:
            timings.first_byte = forwarder.first_byte_at
            timings.first_token = forwarder.meter.first_token_at or 0.0
        is_moot = self._refusal is not None and not relay.journal.accepts_calls  # nobody has to pay for it
        self._waits_for_disk = relay.is_strict and not self._client_left and not is_moot
        if not self._waits_for_disk:
            self._complete()
        reading = ending.reading
        if needs_estimate(self._request, ending, reached_upstream=self._attempts > 0):
            relay.estimate(self._request, ending, self._target, self._upstream, self._settle_estimate)
        elif reading is not None and reading.usage is not None:
            self._settle(reading.usage)
        else:
            self._settle(NO_USAGE)

    def _complete(self) -> None:
        """Gives the client the end of its answer, or lets it see that there is none."""
        self._relay.ended(self)
        forwarder = self._forwarder
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif forwarder is not None and forwarder.ended_in_order:
            forwarder.release()
            self._client.finish()
        else:
            self._client.break_off()

    def _part(self) -> None:
        """Lets go of the forwarder, which knows the walk: so both are freed now, and not when the garbage
        collector comes round."""
        if self._is_settled and not self._waits_for_disk:
            self._forwarder = None

    def _write_refusal(self, refusal: Refusal) -> None:
        request, body = self._request, refusal.body()
        call_id = request.call_id.encode("ascii")
        lines = b"\r\ncontent-type: application/json\r\nx-tokenweir-call-id: " + call_id
        lines += answer_line(request.debug, call_id)
        if refusal.retry_after is not None:
            lines += b"\r\nretry-after: " + refusal.retry_after.encode("ascii")
        if refusal.allow is not None:
            lines += b"\r\nallow: " + refusal.allow.encode("ascii")
        if self._relay.cors is not None:
            lines = self._relay.cors.answered(lines, request.head.fields)
        has_body = request.head.method != b"HEAD"
        self._client.respond(
            status_line(refusal.status), lines, length=len(body), has_body=has_body, is_followed=has_body
        )
        if has_body:
            self._client.write(body)
        self._client.finish()

    def _settle_estimate(self, usage: Usage) -> None:
        ending = self._ending
        if ending is not None:
            told = ending.reading.usage if ending.reading is not None else None
            self._settle(replace(completed_by(told, usage), reason=why_not_reported(ending)))

    def _settle(self, usage: Usage) -> None:
        relay, ending = self._relay, self._ending
        if ending is None:
            return
        seq = relay.journal.next_seq()
        try:
            reasons = relay.tracing.reasons(ending, self._timings, self._notes)
            record = self._record(seq, ending, usage, self._trace(reasons, ending) if reasons else None)
        except Exception as error:
            log_failure("a record could not be made of all that was read of a call", error)
            record = self._record(seq, Ending(ending.outcome, ending.status), _UNREADABLE, None)
        self._drop_body()
        try:
            relay.journal.append(record, self._durable if self._waits_for_disk else None)
        except JournalError:  # logged and counted where it was lost; nobody may take the answer for accounted
            self._give_up_on_disk()
        self._is_settled = True
        self._part()

    def _record(self, seq: int, ending: Ending, usage: Usage, trace: Trace | None) -> CallRecord:
        relay, forwarder, request = self._relay, self._forwarder, self._request
        target, upstream = self._target, self._upstream
        if not self._attempts:
            target = upstream = None
        return record_of(
            self._familiar.record(
                request.address, self._admission, target, upstream, relay.journal.replica, self._client_address
            ),
            request,
            target,
            self._answer,
            ending,
            usage,
            self._timings,
            seq=seq,
            attempts=self._attempts,
            bytes_in=self._bytes_in,
            bytes_out=forwarder.received if forwarder is not None else 0,
            keeps_content=relay.keeps_content,
            trace=trace,
        )

    # --- the trace ---

    def _trace(self, reasons: Sequence[TraceReason], ending: Ending) -> Trace:
        answer, notes = self._answer, self._notes
        error = (self._failure or ending.error_code) if answer is None else None
        latest = self._latest_attempt(error, answer, notes.answered if notes is not None else 0.0)
        attempts = [*(self._earlier or ()), *latest]
        body_whole = attempts[0].began if attempts else self._timings.since
        return trace_of(reasons, self._request, self._candidates, attempts, body_whole, notes)

    def _durable(self) -> None:
        if self._waits_for_disk:
            self._waits_for_disk = False
            self._complete()
            self._part()

    def _give_up_on_disk(self) -> None:
        """In strict durability an answer whose record cannot be made durable has no end."""
        if self._waits_for_disk:
            self._waits_for_disk = False
            self._relay.ended(self)
            self._client.break_off()


def _may_tell_usage(request: Request) -> bool:
    """Whether a usage in the answer of an API that is not metered is this call's own. Reading or cancelling something
    repeats the usage of an earlier call."""
    tail = request.address.route.tail
    return request.head.method == b"POST" and not (tail.endswith("/cancel") or tail.startswith("threads/"))


def _path_of(head: RequestHead) -> str:
    return head.target.partition(b"?")[0].decode("ascii", "replace")

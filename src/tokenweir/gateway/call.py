"""One call, from its first byte to its record.

A call has a phase, and what may happen in it stands in one table (`phases`). It hands its work to parts that know
nothing of it: the body to a `RequestBody`, the search for an upstream that answers to a `Dispatcher`, the answer to a
`Response`. Whatever happens, ``_end`` runs once and one record is written.

Defaults stand on the class and not in ``__init__``: most calls never touch most of them, and there is a call for every
request.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from msgspec.structs import replace

from ..deployments import Target
from ..errors import (
    InvalidApiKey,
    JournalError,
    JournalUnavailable,
    KeysUnavailable,
    KeySuspended,
    QuotaExceeded,
    Refusal,
    ShuttingDown,
    UpstreamBroken,
    UpstreamTimeout,
)
from ..limits import Reservation
from ..metering import log_failure, meter_for
from ..policy import Keyring
from ..records import CallRecord, Outcome, Quantity, Route, Trace, TraceReason, Usage, new_call_id
from ..upstream import Upstream, UpstreamConnection
from ..wire import RequestHead, ResponseHead, UsageStripper, status_line
from .accept import unreadable_head
from .admit import admit, quota_event
from .dispatch import Dispatcher
from .head_cache import HeadCache
from .permit import permit_surface
from .phases import (
    ADMITTED,
    ADMITTING,
    ANSWER_END,
    ANSWER_HEAD,
    BODY_READ,
    CLIENT_GONE,
    CLIENT_GONE_DRAINED,
    DISPATCHING,
    DRAINING,
    DURABLE,
    HEAD,
    IGNORED,
    NEW,
    NEXT,
    NOT_DURABLE,
    OVERRUN,
    PREFLIGHT,
    RECEIVING,
    RECORDED,
    RECORDED_STRICT,
    REFUSAL,
    REFUSAL_BEFORE_BODY,
    REFUSING,
    RELAYING,
    RESPONDING,
    SETTLING,
    SHUTDOWN,
    SLICE_EMPTY,
    SOCKET_END,
    SWITCHED,
    TIME_LIMIT,
    UPLOAD_HEAD,
    Event,
    Phase,
)
from .record_builder import (
    SharedFields,
    can_be_heard,
    completed_by,
    ends_whole,
    made_session,
    needs_estimate,
    record_of,
    unmetered,
    why_not_reported,
)
from .request import Address, Admission, Client, Ending, Request
from .request_body import RequestBody
from .response import Response
from .services import Services
from .socket_records import SocketRecords, socket_record
from .socket_relay import GOING_AWAY, POLICY_VIOLATION, TRY_AGAIN_LATER, SocketRelay, new_socket_relay
from .subjects import with_subject
from .timings import Timings
from .tracing import TracingNotes, answer_line, trace_of

__all__ = ["Call"]

_log = logging.getLogger(__name__)

# In strict durability: how long an answer's end waits for a disk that does not come back.
_MAX_SETTLE_SECONDS = 30.0

_CLOSE_CODES = {
    JournalUnavailable.code: TRY_AGAIN_LATER,
    InvalidApiKey.code: POLICY_VIOLATION,
    KeySuspended.code: POLICY_VIOLATION,
}
"""What the ends of a WebSocket that we close are told; of any other reason, that we go away."""

_NO_ROUTE = Route("other", "", "openai", None, "")
_UNREAD = Request("", unreadable_head(), Address("", "/", _NO_ROUTE), datetime.fromtimestamp(0, UTC), 0.0)
"""Stands for a request whose head was not read yet."""
_UNREADABLE = Usage(reason="unreadable")
_LATER = Usage(reason="later")
_ELSEWHERE = Usage(reason="elsewhere")


class Call:
    """Implements ``RequestReceiver`` for its client's connection."""

    # of the request
    request: Request = _UNREAD
    phase: Phase = NEW
    _admission: Admission | None = None
    _preflight: bytes | None = None
    """What a browser is told that asked beforehand."""
    _notes: TracingNotes | None = None
    _reservation: Reservation | None = None
    """What is kept for it of the limits that it is under, until its end."""
    # of the answer
    dispatch: Dispatcher | None = None
    response: Response | None = None
    socket: SocketRelay | None = None
    _socket_records: SocketRecords | None = None
    _switched: UpstreamConnection | None = None
    """The connection to the upstream that carries the WebSocket."""
    _drains_until = 0.0
    _drains_from = 0
    # of the end
    ending: Ending | None = None
    _refusal: Refusal | None = None
    """The answer of our own, given or to be given."""
    _client_left = False
    _owes_end = False
    """Strict durability: whether the client waits for the disk."""

    def __init__(self, services: Services, client: Client, head_cache: HeadCache) -> None:
        self._services = services
        self._client = client
        self._client_address = client.address
        self._head_cache = head_cache
        self._body = RequestBody(services)
        self.timings = Timings(services.clock.monotonic())

    def __repr__(self) -> str:
        return f"<Call {self.phase.name.lower()} {self.request.address.path}>"

    def _enters(self, event: Event) -> bool:
        """Goes to the next phase, as the table says. False where the event changes nothing."""
        following = NEXT[event][self.phase]
        if following is None:
            if (self.phase, event) not in IGNORED:
                _log.error("%s of a call that is %s, which cannot be; ignored", event.name, self.phase.name)
            return False
        self.phase = following
        return True

    # --- what the client's connection tells ---

    def serve(self, head: RequestHead, body: bytes) -> None:
        """A request that arrived whole."""
        self._begin(head)
        self.body_received(body)
        self.body_ended()

    def begin(self, head: RequestHead) -> None:
        """A request whose body is still to come."""
        self._begin(head)
        if head.expects_continue and head.content_length != 0 and self.phase < SETTLING:
            self._client.continue_body()

    def _begin(self, head: RequestHead) -> None:
        services, cache = self._services, self._head_cache
        if services.cors is not None:
            self._preflight = services.cors.preflight(head)
            if self._preflight is not None:
                self.request = self._unread_request(head)
                self._enters(PREFLIGHT)
                return
        services.calls.open.add(self)
        try:
            address = cache.address(head)
            received = self.timings.received
            request = self.request = Request(new_call_id(), head, address, services.clock.now(), received)
            if address.is_socket:
                request.model = address.model
            if address.debug_token is not None or services.tracing.sample:
                self._notes = services.tracing.begin(request)
            admission = self._admission = cache.admission(
                request,
                services.keyring,
                services.own_names,
                trusts_platform=services.settings.platform_identity,
            )
            if admission.identity.permissions is not None:
                request.permissions = admission.identity.permissions
                permit_surface(request, request.permissions)
            admit(journal_accepts=services.journal.accepts_calls, stopping=services.calls.is_stopping)
            self._body.expect(request, head, self._client, self.timings)
            if self._body.upload is None:
                self._enters(HEAD)
            else:
                self.timings.since = received
                self._proceed(UPLOAD_HEAD)
        except Refusal as refusal:
            self.refuse(refusal, head)

    def body_received(self, data: bytes) -> None:
        """A piece of the body; it may be empty."""
        body, phase = self._body, self.phase
        body.size += len(data)
        if phase is REFUSING:
            # read to its end, so that the answer is not lost in a reset; but not without end
            if body.size > body.limit(self.request) and self._refusal is not None:
                self._refuse_now(self._refusal)
        elif phase < SETTLING and data:
            try:
                body.add(self.request, data)
            except Refusal as refusal:
                body.drop()
                self.refuse(refusal)

    def body_ended(self) -> None:
        body, phase = self._body, self.phase
        body.is_whole = True
        self.timings.whole = self.timings.since = self._services.clock.monotonic()
        if phase is RECEIVING:
            try:
                if body.read(self.request):
                    self._proceed(BODY_READ)
                else:
                    self._services.tasks.start(self._read_on())
            except Refusal as refusal:
                self._refuse_now(refusal)
        elif phase is REFUSING:
            if self._refusal is not None:
                self._refuse_now(self._refusal)
        elif phase < SETTLING:
            if body.upload is not None:
                body.upload.end()
                self.timings.sent = self.timings.since
        elif self._preflight is not None:
            lines, self._preflight = self._preflight, None
            self._client.respond(status_line(204), lines, length=None, has_body=False, is_followed=False)
            self._client.finish()

    async def _read_on(self) -> None:
        try:
            await self._body.read_on(self.request)
            if self.phase is RECEIVING:
                self._proceed(BODY_READ)
        except Refusal as refusal:
            self._refuse_now(refusal)

    def client_paused(self, paused: bool) -> None:
        if self.response is not None:
            self.response.client_paused(paused)

    def client_gone(self) -> None:
        """By policy the upstream is closed at once, or read on for its usage."""
        self._client = Client(self._client_address)
        dispatch, response = self.dispatch, self.response
        is_asked = response is not None or (dispatch is not None and dispatch.connection is not None)
        if self.phase < SETTLING:
            self._client_left = True
            if self._drains and not self.request.address.is_socket and self._body.is_whole and is_asked:
                self._enters(CLIENT_GONE_DRAINED)
                self._drains_until = self._services.clock.monotonic() + self._services.settings.drain_time
                if response is not None:
                    self._drains_from = response.received
                    response.continue_for(self._client)
                return
        if self._enters(CLIENT_GONE):  # what nobody was asked for yet need not be asked for
            self._stop("client_gone", None)

    def refuse(self, refusal: Refusal, head: RequestHead | None = None) -> None:
        """Ends the call with an answer of our own, once its body is read where that is reasonable."""
        body = self._body
        if self.request is _UNREAD:
            self._services.calls.open.add(self)
            self.request = self._unread_request(head or unreadable_head())
        request = self.request
        head, length = request.head, request.head.content_length or 0
        if self.response is not None:  # an answer that has begun cannot become another one
            if self._enters(REFUSAL):
                self._stop("refused", refusal.code)
        elif refusal.closes or head.expects_continue or body.upload or length > body.limit(request):
            self._client.close_after()
            self._refuse_now(refusal)
        elif body.is_whole:
            self._refuse_now(refusal)
        elif self._enters(REFUSAL_BEFORE_BODY):
            self._refusal = refusal

    def _unread_request(self, head: RequestHead) -> Request:
        """One of which nothing is worked out."""
        path = head.target.partition(b"?")[0].decode("ascii", "replace")
        address = Address(head.method.decode("ascii"), path, _NO_ROUTE)
        return Request(new_call_id(), head, address, self._services.clock.now(), self.timings.received)

    # --- the answer ---

    def _proceed(self, event: Event) -> None:
        """It is known what is asked for. Raises ``RateLimited``, ``QuotaExceeded``, and what ``choose`` does."""
        limits, admission = self._services.limits, self._admission
        if limits is not None and admission is not None:
            reservation = self._reservation = limits.reserve(self.request, admission)
            if reservation is not None and reservation.missing:
                self._enters(SLICE_EMPTY)
                limits.ask(reservation, self._admitted)
                return
        self._enters(event)
        self._dispatch()

    def _admitted(self, refusal: Refusal | None) -> None:
        """The holder of the limits has answered, or cannot."""
        if self.phase is not ADMITTING:
            return
        now = self._services.clock.monotonic()
        if self._reservation is not None:
            self.timings.since += now - self._reservation.asked_at  # waited for, as a connection is
        try:
            if refusal is not None:
                raise refusal
            self._enters(ADMITTED)
            self._dispatch()
        except Refusal as reason:
            self.refuse(reason)

    def _dispatch(self) -> None:
        """Raises what ``choose`` does."""
        dispatch = self.dispatch = Dispatcher(
            self, self._services, self.request, self._head_cache, self.timings, self._body.upload, self._notes
        )
        dispatch.start()

    def answered(self, connection: UpstreamConnection, head: ResponseHead) -> Response | None:
        """The dispatcher has found an answer: it is passed on."""
        if head.status == 101:
            self._switch(connection, head)
            return None
        self._enters(ANSWER_HEAD)
        request, services, dispatch = self.request, self._services, self.dispatch
        is_stream = head.is_event_stream
        encoding = head.fields.get(b"content-encoding")
        strips = dispatch is not None and dispatch.injected and head.status == 200 and encoding is None
        address = request.address
        route = address.route
        meter = meter_for(
            address.read_as,
            event_stream=is_stream,
            may_be_stream=request.stream and not is_stream,
            reads_usage=not address.is_metered and (route.job_id is not None or _may_tell_usage(request)),
            content_encoding=encoding.decode("latin-1") if encoding else "",
            keep_content=services.keeps_content,
            monotonic=services.clock.monotonic,
        )
        response = self.response = Response(
            self,
            self._client,
            connection,
            meter,
            services.clock,
            holds_end=services.is_strict,
            stripper=UsageStripper(may_be_body=not is_stream) if strips else None,
            upload=self._body.upload,
            notes=self._notes,
        )
        call_id = request.call_id.encode("ascii")
        lines = head.lines
        if self._reservation is not None and services.limits is not None:
            lines = services.limits.answered(lines, self._reservation)
        lines = b"%b\r\nx-ms-stream: %b\r\nx-tokenweir-call-id: %b" % (
            lines,
            b"True" if request.stream else b"False",
            call_id,
        )
        if request.debug is not None:
            lines += answer_line(request.debug, call_id)
        if services.cors is not None:
            lines = services.cors.answered(lines, request.head.fields)
        response.start(head, lines, is_head_request=request.head.method == b"HEAD")
        return response

    def _switch(self, connection: UpstreamConnection, head: ResponseHead) -> None:
        """Both connections carry a WebSocket from now on."""
        self._enters(SWITCHED)
        self._switched = connection
        self.timings.first_byte = self._services.clock.monotonic()
        lines = head.lines + b"\r\nx-tokenweir-call-id: " + self.request.call_id.encode("ascii")
        if self.request.debug is not None:
            lines += answer_line(self.request.debug, self.request.call_id.encode("ascii"))
        lines += b"\r\nconnection: Upgrade\r\nupgrade: websocket"
        dispatch = self.dispatch
        target, upstream = (dispatch.target, dispatch.upstream) if dispatch is not None else (None, None)
        records = self._socket_records = SocketRecords(
            self._services,
            self.request,
            self._shared_fields(target, upstream),
            target,
            upstream,
            head,
            lambda: self.socket_ended("aborted", JournalUnavailable.code),
            self._used_on_socket,
        )
        relay = self.socket = new_socket_relay(self, records, self._services, self.request, head)
        relay.join(
            self._client.switch(head.line, lines, cast(asyncio.BaseProtocol, relay.client)),
            connection.hand_over(cast(asyncio.BaseProtocol, relay.upstream)),
            (self._client, connection),
        )

    def _used_on_socket(self, record: CallRecord) -> None:
        limits, reservation = self._services.limits, self._reservation
        if limits is not None and reservation is not None:
            limits.add(reservation, record)

    def socket_ended(self, outcome: Outcome, error_code: str | None) -> None:
        """The WebSocket has come to its end."""
        if self._enters(SOCKET_END):
            self._end_socket(outcome, error_code)

    def _end_socket(self, outcome: Outcome, error_code: str | None) -> None:
        relay, records, dispatch = self.socket, self._socket_records, self.dispatch
        if relay is None or records is None:
            raise AssertionError("the end of a WebSocket that never was one")
        if dispatch is not None and dispatch.upstream is not None and self._switched is not None:
            dispatch.upstream.pool.drain(self._switched)  # it may not take what was written for it
        code = _CLOSE_CODES.get(error_code or "", GOING_AWAY)
        relay.stop(code if outcome in ("aborted", "timed_out") else None)
        records.end_open(outcome, error_code, left_by_client=relay.was_left_by_client)
        self._end(Ending(outcome, 101, error_code, relay.reading()))

    def unanswered(self, refusal: Refusal) -> None:
        """The dispatcher has found no answer."""
        self._refuse_now(refusal)

    def answer_ended(self, outcome: Outcome, error_code: str | None) -> None:
        """The response has come to its end."""
        if self._enters(ANSWER_END):
            self._end_answer(outcome, error_code)

    def _end_answer(self, outcome: Outcome, error_code: str | None) -> None:
        """What came is judged by what the meter read."""
        response, dispatch = self.response, self.dispatch
        answer = dispatch.answer if dispatch is not None else None
        if response is None or answer is None:
            raise AssertionError("the end of an answer that never began")
        reading = response.reading()
        if self.request.address.route.job_id is not None:  # what it says was used is not this call's
            reading.usage, reading.tool_usage, reading.tool_calls = None, None, {}
        error_code = reading.error_code or error_code
        if outcome == "completed":
            if answer.status >= 400 or error_code is not None:
                outcome = "upstream_error"
            elif answer.status == 200 and not ends_whole(reading) and self.request.address.is_metered:
                # the connection ended in order, the answer did not
                outcome, error_code = "upstream_broken", UpstreamBroken.code
        if outcome == "upstream_broken" and dispatch is not None:
            dispatch.broke_off()
        if self._client_left:
            outcome, error_code = "client_gone", reading.error_code
        self._end(Ending(outcome, answer.status, error_code, reading))

    def _stop(self, outcome: Outcome, error_code: str | None) -> None:
        """Ends it from our side, with what has come until now."""
        if self.response is not None:
            self.response.stop()
            self._end_answer(outcome, error_code)
            return
        if self.dispatch is not None:
            self.dispatch.cancel()
        self._end(Ending(outcome, None, error_code))

    # --- time limits and the gateway's own end ---

    def tick(self, now: float) -> None:
        """Called by the sweeper every second; ends what lasts too long."""
        phase, settings = self.phase, self._services.settings
        if phase is RESPONDING or phase is DISPATCHING:
            self._look_at_upstream(now)
            if self._reservation is not None and self.phase is RESPONDING:
                self._look_at_limits(self._reservation, now)
        elif phase is DRAINING:
            response = self.response
            drained = response.received - self._drains_from if response is not None else 0
            if now > self._drains_until or drained > settings.drain_size:
                self._enters(TIME_LIMIT)
                self._stop("client_gone", None)
            else:
                self._look_at_upstream(now)
        elif phase is RELAYING:
            self._look_at_socket(now)
        elif phase is REFUSING:
            # its body may be read for so long, and no longer
            if now - self.timings.received > settings.request_timeout and self._refusal is not None:
                self._client.close_after()
                self._refuse_now(self._refusal, TIME_LIMIT)
        elif phase >= SETTLING:
            if now - self.timings.ended > _MAX_SETTLE_SECONDS:
                self._give_up_on_disk()

    def _look_at_upstream(self, now: float) -> None:
        response, dispatch, body = self.response, self.dispatch, self._body
        if dispatch is None or dispatch.upstream is None:
            return
        if response is not None:
            if response.is_idle(now, dispatch.upstream.settings.idle_timeout):
                self._client_left = self._client_left or response.client_is_paused
                self._enters(TIME_LIMIT)
                self._stop("timed_out", UpstreamTimeout.code)
        elif body.is_whole or (body.upload is not None and body.upload.is_paused):
            refusal = dispatch.is_too_slow(now, may_go_on=self.phase is DISPATCHING)
            if refusal is not None:
                self._refuse_now(refusal, TIME_LIMIT)

    def _look_at_limits(self, reservation: Reservation, now: float) -> None:
        response, limits = self.response, self._services.limits
        if response is None or limits is None or not self.request.stream:
            return
        written = response.meter.written()
        if written is not None and not limits.limiter.may_go_on(reservation, written, now):
            self._enters(OVERRUN)
            response.end_with(quota_event(self.request.call_id))
            self._end_answer("aborted", QuotaExceeded.code)

    def _look_at_socket(self, now: float) -> None:
        records = self._socket_records
        if records is not None and records.cannot_be_written(now, _MAX_SETTLE_SECONDS):
            self.socket_ended("aborted", JournalUnavailable.code)
        elif self.socket is not None and self.socket.is_idle(now, self._services.settings.socket_idle_timeout):
            self._enters(TIME_LIMIT)
            self._end_socket("timed_out", UpstreamTimeout.code)

    def abort(self) -> None:
        """The gateway stops and cannot wait for this call any longer."""
        if self.phase is RELAYING:
            self._enters(SHUTDOWN)
            self._end_socket("aborted", ShuttingDown.code)
        elif self.response is not None or self.phase is DRAINING:
            if self._enters(SHUTDOWN):
                self._stop("client_gone" if self._client_left else "aborted", "shutting_down")
        else:
            refusal = ShuttingDown("This gateway is shutting down; send the request again.")
            self._refuse_now(refusal, SHUTDOWN)

    def look_at_key(self, keyring: Keyring) -> None:
        """Other keys are in force: ends the call if its own was taken away. One that expires meanwhile was good for
        it."""
        admission = self._admission
        if admission is None or admission.key is None or admission.identity.key_id is None:
            return  # it came in without one
        try:
            keyring.identify(admission.key, self.request.started_at)
        except (InvalidApiKey, KeySuspended) as refusal:
            if self.phase is RELAYING:
                self._enters(SHUTDOWN)
                self._end_socket("aborted", refusal.code)
            elif self.phase < SETTLING:
                self.refuse(refusal)
        except KeysUnavailable:
            pass  # nobody knows

    @property
    def _drains(self) -> bool:
        chosen = self._admission.identity.on_client_gone if self._admission else None
        if chosen is None and self.dispatch is not None and self.dispatch.target is not None:
            chosen = self.dispatch.target.on_client_gone
        return (chosen or self._services.settings.on_client_gone) == "drain"

    # --- the end ---

    def _refuse_now(self, refusal: Refusal, event: Event = REFUSAL) -> None:
        if not self._enters(event):
            return
        outcome: Outcome = "refused"
        if self._client_left:
            outcome = "client_gone"
        elif isinstance(refusal, UpstreamTimeout):
            outcome = "timed_out"
        elif isinstance(refusal, ShuttingDown) and self.dispatch is not None and self.dispatch.attempts:
            outcome = "aborted"
        elif refusal.source == "upstream":
            outcome = "upstream_error"
        if refusal.closes:
            self._client.close_after()
        if self.dispatch is not None:
            self.dispatch.cancel()
        self._refusal = refusal
        self._end(Ending(outcome, refusal.status, refusal.code))

    def _end(self, ending: Ending) -> None:
        """Every call ends here, once. The client's answer is completed now, or in strict durability once
        the record is on disk; where usage has to be estimated, that happens in a thread."""
        self.ending = ending
        services, timings, response, dispatch = self._services, self.timings, self.response, self.dispatch
        timings.ended = services.clock.monotonic()
        if response is not None:
            timings.first_byte = response.first_byte_at
            timings.first_token = response.meter.first_token_at or 0.0
        is_moot = self._refusal is not None and not services.journal.accepts_calls  # nobody has to pay for it
        self._owes_end = services.is_strict and not self._client_left and not is_moot
        if not self._owes_end:
            self._complete()
        reading = ending.reading
        if needs_estimate(self.request, ending, reached_upstream=dispatch is not None and dispatch.attempts > 0):
            target, upstream = (dispatch.target, dispatch.upstream) if dispatch is not None else (None, None)
            services.estimator.estimate(self.request, ending, target, upstream, self._estimated)
        elif reading is not None and reading.usage is not None:
            self._settle(ending, reading.usage)
        elif reading is not None and reading.job_id not in (None, self.request.address.route.job_id):
            self._settle(ending, _LATER)
        elif ending.outcome == "completed" and made_session(self.request):
            answer = dispatch.answer if dispatch is not None else None
            is_heard = services.hears_sessions and can_be_heard(self.request, answer, reading)
            self._settle(ending, _LATER if is_heard else _ELSEWHERE)
        else:
            self._settle(ending, unmetered(self.request, ending, sum(self._sizes())))

    def _complete(self) -> None:
        """Gives the client the end of its answer, or lets it see that there is none."""
        self._services.calls.ended(self)
        response = self.response
        if response is None and self._refusal is not None:
            self._write_refusal(self._refusal)
        elif response is not None and response.ended_in_order:
            response.release()
            self._client.finish()
        else:
            self._client.break_off()

    def _write_refusal(self, refusal: Refusal) -> None:
        request, body = self.request, refusal.body()
        call_id = request.call_id.encode("ascii")
        lines = b"\r\ncontent-type: application/json\r\nx-tokenweir-call-id: " + call_id
        lines += answer_line(request.debug, call_id)
        if refusal.retry_after is not None:
            lines += b"\r\nretry-after: " + refusal.retry_after.encode("ascii")
        if refusal.retry_after_seconds > 0:
            milliseconds = int(refusal.retry_after_seconds * 1000) + 1
            lines += b"\r\nretry-after: %d\r\nretry-after-ms: %d" % (-(-milliseconds // 1000), milliseconds)
        lines += refusal.lines
        if refusal.allow is not None:
            lines += b"\r\nallow: " + refusal.allow.encode("ascii")
        if self._services.cors is not None:
            lines = self._services.cors.answered(lines, request.head.fields)
        has_body = request.head.method != b"HEAD"
        self._client.respond(
            status_line(refusal.status), lines, length=len(body), has_body=has_body, is_followed=has_body
        )
        if has_body:
            self._client.write(body)
        self._client.finish()

    def _estimated(self, usage: Usage) -> None:
        ending = self.ending
        if ending is not None:
            told = ending.reading.usage if ending.reading is not None else None
            self._settle(ending, replace(completed_by(told, usage), reason=why_not_reported(ending)))

    def _settle(self, ending: Ending, usage: Usage) -> None:
        services = self._services
        if self.dispatch is not None and self.dispatch.abandoned:
            given_up = {"abandoned_requests": Quantity(self.dispatch.abandoned, "counted")}
            usage = replace(usage, quantities=usage.quantities | given_up)
        seq = services.journal.next_seq()
        try:
            reasons = services.tracing.reasons(ending, self.timings, self._notes)
            record = self._record(seq, ending, usage, self._trace(reasons, ending) if reasons else None)
        except Exception as error:
            log_failure("a record could not be made of all that was read of a call", error)
            record = self._record(seq, Ending(ending.outcome, ending.status), _UNREADABLE, None)
        if self._reservation is not None:
            self._settle_limits(self._reservation, ending, record)
        self._body.drop()
        waits = self._owes_end
        self._enters(RECORDED_STRICT if waits else RECORDED)
        try:
            services.journal.append(record, self._durable if waits else None)
        except JournalError:  # logged and counted where it was lost; nobody may take the answer for accounted
            self._give_up_on_disk()

    def _settle_limits(self, reservation: Reservation, ending: Ending, record: CallRecord) -> None:
        limits, dispatch = self._services.limits, self.dispatch
        if limits is not None:
            has_run = dispatch is not None and dispatch.attempts > 0
            limits.settle(reservation, ending, record, has_run=has_run)

    def _record(self, seq: int, ending: Ending, usage: Usage, trace: Trace | None) -> CallRecord:
        services, request, dispatch = self._services, self.request, self.dispatch
        answer = target = upstream = None
        attempts = 0
        if dispatch is not None:
            answer, attempts = dispatch.answer, dispatch.attempts
            if attempts:
                target, upstream = dispatch.target, dispatch.upstream
        bytes_in, bytes_out = self._sizes()
        record = record_of(
            self._shared_fields(target, upstream),
            request,
            answer,
            ending,
            usage,
            self.timings,
            seq=seq,
            attempts=attempts,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            keeps_content=services.keeps_content,
            trace=trace,
        )
        if services.subjects is not None:
            record = with_subject(record, request, services.subjects)
        return record if self.socket is None else socket_record(record)

    def _sizes(self) -> tuple[int, int]:
        """Bytes from the client and from the upstream, without heads."""
        socket, response = self.socket, self.response
        if socket is not None:
            return socket.client.received, socket.upstream.received
        return self._body.size, response.received if response is not None else 0

    def _shared_fields(self, target: Target | None, upstream: Upstream | None) -> SharedFields:
        return self._head_cache.shared_fields(
            self.request.address,
            self._admission,
            target,
            upstream,
            self._services.journal.replica,
            self._client_address,
        )

    def _trace(self, reasons: Sequence[TraceReason], ending: Ending) -> Trace:
        dispatch = self.dispatch
        attempts = dispatch.all_attempts(ending.error_code) if dispatch is not None else []
        body_whole = attempts[0].began if attempts else self.timings.since
        candidates = dispatch.candidates if dispatch is not None else None
        return trace_of(reasons, self.request, candidates, attempts, body_whole, self._notes)

    def _durable(self) -> None:
        if self._enters(DURABLE):
            self._complete()

    def _give_up_on_disk(self) -> None:
        """In strict durability an answer whose record cannot be made durable has no end."""
        if self._owes_end and self._enters(NOT_DURABLE):
            self._owes_end = False
            self._services.calls.ended(self)
            self._client.break_off()


def _may_tell_usage(request: Request) -> bool:
    """Whether a usage in the answer of an API that is not metered is this call's own. Reading or cancelling something
    repeats the usage of an earlier call."""
    tail = request.address.route.tail
    return request.head.method == b"POST" and not (tail.endswith("/cancel") or tail.startswith("threads/"))

"""One request on its way through the six steps: accept, admit, choose, connect, forward, settle.

The walk is what holds a call together: it asks each step for its decision and does the waiting between
them. Whatever happens, ``_end`` runs once and one record is written.

    begin ─▶ (body) ─▶ connect ─▶ head ─▶ forward ─▶ end ─▶ settle
      │         │          │        └─▶ the next target, or once more without stream_options
      └─────────┴──────────┴─▶ refuse ─────────────▶ end
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..deployments import Target
from ..errors import BodyTooLarge, InvalidBody, JournalUnavailable, Refusal, ShuttingDown, UpstreamBroken, UpstreamTimeout
from ..metering import meter_for
from ..records import Outcome, Route, Usage, new_call_id
from ..upstream import Upstream, UpstreamConnection
from ..wire import RequestHead, ResponseHead, UsageStripper, chunk, status_line
from .accept import accept, read_body, unreadable_head
from .admit import admit
from .choose import choose
from .connect import injects_usage, refuses_stream_options, upstream_request, verdict_on
from .forward import Collector, Forwarder
from .request import Admission, Candidates, Client, Ending, Nobody, Request
from .settle import Timings, needs_estimate, record_of

if TYPE_CHECKING:
    from .relay import Relay

__all__ = ["Walk"]

# A body that says why stream_options was refused has a few hundred bytes.
_MAX_ERROR_BODY = 1024 * 1024
# What may wait for its connection before the client is asked to pause.
_MAX_UPLOAD_WAITING = 256 * 1024
# In strict durability: how long an answer's end waits for a disk that does not come back.
_MAX_SETTLE_SECONDS = 30.0


class Walk:
    """One call. ``client`` is replaced by ``Nobody`` where an answer is drained after its client left."""

    def __init__(self, relay: "Relay", client: Client) -> None:
        # for the call
        self._relay = relay
        self._client = client
        self._client_address = client.address
        self._request: Request | None = None
        self._admission: Admission | None = None
        self._refusal: Refusal | None = None
        self._body: list[bytes] = []
        self._bytes_in = 0
        self._body_whole = False
        self._timings = Timings(0.0)
        # for the attempt
        self._candidates: Candidates | None = None
        self._target: Target | None = None
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._connection: UpstreamConnection | None = None
        self._attempts = 0
        self._injected = False
        self._upload_begun = False
        # for the answer
        self._answer: ResponseHead | None = None
        self._forwarder: Forwarder | None = None
        self._client_left = False
        self._drains_until = 0.0
        self._ended = False
        self._settling: Callable[[], None] | None = None
        self._mark = (0, 0.0)

    def __repr__(self) -> str:
        step = "settling" if self._ended else "forwarding" if self._forwarder else "connecting"
        return f"<Walk {step} {self._request.path if self._request else '?'}>"

    # --- what the client's connection tells ---

    def begin(self, head: RequestHead) -> None:
        relay = self._relay
        self._timings.received = relay.clock.monotonic()
        relay.walks.add(self)
        try:
            self._request = accept(head, new_call_id(), relay.clock, relay.settings)
            self._admission = admit(
                self._request,
                relay.keyring,
                journal_accepts=relay.journal.accepts_calls,
                stopping=relay.is_stopping,
            )
            if not self._request.is_buffered:
                self._choose()
        except Refusal as refusal:
            self.refuse(refusal, head)
            return
        if head.expects_continue and head.has_body:
            self._client.continue_body()

    def request_data(self, data: bytes) -> None:
        self._bytes_in += len(data)
        request = self._request
        if self._refusal is not None or self._ended or request is None:
            return  # read to its end, so that the answer is not lost in a reset
        if request.is_buffered:
            self._body.append(data)
            limit = self._relay.settings.max_body
            if self._bytes_in > limit and request.head.content_length is None:
                self._refuse_large(limit)
        else:
            self._upload(data)

    def request_end(self) -> None:
        self._body_whole = True
        self._timings.complete = self._relay.clock.monotonic()
        if self._ended:
            return
        if self._refusal is not None:
            self._answer_refusal(self._refusal)
            return
        request = self._request
        if request is None:
            return
        if not request.is_buffered:
            self._upload_ended()
            return
        body = self._body
        try:
            read_body(request, body[0] if len(body) == 1 else b"".join(body))
            body.clear()
            self._choose()
        except Refusal as refusal:
            self._answer_refusal(refusal)

    def client_paused(self, paused: bool) -> None:
        if self._forwarder is not None:
            self._forwarder.client_paused(paused)

    def client_gone(self) -> None:
        """By policy the upstream is closed at once, or read on for its usage."""
        if self._ended:
            self._client = Nobody(self._client_address)
            return
        self._client_left = True
        self._client = Nobody(self._client_address)
        if self._drains() and self._body_whole:
            self._drains_until = self._relay.clock.monotonic() + self._relay.settings.drain_time
            if self._forwarder is not None:
                self._forwarder.continue_for(self._client)
            return
        self._give_up("client_gone", None)

    def refuse(self, refusal: Refusal, head: RequestHead | None = None) -> None:
        """Ends the call with an answer of our own, once its body is read where that is reasonable."""
        relay = self._relay
        if self._request is None:
            self._timings.received = self._timings.received or relay.clock.monotonic()
            relay.walks.add(self)
            self._request = _unaccepted(head or unreadable_head(), relay)
        head = self._request.head
        length = head.content_length or 0
        if refusal.closes or head.expects_continue or not self._request.is_buffered or length > relay.settings.max_body:
            self._client.close_after()
            self._answer_refusal(refusal)
        elif self._body_whole:
            self._answer_refusal(refusal)
        else:
            self._refusal = refusal

    # --- connect ---

    def _choose(self) -> None:
        request = self._request
        if request is None:
            return
        self._candidates = choose(request, self._relay.catalogue)
        self._try_next()

    def _try_next(self) -> None:
        target = self._candidates.next() if self._candidates is not None else None
        if target is None:
            raise AssertionError("a call without a target")
        self._target = target
        self._upstream = self._relay.upstreams[target.upstream]
        self._connect()

    def _connect(self) -> None:
        """Sends at once where a connection is idle; only else is something awaited."""
        upstream = self._upstream
        if upstream is None:
            return
        connection = upstream.pool.take() if upstream.credential.is_ready else None
        if connection is not None:
            self._send(connection, upstream)
        else:
            self._connecting = self._relay.start(self._open(upstream))

    async def _open(self, upstream: Upstream) -> None:
        began = self._relay.clock.monotonic()
        try:
            if not upstream.credential.is_ready:
                await upstream.credential.obtain()
            connection = upstream.pool.take() or await upstream.pool.connect()
        except Refusal as refusal:
            self._connecting = None
            self._attempt_failed(refusal)
            return
        self._connecting = None
        self._timings.connecting += self._relay.clock.monotonic() - began
        self._send(connection, upstream)

    def _send(self, connection: UpstreamConnection, upstream: Upstream) -> None:
        request, admission, target = self._request, self._admission, self._target
        if request is None or admission is None or target is None or self._ended:
            upstream.pool.idle(connection)
            return
        self._injected = injects_usage(request, target, upstream)
        try:
            data = upstream_request(request, admission, target, upstream, inject=self._injected)
        except InvalidBody as refusal:
            upstream.pool.idle(connection)
            self._answer_refusal(refusal)
            return
        self._attempts += 1
        self._connection = connection
        connection.begin(self, data, is_head_request=request.head.method == b"HEAD")
        self._timings.sent = self._relay.clock.monotonic()
        if not request.is_buffered:
            self._flush_upload()

    def _attempt_failed(self, refusal: Refusal) -> None:
        if self._ended:
            return
        if self._candidates is not None and self._candidates.has_more and self._can_repeat:
            self._try_next()
        else:
            self._answer_refusal(refusal)

    @property
    def _can_repeat(self) -> bool:
        return not self._upload_begun

    # --- a body that is passed through as it comes ---

    def _upload(self, data: bytes) -> None:
        self._body.append(data)
        if self._connection is not None:
            self._flush_upload()
        elif sum(map(len, self._body)) > _MAX_UPLOAD_WAITING:
            self._client.pause_body(True)

    def _upload_ended(self) -> None:
        if self._connection is not None:
            self._flush_upload()

    def _flush_upload(self) -> None:
        connection, request = self._connection, self._request
        if connection is None or request is None:
            return
        chunked = request.head.content_length is None
        for data in self._body:
            self._upload_begun = True
            connection.write(chunk(data) if chunked else data)
        self._body.clear()
        if self._body_whole:
            if chunked:
                connection.write(b"0\r\n\r\n")
            self._timings.sent = self._relay.clock.monotonic()
        elif self._forwarder is None:
            self._client.pause_body(False)

    def upload_paused(self, paused: bool) -> None:
        if not self._body_whole:
            self._client.pause_body(paused)

    # --- what the upstream's connection tells, until an answer is being passed on ---

    def head_received(self, head: ResponseHead) -> None:
        connection, upstream = self._connection, self._upstream
        if connection is None or upstream is None or self._candidates is None:
            return
        verdict = verdict_on(
            head, injected=self._injected, has_more=self._candidates.has_more, can_repeat=self._can_repeat
        )
        if verdict == "pass on":
            self._forward(connection, head)
        elif verdict == "try the next":
            self._connection = None
            upstream.pool.drain(connection)
            self._try_next()
        else:
            connection.receiver = Collector(
                connection,
                _MAX_ERROR_BODY,
                lambda body: self._after_refused_body(head, body),
                self.connection_broken,
            )

    def body_received(self, data: bytes) -> None:
        """Cannot come before the head, which changes the receiver."""

    def end_received(self) -> None:
        """Cannot come before the head, which changes the receiver."""

    def connection_broken(self, reason: str) -> None:
        """Before the answer began: once more on a fresh connection if this one had merely grown old."""
        connection, upstream = self._connection, self._upstream
        self._connection = None
        if connection is None or upstream is None or self._ended:
            return
        if connection.carried > 1 and not connection.answered and self._can_repeat:
            self._connect()
            return
        self._attempt_failed(
            UpstreamBroken(f"Upstream `{upstream.name}` gave no answer: {reason}. The request can be sent again.")
        )

    def _after_refused_body(self, head: ResponseHead, body: bytes) -> None:
        """A 400 to a request we had added to: if that is why, ask once more as the client had asked."""
        connection, upstream, target = self._connection, self._upstream, self._target
        if connection is None or upstream is None or target is None or self._ended:
            return
        if refuses_stream_options(body):
            upstream.refuses_stream_options.add(target.deployment)
            self._connection = None
            self._connect()
            return
        forwarder = self._forward(connection, head)
        if forwarder is not None:
            if body:
                forwarder.body_received(body)
            forwarder.end_received()

    # --- forward ---

    def _forward(self, connection: UpstreamConnection, head: ResponseHead) -> Forwarder | None:
        request, relay = self._request, self._relay
        if request is None:
            return None
        self._answer = head
        is_stream = head.is_event_stream
        encoding = head.fields.get(b"content-encoding", b"").decode("latin-1")
        meter = meter_for(
            request.route.api,
            event_stream=is_stream,
            content_encoding=encoding,
            keep_content=relay.keeps_content,
            monotonic=relay.clock.monotonic,
        )
        strips = self._injected and is_stream and head.status == 200 and not encoding
        forwarder = self._forwarder = Forwarder(
            self,
            self._client,
            connection,
            meter,
            UsageStripper() if strips else None,
            relay.clock,
            holds_end=relay.is_strict,
        )
        if connection.receiver is not None:
            connection.receiver = forwarder
        fields = [
            *head.kept,
            b"x-ms-stream: True" if request.stream else b"x-ms-stream: False",
            b"x-tokenweir-call-id: " + request.call_id.encode("ascii"),
        ]
        forwarder.start(head, fields, is_head_request=request.head.method == b"HEAD")
        return forwarder

    def forwarded(self, outcome: Outcome, reason: str | None) -> None:
        """The forwarder's end: what came is judged by what the meter read."""
        forwarder, answer, request = self._forwarder, self._answer, self._request
        if forwarder is None or answer is None or request is None:
            return
        reading = forwarder.meter.finish()
        error_code = reading.error_code
        if outcome == "completed":
            if answer.status >= 400 or reading.error_code is not None:
                outcome = "upstream_error"
            elif request.route.is_metered and answer.status == 200 and not reading.done:
                outcome = "upstream_broken"  # the connection ended in order, the answer did not
        elif outcome == "upstream_broken":
            error_code = error_code or "upstream_broken"
        if self._client_left:
            outcome = "client_gone"
        self._end(Ending(outcome, answer.status, error_code, reading))

    # --- the end ---

    def tick(self, now: float) -> None:
        """Called by the sweeper about twice a second; ends what lasts too long."""
        upstream = self._upstream
        if self._ended:
            if self._settling is not None and now - self._timings.ended > _MAX_SETTLE_SECONDS:
                self._settling = None
                self._client.break_off()
                self._relay.walks.discard(self)
            return
        if upstream is None:
            return
        forwarder = self._forwarder
        if forwarder is not None:
            received, since = self._mark
            if forwarder.received != received or not since:
                self._mark = (forwarder.received, now)
            elif now - since > upstream.settings.idle_timeout:
                self._stalled(forwarder, upstream)
        elif self._connection is not None and self._body_whole:
            if now - self._timings.sent > upstream.settings.first_byte_timeout:
                self._too_slow(upstream)
        if self._drains_until and not self._ended:
            too_much = forwarder is not None and forwarder.received > self._relay.settings.drain_size
            if now > self._drains_until or too_much:
                self._give_up("client_gone", None)

    def abort(self) -> None:
        """The gateway stops and cannot wait for this call any longer."""
        if not self._ended:
            self._give_up("aborted", "shutting_down")

    def _stalled(self, forwarder: Forwarder, upstream: Upstream) -> None:
        if forwarder.client_is_paused:
            self._client_left = True
            forwarder.stop("client_gone", None)
        else:
            forwarder.stop("timed_out", None)

    def _too_slow(self, upstream: Upstream) -> None:
        self._let_go()
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
        self._let_go()
        if outcome == "aborted" and not self._client_left:
            self._answer_refusal(ShuttingDown("This gateway is shutting down; send the request again."))
        else:
            self._end(Ending(outcome, None, error_code))

    def _let_go(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None

    def _drains(self) -> bool:
        identity = self._admission.identity if self._admission else None
        chosen = (identity.on_client_gone if identity else None) or (
            self._target.on_client_gone if self._target else None
        )
        return (chosen or self._relay.settings.on_client_gone) == "drain"

    def _answer_refusal(self, refusal: Refusal) -> None:
        if self._ended or self._request is None:
            return
        outcome: Outcome = "refused"
        if isinstance(refusal, UpstreamTimeout):
            outcome = "timed_out"
        elif isinstance(refusal, ShuttingDown) and self._attempts:
            outcome = "aborted"
        elif refusal.source == "upstream":
            outcome = "upstream_error"
        if self._client_left:
            outcome = "client_gone"
        if refusal.closes:
            self._client.close_after()
        self._end(Ending(outcome, refusal.status, refusal.code), refusal)

    def _write_refusal(self, refusal: Refusal) -> None:
        request = self._request
        if request is None:
            return
        body = refusal.body()
        fields = [
            b"content-type: application/json",
            b"x-tokenweir-call-id: " + request.call_id.encode("ascii"),
        ]
        if refusal.status == 503:
            fields.append(b"retry-after: 1")
        self._client.respond(status_line(refusal.status), fields, length=len(body), has_body=True)
        if request.head.method != b"HEAD":
            self._client.write(body)
        self._client.finish()

    def _end(self, ending: Ending, refusal: Refusal | None = None) -> None:
        """Every call ends here, once. The client's answer is completed now, or in strict durability once
        the record is on disk; where usage has to be estimated, that happens in a thread."""
        if self._ended:
            return
        self._ended = True
        relay, request, timings = self._relay, self._request, self._timings
        timings.ended = relay.clock.monotonic()
        forwarder = self._forwarder
        if forwarder is not None:
            timings.first_byte = forwarder.first_byte_at
            timings.first_token = forwarder.meter.first_token_at or 0.0

        def complete() -> None:
            self._settling = None
            relay.walks.discard(self)
            if refusal is not None:
                self._write_refusal(refusal)
            elif ending.outcome in ("completed", "upstream_error") and forwarder is not None:
                forwarder.release()
                self._client.finish()
            else:
                self._client.break_off()

        if request is None:
            return
        can_wait = not isinstance(refusal, JournalUnavailable) and not self._client_left
        if relay.is_strict and can_wait:
            self._settling = complete
        else:
            complete()
        reached = self._attempts > 0
        if ending.reading is not None and ending.reading.usage is not None:
            self._settle(ending, ending.reading.usage)
        elif needs_estimate(request, ending, reached_upstream=reached):
            relay.estimate(request, ending, self._target, self._upstream, lambda usage: self._settle(ending, usage))
        else:
            self._settle(ending, Usage())

    def _settle(self, ending: Ending, usage: Usage) -> None:
        relay, request, forwarder = self._relay, self._request, self._forwarder
        if request is None:
            return
        record = record_of(
            request,
            self._admission,
            self._target if self._attempts else None,
            self._upstream if self._attempts else None,
            self._answer,
            ending,
            usage,
            self._timings,
            replica=relay.journal.replica,
            seq=relay.journal.next_seq(),
            client_address=self._client_address,
            attempts=self._attempts,
            bytes_in=self._bytes_in,
            bytes_out=forwarder.received if forwarder is not None else 0,
            keeps_content=relay.keeps_content,
        )
        relay.journal.append(record, self._durable if self._settling is not None else None)

    def _durable(self) -> None:
        if self._settling is not None:
            self._settling()

    def _refuse_large(self, limit: int) -> None:
        self._body.clear()
        self.refuse(
            BodyTooLarge(f"The request's body is larger than this gateway accepts: {limit} bytes (server.max_body).")
        )


def _unaccepted(head: RequestHead, relay: "Relay") -> Request:
    """A request that was refused at its head, as far as it is known."""
    path = head.target.partition(b"?")[0].decode("ascii", "replace")
    route = Route("other", "", "openai", None, "")
    return Request(
        new_call_id(), head, path, route, b"", None, None, True, relay.clock.now(), relay.clock.monotonic()
    )

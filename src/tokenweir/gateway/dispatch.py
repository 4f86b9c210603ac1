"""From the choice of targets to the head of the answer that is the call's.

    start ─▶ connect ─▶ sent ─▶ head ─▶ answered
                ▲         │       ├─▶ the next target
                └─────────┴───────┴─▶ once more: on a fresh connection, without stream_options, or with a new token

Only a new connection and a token are ever waited for. Each request to an upstream that was not the last one is
noted, for the trace. Which target is next, the pool decides (`Candidates`); it is told what became of each.
"""

import asyncio
from math import inf
from typing import Protocol

from ..deployments import Candidates, Target, TargetHealth
from ..errors import Refusal, UpstreamBroken, UpstreamFull, UpstreamTimeout
from ..providers import AccessRefusal, access_refusal
from ..upstream import Receiver, Upstream, UpstreamConnection
from ..wire import ResponseHead
from .choose import choose
from .head_cache import HeadCache
from .request import Attempt, Request
from .request_body import Upload
from .retry_policy import (
    goes_on_from_response,
    misses_response,
    refusal_of,
    refuses_stream_options,
    verdict_on,
    was_out_of_reach,
)
from .services import Services
from .timings import Timings
from .tracing import TracingNotes
from .upstream_request import framing, injects_usage, remember_refusal, upstream_body

__all__ = ["Dispatcher"]

# A body that says why stream_options was refused has a few hundred bytes.
_MAX_ERROR_BODY = 1024 * 1024
# A connection that its upstream had closed tells within a round trip that it was.
_STALE_SECONDS = 0.5


class DispatchOwner(Protocol):
    """Who is told, once, what came of it."""

    def answered(self, connection: UpstreamConnection, head: ResponseHead) -> Receiver | None:
        """An upstream has answered. Returns who takes the body; ``None`` where the connection was handed over."""
        ...

    def unanswered(self, refusal: Refusal) -> None:
        """No upstream has, and none is left to ask."""
        ...


class Dispatcher(Receiver):
    """Finds a target that answers a call, and is the receiver of its connections until one has.

    "May the call go elsewhere?" is answered by ``verdict_on`` and ``_may_go_on``: only before a byte of an answer was
    passed on, only where the request can be sent again, and where it has gone out and may have been worked at, only
    within the deployment's budget.
    """

    # for the call
    candidates: Candidates | None = None
    attempts = 0
    """Requests that were sent to upstreams."""
    abandoned = 0
    """Of these, those that were given up while an upstream may have been at work (``answer_within``)."""
    _upload: Upload | None = None
    # for the attempt
    target: Target | None = None
    upstream: Upstream | None = None
    injected = False
    """Whether ``stream_options`` were added to the request under way."""
    connection: UpstreamConnection | None = None
    _connecting: asyncio.Task[None] | None = None
    _waits_for: TargetHealth | None = None
    """The target to which a connection is waited for."""
    _asks_as_it_came = False
    """Whether the target has just refused ``stream_options`` that the client had not sent."""
    _is_repeated = False
    _is_signed_anew = False
    """Whether the target has just refused a credential that has been replaced since."""
    _opened: tuple[float, float] | None = None
    """When a new connection was asked for, and when it stood."""
    # for the record and the trace
    answer: ResponseHead | None = None
    """The head of the answer that is the call's."""
    _notes: TracingNotes | None = None
    _failure: str | None = None
    """Why the latest request to an upstream had no answer."""
    _earlier: list[Attempt] | None = None

    def __init__(
        self,
        owner: DispatchOwner,
        services: Services,
        request: Request,
        head_cache: HeadCache,
        timings: Timings,
        upload: Upload | None,
        notes: TracingNotes | None,
    ) -> None:
        self._owner: DispatchOwner | None = owner
        self._services = services
        self._request = request
        self._head_cache = head_cache
        self._timings = timings
        if upload is not None:
            self._upload = upload
        if notes is not None:
            self._notes = notes

    # --- choose and connect ---

    def start(self) -> None:
        """Raises what ``choose`` does, or ``NoTargetAvailable``; afterwards the owner is told."""
        candidates = self.candidates = choose(self._request, self._services.catalogue)
        target = candidates.next()
        if target is None:
            raise candidates.refusal() or AssertionError("a call without a target")
        self._try(target)

    def cancel(self) -> None:
        """The owner needs no answer any more."""
        self._owner = None
        self._stop_connecting()
        if self.connection is not None:
            self.connection.abandon()
            self.connection = None

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
            self._waits_no_more()

    def broke_off(self) -> None:
        """The answer that was passed on has not come to its end."""
        if self.candidates is not None:
            self.candidates.failed(UpstreamBroken.code)

    def is_too_slow(self, now: float, *, may_go_on: bool) -> UpstreamTimeout | None:
        """What to answer where the request was sent and nothing has come for too long. ``None`` also where that is
        reason to go elsewhere, if it may: a client is there that waits."""
        upstream, candidates, connection = self.upstream, self.candidates, self.connection
        if upstream is None or candidates is None or connection is None:
            return None
        waited = now - self._timings.sent
        is_silent = 0.0 < candidates.answer_within < waited and not connection.answered
        if is_silent and may_go_on and self._may_go_on(costs=True):
            candidates.failed(UpstreamTimeout.code)
            self.connection = None
            connection.abandon()
            self.abandoned += 1
            self._note_attempt(UpstreamTimeout.code, None)
            self._try_another(candidates, costs=True)
            return None
        limit = upstream.settings.first_byte_timeout
        if waited <= limit:
            return None
        candidates.failed(UpstreamTimeout.code)
        return UpstreamTimeout(
            f"Upstream `{upstream.name}` did not begin to answer within {limit:g} s (first_byte_timeout). "
            "A streamed call, a smaller request or another deployment may answer sooner."
        )

    def _try(self, target: Target) -> None:
        upstream = self._services.upstreams[target.upstream]
        self.target, self.upstream = target, upstream
        self._connect(upstream)

    def _try_another(self, candidates: Candidates, *, costs: bool) -> None:
        """Where ``_may_go_on`` has said so."""
        self._timings.since = self._services.clock.monotonic()
        self._is_repeated = self._asks_as_it_came = self._is_signed_anew = False
        target = candidates.next(costs=costs)
        if target is None:
            raise AssertionError("another target, and there is none")
        self._try(target)

    def _may_go_on(self, *, costs: bool) -> bool:
        """Whether there is another target, and the call may go there. ``costs``: it may have been worked at."""
        candidates = self.candidates
        return candidates is not None and self._can_repeat and candidates.has_more(costs=costs)

    def _repeat(self, upstream: Upstream) -> None:
        """Once more to the same target, on a connection that nobody has used."""
        self._note_attempt(UpstreamBroken.code, None)
        self._timings.since = self._services.clock.monotonic()
        self._is_repeated = True
        self._connect(upstream)

    def _connect(self, upstream: Upstream) -> None:
        """Sends at once where a connection is idle; only else is something awaited."""
        connection = None
        if upstream.credential.is_ready and not self._is_repeated:
            connection = upstream.pool.take()
        if connection is not None:
            self._send(connection, upstream)
        else:
            within, candidates = inf, self.candidates
            if candidates is not None and candidates.health is not None:
                self._waits_for = candidates.health
                self._waits_for.waiting.add(self)
                if self._may_go_on(costs=False):
                    within = candidates.connect_within
            self._connecting = self._services.tasks.start(self._open(upstream, within))

    def _waits_no_more(self) -> None:
        if self._waits_for is not None:
            self._waits_for.waiting.discard(self)
            self._waits_for = None

    def move_on(self, refusal: Refusal) -> None:
        if self._connecting is not None and self._may_go_on(costs=False):
            self._stop_connecting()
            self._attempt_failed(refusal, costs=False)

    async def _open(self, upstream: Upstream, within: float) -> None:
        monotonic = self._services.clock.monotonic
        began = monotonic()
        self._opened = began, 0.0
        connection = None
        try:
            if not upstream.credential.is_ready:
                await upstream.credential.obtain()
            if not self._is_repeated:
                connection = upstream.pool.take()
            if connection is None:
                connection = await upstream.pool.connect(within)
        except Refusal as refusal:
            self._connecting = None
            self._waits_no_more()
            self._not_connected(refusal)
            return
        self._connecting = None
        self._waits_no_more()
        stood = monotonic()
        self._opened = began, stood
        self._timings.since += stood - began
        self._send(connection, upstream)

    def _send(self, connection: UpstreamConnection, upstream: Upstream) -> None:
        request, target, owner = self._request, self.target, self._owner
        if target is None or owner is None:
            upstream.pool.idle(connection)
            return
        inject = self.injected = not self._asks_as_it_came and injects_usage(request, target, upstream)
        try:
            body = upstream_body(request, target, upstream, inject=inject)
        except Refusal as refusal:
            upstream.pool.idle(connection)
            self._fail(refusal)
            return
        head = self._head_cache.upstream_head(request, target, upstream)
        self.attempts += 1
        self.connection = connection
        is_head_request = request.head.method == b"HEAD"
        if isinstance(body, bytes):
            connection.begin(
                self,
                head + framing(request, body) + body,
                is_head_request=is_head_request,
                may_switch=request.address.is_socket,
            )
        else:
            connection.begin(self, head + framing(request, body), is_head_request=is_head_request)
            for piece in body:
                connection.write(piece)
        self._timings.note_sent(self._services.clock.monotonic())
        if self._upload is not None:
            self._upload.connect(connection)

    def _not_connected(self, refusal: Refusal) -> None:
        """Others that wait for the same target need not wait as long."""
        health = None
        if self.candidates is not None and not isinstance(refusal, UpstreamFull):
            self.candidates.out_of_reach(refusal.code)
            health = self.candidates.health
        self._attempt_failed(refusal, costs=False)
        if health is not None:
            health.tell_waiting(refusal)

    def _attempt_failed(self, refusal: Refusal, *, costs: bool) -> None:
        candidates = self.candidates
        if self._owner is None or candidates is None:
            return
        if self._may_go_on(costs=costs):
            self._note_attempt(refusal.code, None)
            self._try_another(candidates, costs=costs)
        else:
            self._failure = refusal.code
            self._count_error(None, refusal.code)
            self._fail(candidates.refusal() or refusal)

    @property
    def _can_repeat(self) -> bool:
        return self._upload is None or not self._upload.has_begun

    # --- what the owner is told, once ---

    def _pass_on(self, connection: UpstreamConnection, head: ResponseHead) -> Receiver | None:
        """Who takes the answer's body; ``None`` where nobody waits for it any more."""
        owner, self._owner = self._owner, None
        if owner is None:
            return None
        self.answer = head
        if head.status >= 400:
            self._count_error(head.status, None)
        self.connection = None  # it is the receiver's now
        return owner.answered(connection, head)

    def _fail(self, refusal: Refusal) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.unanswered(refusal)

    # --- what the upstream's connection tells ---

    def head_received(self, head: ResponseHead) -> None:
        connection, upstream, candidates = self.connection, self.upstream, self.candidates
        if connection is None or upstream is None or candidates is None:
            return
        if self._notes is not None:
            self._notes.answered = self._services.clock.monotonic()
        seeks = self._request.address.route.job_id is not None
        if candidates.member is not None:
            candidates.answered(head.status, head.lines)
        costs = head.status >= 500
        may_go_on = head.status >= 400 and self._may_go_on(costs=costs)
        verdict = verdict_on(
            head,
            injected=self.injected,
            may_go_on=may_go_on,
            signs=upstream.signs,
            seeks=seeks,
            goes_on=may_go_on and head.status < 429 and goes_on_from_response(self._request.body),
        )
        if seeks and head.status == 404 and verdict == "pass on":
            unreachable = was_out_of_reach(self._earlier or ())
            if unreachable is not None:
                self.connection = None
                upstream.pool.drain(connection)
                self._fail(unreachable)
                return
        if head.status == 429 and verdict == "pass on":
            sooner = candidates.sooner_than(head.lines)
            if sooner is not None:
                self.connection = None
                upstream.pool.drain(connection)
                self._count_error(head.status, None)
                self.answer = head  # for the record and the trace; the client gets none of it
                self._fail(sooner)
                return
        if verdict == "pass on":
            if self._asks_as_it_came and head.status < 400:
                remember_refusal(self._request, self.target, upstream)
            connection.receiver = self._pass_on(connection, head)
        elif verdict == "try the next":
            self.connection = None
            upstream.pool.drain(connection)
            self._note_attempt(None, head)
            self._try_another(candidates, costs=costs)
        else:
            connection.receiver = _ErrorBody(self, connection, head)

    def body_received(self, data: bytes) -> None:
        """Cannot come before the head, which changes the receiver."""

    def end_received(self) -> None:
        """Cannot come before the head, which changes the receiver."""

    def upload_paused(self, paused: bool) -> None:
        if self._upload is not None:
            self._upload.pause(paused)

    def connection_broken(self, reason: str) -> None:
        """Before the answer began: once more on a fresh connection if this one had merely grown old. One that an
        upstream has closed says so at once; one that breaks later may have carried the call to the model."""
        connection, upstream = self.connection, self.upstream
        self.connection = None
        if connection is None or upstream is None or self._owner is None:
            return
        was_stale = connection.carried > 1 and not connection.answered
        at_once = self._services.clock.monotonic() - self._timings.sent < _STALE_SECONDS
        if was_stale and at_once and self._can_repeat and not self._is_repeated:
            self._repeat(upstream)
            return
        if self.candidates is not None:
            self.candidates.failed(UpstreamBroken.code)
        self._attempt_failed(
            UpstreamBroken(f"Upstream `{upstream.name}` gave no answer: {reason}. The request can be sent again."),
            costs=True,
        )

    def error_body_received(self, head: ResponseHead, body: bytes) -> None:
        """A 400 to a request we had added to: if that is why, ask once more as the client had asked. A 401 or 403 to
        one that we had signed: if that is why, it is not the client's to hear."""
        connection, upstream, target = self.connection, self.upstream, self.target
        if connection is None or upstream is None or target is None or self._owner is None:
            return
        refused = access_refusal(head.status, body) if head.status == 401 or head.status == 403 else None
        candidates = self.candidates
        if refused is not None:
            self._credential_refused(upstream, head, refused)
            return
        if candidates is not None and self._may_go_on(costs=False) and misses_response(body):
            self.connection = None
            self._note_attempt(None, head)
            self._try_another(candidates, costs=False)
            return
        if self.injected and head.status == 400 and refuses_stream_options(body):
            self.connection = None
            self._note_attempt(None, head)
            self._asks_as_it_came = True
            self._timings.since = self._services.clock.monotonic()
            self._connect(upstream)
            return
        receiver = self._pass_on(connection, head)
        if receiver is not None:
            connection.chunk = b""  # the body came in chunks of its own
            if body:
                receiver.body_received(body)
            receiver.end_received()

    def _credential_refused(self, upstream: Upstream, head: ResponseHead, refused: AccessRefusal) -> None:
        """The answer has been read to its end, so its connection is no longer this call's."""
        self.connection = None
        if head.status == 401 and self._can_repeat and not self._is_signed_anew:
            if upstream.credential.replace(self._timings.sent):
                self._note_attempt(None, head)
                self._is_signed_anew = True
                self._timings.since = self._services.clock.monotonic()
                self._connect(upstream)
                return
        self._services.refusals.note(upstream.name, head.status, refused)
        candidates = self.candidates
        if candidates is not None:
            candidates.failed(str(head.status))
        if candidates is not None and self._may_go_on(costs=False):
            self._note_attempt(None, head)
            self._try_another(candidates, costs=False)
        else:
            self._count_error(head.status, None)
            self.answer = head  # for the record and the trace; the client gets none of it
            self._fail(refusal_of(upstream.name, refused))

    # --- what is noted of it ---

    def all_attempts(self, error_code: str | None) -> list[Attempt]:
        """Every request that was sent, or was to be. ``error_code``: how the call ended, if it had no answer."""
        error = (self._failure or error_code) if self.answer is None else None
        answered = self._notes.answered if self._notes is not None else 0.0
        return [*(self._earlier or ()), *self._latest_attempt(error, self.answer, answered)]

    def _note_attempt(self, error: str | None, answer: ResponseHead | None) -> None:
        """Another request follows this one. Few calls come here."""
        self._count_error(answer.status if answer is not None else None, error)
        answered = self._services.clock.monotonic() if answer is not None else 0.0
        self._earlier = [*(self._earlier or ()), *self._latest_attempt(error, answer, answered)]
        self._opened = None

    def _count_error(self, status: int | None, code: str | None) -> None:
        if self.upstream is not None:
            self._services.refusals.note_error(self.upstream.name, status, code)

    def _latest_attempt(self, error: str | None, answer: ResponseHead | None, answered: float) -> list[Attempt]:
        target, sent = self.target, self._timings.sent
        if target is None:
            return []
        began, connected = self._opened or (self._timings.since, 0.0)
        sent = sent if sent >= began else 0.0
        status, lines = (answer.status, answer.lines) if answer is not None else (None, b"")
        before = self.candidates.before if self.candidates is not None else b""
        return [Attempt(target, began, connected, sent, answered, status, error, lines, before)]


class _ErrorBody(Receiver):
    """Reads a short answer whole before anything of it is passed on; what is too long is broken off."""

    def __init__(self, dispatcher: Dispatcher, connection: UpstreamConnection, head: ResponseHead) -> None:
        self._dispatcher = dispatcher
        self._connection = connection
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0

    def head_received(self, head: ResponseHead) -> None:
        """The head came before this receiver did."""

    def body_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _MAX_ERROR_BODY:
            self._connection.abandon()
            self._dispatcher.connection_broken("its error answer is too long")

    def end_received(self) -> None:
        self._dispatcher.error_body_received(self._head, b"".join(self._pieces))

    def connection_broken(self, reason: str) -> None:
        self._dispatcher.connection_broken(reason)

    def upload_paused(self, paused: bool) -> None:
        self._dispatcher.upload_paused(paused)

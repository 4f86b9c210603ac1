"""The first half of a walk: from the choice of targets to the head of the answer that is passed on.

    choose ─▶ connect ─▶ sent ─▶ head ─▶ forward
                 ▲         │       ├─▶ the next target
                 └─────────┴───────┴─▶ once more: on a fresh connection, or without stream_options

Only a new connection and a token are ever waited for. Each request to an upstream that was not the last one is
noted, for the trace.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ..deployments import Target
from ..errors import Refusal, UpstreamBroken
from ..providers import AccessRefusal, access_refusal
from ..upstream import Upstream, UpstreamConnection
from ..wire import ResponseHead
from .choose import choose
from .connect import (
    framing,
    injects_usage,
    refusal_of,
    refuses_stream_options,
    remember_refusal,
    upstream_body,
    verdict_on,
    was_busy,
)
from .familiar import Familiar
from .forward import Collector, Forwarder
from .request import Attempt, Candidates, Ending, Request
from .settle import Timings
from .tracing import TracingNotes
from .upload import Upload

if TYPE_CHECKING:
    from .relay import Relay

__all__ = ["Approach"]

# A body that says why stream_options was refused has a few hundred bytes.
_MAX_ERROR_BODY = 1024 * 1024
# A connection that its upstream had closed tells within a round trip that it was.
_STALE_SECONDS = 0.5


class Approach(ABC):
    """What a `Walk` is until its answer begins."""

    # what it starts from
    _relay: "Relay"
    _familiar: Familiar
    _timings: Timings
    _request: Request
    _upload: Upload | None = None
    # for the attempt
    _candidates: Candidates | None = None
    _upstreams: dict[str, Upstream]
    _target: Target | None = None
    _upstream: Upstream | None = None
    _connecting: asyncio.Task[None] | None = None
    _connection: UpstreamConnection | None = None
    _attempts = 0
    _injected = False
    _asks_as_it_came = False
    """Whether the target has just refused ``stream_options`` that the client had not sent."""
    _is_repeated = False
    _opened: tuple[float, float] | None = None
    """When a new connection was asked for, and when it stood."""
    # for the trace
    _failure: str | None = None
    """Why the latest request to an upstream had no answer."""
    _notes: TracingNotes | None = None
    _earlier: list[Attempt] | None = None
    # what it leads to
    _answer: ResponseHead | None = None
    _ending: Ending | None = None

    @abstractmethod
    def _forward(self, connection: UpstreamConnection, head: ResponseHead) -> Forwarder:
        """Passes an answer on."""

    @abstractmethod
    def _answer_refusal(self, refusal: Refusal) -> None:
        """Ends the call with an answer of our own."""

    # --- choose and connect ---

    def _choose(self) -> None:
        self._candidates = choose(self._request, self._relay.catalogue)
        self._upstreams = self._relay.upstreams
        self._try_next()

    def _try_next(self) -> None:
        target = self._candidates.next() if self._candidates is not None else None
        if target is None:
            raise AssertionError("a call without a target")
        self._target = target
        self._upstream = self._upstreams[target.upstream]
        self._connect(self._upstream)

    def _try_another(self) -> None:
        self._timings.since = self._relay.clock.monotonic()
        self._is_repeated = self._asks_as_it_came = False
        self._try_next()

    def _repeat(self, upstream: Upstream) -> None:
        """Once more to the same target, on a connection that nobody has used."""
        self._note_attempt(UpstreamBroken.code, None)
        self._timings.since = self._relay.clock.monotonic()
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
            self._connecting = self._relay.start(self._open(upstream))

    async def _open(self, upstream: Upstream) -> None:
        began = self._relay.clock.monotonic()
        self._opened = began, 0.0
        connection = None
        try:
            if not upstream.credential.is_ready:
                await upstream.credential.obtain()
            if not self._is_repeated:
                connection = upstream.pool.take()
            if connection is None:
                connection = await upstream.pool.connect()
        except Refusal as refusal:
            self._connecting = None
            self._attempt_failed(refusal)
            return
        self._connecting = None
        stood = self._relay.clock.monotonic()
        self._opened = began, stood
        self._timings.since += stood - began
        self._send(connection, upstream)

    def _send(self, connection: UpstreamConnection, upstream: Upstream) -> None:
        request, target = self._request, self._target
        if target is None or self._ending is not None:
            upstream.pool.idle(connection)
            return
        inject = self._injected = not self._asks_as_it_came and injects_usage(request, target, upstream)
        try:
            body = upstream_body(request, target, upstream, inject=inject)
        except Refusal as refusal:
            upstream.pool.idle(connection)
            self._answer_refusal(refusal)
            return
        head = self._familiar.upstream_head(request, target, upstream)
        self._attempts += 1
        self._connection = connection
        is_head_request = request.head.method == b"HEAD"
        if isinstance(body, bytes):
            connection.begin(self, head + framing(request, body) + body, is_head_request=is_head_request)
        else:
            connection.begin(self, head + framing(request, body), is_head_request=is_head_request)
            for piece in body:
                connection.write(piece)
        self._timings.note_sent(self._relay.clock.monotonic())
        if self._upload is not None:
            self._upload.connect(connection)

    def _attempt_failed(self, refusal: Refusal) -> None:
        if self._ending is not None:
            return
        if self._candidates is not None and self._candidates.has_more and self._can_repeat:
            self._note_attempt(refusal.code, None)
            self._try_another()
        else:
            self._failure = refusal.code
            self._answer_refusal(was_busy(self._earlier or ()) or refusal)

    @property
    def _can_repeat(self) -> bool:
        return self._upload is None or not self._upload.has_begun

    # --- what the upstream's connection tells, until an answer is being passed on ---

    def head_received(self, head: ResponseHead) -> None:
        connection, upstream, candidates = self._connection, self._upstream, self._candidates
        if connection is None or upstream is None or candidates is None:
            return
        if self._notes is not None:
            self._notes.answered = self._relay.clock.monotonic()
        verdict = verdict_on(
            head,
            injected=self._injected,
            has_more=candidates.has_more,
            can_repeat=self._can_repeat,
            signs=upstream.signs,
        )
        if verdict == "pass on":
            if self._asks_as_it_came and head.status < 400:
                remember_refusal(self._request, self._target, upstream)
            connection.receiver = self._forward(connection, head)
        elif verdict == "try the next":
            self._connection = None
            upstream.pool.drain(connection)
            self._note_attempt(None, head)
            self._try_another()
        else:
            connection.receiver = Collector(
                connection,
                _MAX_ERROR_BODY,
                lambda body: self._after_error_body(head, body),
                self.connection_broken,
                self.upload_paused,
            )

    def body_received(self, data: bytes) -> None:  # noqa: B027 - nothing to do, and no subclass has
        """Cannot come before the head, which changes the receiver."""

    def end_received(self) -> None:  # noqa: B027 - likewise
        """Cannot come before the head, which changes the receiver."""

    def upload_paused(self, paused: bool) -> None:
        if self._upload is not None:
            self._upload.pause(paused)
            self._timings.sent = self._relay.clock.monotonic()

    def connection_broken(self, reason: str) -> None:
        """Before the answer began: once more on a fresh connection if this one had merely grown old. One that an
        upstream has closed says so at once; one that breaks later may have carried the call to the model."""
        connection, upstream = self._connection, self._upstream
        self._connection = None
        if connection is None or upstream is None or self._ending is not None:
            return
        was_stale = connection.carried > 1 and not connection.answered
        at_once = self._relay.clock.monotonic() - self._timings.sent < _STALE_SECONDS
        if was_stale and at_once and self._can_repeat and not self._is_repeated:
            self._repeat(upstream)
            return
        self._attempt_failed(
            UpstreamBroken(f"Upstream `{upstream.name}` gave no answer: {reason}. The request can be sent again.")
        )

    def _after_error_body(self, head: ResponseHead, body: bytes) -> None:
        """A 400 to a request we had added to: if that is why, ask once more as the client had asked. A 401 or 403 to
        one that we had signed: if that is why, it is not the client's to hear."""
        connection, upstream, target = self._connection, self._upstream, self._target
        if connection is None or upstream is None or target is None or self._ending is not None:
            return
        if head.status != 400:
            refused = access_refusal(head.status, body)
            if refused is not None:
                self._after_refused_credential(upstream, head, refused)
                return
        elif refuses_stream_options(body):
            self._connection = None
            self._note_attempt(None, head)
            self._asks_as_it_came = True
            self._timings.since = self._relay.clock.monotonic()
            self._connect(upstream)
            return
        forwarder = self._forward(connection, head)
        if body:
            forwarder.body_received(body)
        forwarder.end_received()

    def _after_refused_credential(self, upstream: Upstream, head: ResponseHead, refused: AccessRefusal) -> None:
        """The answer has been read to its end, so its connection is no longer this call's."""
        self._connection = None
        self._relay.refusals.note(upstream.name, head.status, refused)
        if self._candidates is not None and self._candidates.has_more and self._can_repeat:
            self._note_attempt(None, head)
            self._try_another()
        else:
            self._answer = head  # for the record and the trace; the client gets none of it
            self._answer_refusal(was_busy(self._earlier or ()) or refusal_of(upstream.name, refused))

    # --- what is noted of it ---

    def _note_attempt(self, error: str | None, answer: ResponseHead | None) -> None:
        """Another request follows this one. Few calls come here."""
        answered = self._relay.clock.monotonic() if answer is not None else 0.0
        self._earlier = [*(self._earlier or ()), *self._latest_attempt(error, answer, answered)]
        self._opened = None

    def _latest_attempt(self, error: str | None, answer: ResponseHead | None, answered: float) -> list[Attempt]:
        target, sent = self._target, self._timings.sent
        if target is None:
            return []
        began, connected = self._opened or (self._timings.since, 0.0)
        sent = sent if sent >= began else 0.0
        status, lines = (answer.status, answer.lines) if answer is not None else (None, b"")
        return [Attempt(target, began, connected, sent, answered, status, error, lines)]

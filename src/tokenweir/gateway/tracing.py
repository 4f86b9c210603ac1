"""Which calls are traced, and what a trace is made of.

Of most calls nothing is kept for it: they know at their end where they were tried and when, so a trace of one
that failed or was slow is put together then. Only where one is wanted from the beginning (a debug token, or by
chance) is the time taken at more places, and each piece of the answer noted.

    begin ─▶ notes, or none      end ─▶ reasons ─▶ (none: no trace)
                                           └─────▶ trace_of(what the call knows, notes)
"""

import random
import re
from collections.abc import Sequence

from ..deployments import Candidates
from ..policy import DebugToken, DebugTokens, TracingSettings
from ..records import Clock, Trace, TracedAttempt, TracedTarget, TraceReason
from ..wire import masked
from .request import Attempt, Ending, Request
from .timings import Timings

__all__ = ["Tracing", "TracingNotes", "answer_line", "trace_of"]

# The arrivals of an answer of a hundred pages. More are counted.
_MOST_ARRIVALS = 4096

_NO_REASONS: Sequence[TraceReason] = ()


class TracingNotes:
    """What is kept of a call that is traced from its beginning."""

    def __init__(self, reason: TraceReason, clock: Clock) -> None:
        self.reason: TraceReason = reason
        self.answered = 0.0
        self.arrivals: list[tuple[float, int]] = []
        """Moments on the monotonic clock, and bytes."""
        self.left_out = 0
        self._clock = clock

    def note_arrival(self, size: int) -> None:
        """A piece of the answer has come, of so many bytes."""
        if len(self.arrivals) < _MOST_ARRIVALS:
            self.arrivals.append((self._clock.monotonic(), size))
        else:
            self.left_out += 1


class Tracing:
    """Decides. One for all calls of a process."""

    def __init__(self, settings: TracingSettings, secret: str, clock: Clock) -> None:
        self.sample = settings.sample
        self._failed = settings.failed
        self._slow_call, self._slow_first_byte = float(settings.slow_call), float(settings.slow_first_byte)
        self._tokens = DebugTokens(secret, settings.api)
        self._clock = clock
        self._chance = random.Random()

    def begin(self, request: Request) -> TracingNotes | None:
        """Notes for a call that is to be traced whatever becomes of it. To be asked where there is a debug token,
        or a ``sample``."""
        token = request.address.debug_token
        if token is not None:
            request.debug = self._tokens.read(token.decode("latin-1"), self._clock.now())
            if request.debug is not None and request.debug.state == "valid":
                return TracingNotes("asked", self._clock)
        return TracingNotes("sampled", self._clock) if self._chance.random() < self.sample else None

    def reasons(self, ending: Ending, timings: Timings, notes: TracingNotes | None) -> Sequence[TraceReason]:
        """Why there is to be a trace of a call that has ended; empty: there is none."""
        received = timings.received
        has_failed = self._failed and (ending.outcome != "completed" or (ending.status or 0) >= 400)
        is_slow = timings.ended - received > self._slow_call and ending.status != 101  # a WebSocket is meant to last
        is_slow = is_slow or timings.first_byte - received > self._slow_first_byte
        if not (has_failed or is_slow or notes is not None):
            return _NO_REASONS
        reasons: list[TraceReason] = [notes.reason] if notes is not None else []
        if has_failed:
            reasons.append("failed")
        if is_slow:
            reasons.append("slow")
        return reasons


def answer_line(token: DebugToken | None, call_id: bytes) -> bytes:
    """What API Management's answer says of a debug token: a header line behind its CR LF, or nothing."""
    if token is None:
        return b""
    if token.state == "valid":
        return b"\r\napim-trace-id: " + call_id
    if token.state == "expired":
        expired_at = f"{token.expires:%Y-%m-%dT%H:%M:%SZ}".encode("ascii")
        return b"\r\napim-debug-authorization-expired: the debug token has expired at " + expired_at
    return b"\r\napim-debug-authorization-wrongapi: the debug token is for another API"


def trace_of(
    reasons: Sequence[TraceReason],
    request: Request,
    candidates: Candidates | None,
    attempts: Sequence[Attempt],
    body_whole: float,
    notes: TracingNotes | None,
) -> Trace:
    """The trace of a call that has ended. ``body_whole``: a moment, 0.0 where it never was."""
    start = request.received_at
    targets = candidates.targets if candidates is not None else ()
    head = request.head
    kept = {line.partition(b":")[0].lower() for line in head.kept}
    ended_here = [name + b":" + value for name, value in head.fields.items() if name not in kept]

    def since(moment: float) -> float | None:
        return int((moment - start) * 1e6) / 1000 if moment else None

    return Trace(
        reasons=list(reasons),
        request_headers=masked([*head.kept, *ended_here]),
        body_ms=since(body_whole),
        targets=_traced_targets(candidates) if candidates is not None else [],
        attempts=[
            TracedAttempt(
                target=next((index for index, target in enumerate(targets) if target is attempt.target), 0),
                began_ms=since(attempt.began) or 0.0,
                connected_ms=since(attempt.connected),
                sent_ms=since(attempt.sent),
                answered_ms=since(attempt.answered),
                status=attempt.status,
                error=attempt.error,
                headers=masked(line for line in attempt.lines.split(b"\r\n") if line),
                before=masked(line for line in attempt.before.split(b"\r\n") if _LIMIT.match(line)),
            )
            for attempt in attempts
        ],
        arrivals=[(int((moment - start) * 1e6) / 1000, size) for moment, size in notes.arrivals] if notes else [],
        arrivals_left_out=notes.left_out if notes else 0,
    )


_LIMIT = re.compile(rb"x-ratelimit-", re.IGNORECASE)


def _traced_targets(candidates: Candidates) -> list[TracedTarget]:
    pool, passed = candidates.pool, candidates.passed or []
    if pool.policy is None:
        return [TracedTarget(target.upstream, target.deployment, target.sku) for target in pool.targets]
    traced = []
    for member in pool.members:
        target = member.target
        why = next((one for one in passed if one.target is target), None)
        traced.append(
            TracedTarget(
                target.upstream,
                target.deployment,
                target.sku,
                member.priority,
                member.weight,
                why.reason if why is not None else None,
                int(why.wait * 1e6) / 1000 if why is not None else None,
            )
        )
    return traced

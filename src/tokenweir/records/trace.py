"""What a traced call tells beyond its record: when it came to each step, where it was tried, and what was said.

A trace belongs to its record and travels with it. Times are milliseconds since the record's ``started_at``.
Headers have their values only where their names are known to tell and to hold no secret (``wire.masked``).
"""

from typing import Literal

import msgspec

__all__ = ["Trace", "TraceReason", "TracedAttempt", "TracedTarget"]

TraceReason = Literal["asked", "sampled", "failed", "slow"]
"""Why there is a trace: the caller had a debug token, by chance, or because of how the call went."""


class TracedTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place where the call could have gone."""

    backend: str
    deployment: str | None = None
    sku: str | None = None
    priority: int | None = None
    """Lower goes first. ``None`` where targets are tried in their order."""
    weight: float | None = None
    """Its share among targets of its priority; 0: it is drained, and gets no calls."""
    left_alone: str | None = None
    """Why its breaker was open when it would have been its turn: an error code or a status."""
    left_alone_ms: float | None = None
    """For how much longer."""


class TracedAttempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request to an upstream."""

    target: int
    """Which of the trace's targets, from 0."""
    began_ms: float
    """When the target's turn came."""
    connected_ms: float | None = None
    """When a new connection stood; ``None`` where an idle one was there, or none could be made."""
    sent_ms: float | None = None
    """When the request had been handed to the connection; ``None`` if it never was."""
    answered_ms: float | None = None
    """When the answer's head had come; known only of calls that were traced from their beginning, and of attempts
    that were not the last one."""
    status: int | None = None
    error: str | None = None
    """Why there was no answer, or why the answer was not the call's: an error code."""
    headers: list[tuple[str, str]] = []
    """The answer's, masked."""
    before: list[tuple[str, str]] = []
    """What the target had said of its limits in its answer before, to another call; kept where there is a choice."""


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Targets stand in the order of their priority and of the file, attempts in the order in which they were made."""

    reasons: list[TraceReason]
    request_headers: list[tuple[str, str]] = []
    """The client's, masked."""
    body_ms: float | None = None
    """When the request's body was whole."""
    targets: list[TracedTarget] = []
    attempts: list[TracedAttempt] = []
    arrivals: list[tuple[float, int]] = []
    """When pieces of the answer's body came, and their bytes; only of calls that were traced from their beginning."""
    arrivals_left_out: int = 0
    """How many more pieces came than are listed."""

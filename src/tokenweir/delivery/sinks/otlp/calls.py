"""A record becomes spans: the call as its caller sees it (SERVER), and each request to an upstream (CLIENT).

Where the record has a trace, all its attempts are there with their own times. Without one, there is the last attempt
only, from the call's start to its end.

Which trace a call belongs to says the caller's ``traceparent`` (W3C Trace Context), else it has its own. The ids of our
own spans come from the call's id alone, so that a span that is sent twice is the same span.
"""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec

from ....records import CallRecord, TracedAttempt, TracedTarget
from .attributes import (
    UNKNOWN,
    Servers,
    attempt_attributes,
    call_attributes,
    content_attributes,
    error_of,
    model_of,
    operation_of,
)
from .span import CLIENT, SERVER, Span, SpanEvent, SpanStatus, key_values

__all__ = ["TraceContext", "read_traceparent", "span_id", "spans_of", "trace_id"]

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


class TraceContext(msgspec.Struct, frozen=True):
    trace_id: str
    """32 digits of hex."""
    span_id: str
    """The caller's own span, 16 digits."""
    is_sampled: bool
    """Whether the caller's tracer records the trace."""


def read_traceparent(text: str | None) -> TraceContext | None:
    """The caller's context; ``None`` where there is none that is valid, which the standard says to ignore."""
    found = _FORM.fullmatch(text) if text is not None else None
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    # Later versions may say more behind the flags; ff is none, and 00 ends there.
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return TraceContext(trace, span, bool(int(flags, 16) & 1))


def trace_id(call_id: str) -> str:
    """A trace for a call that is in none: the 128 bits of its UUID."""
    try:
        identifier = UUID(call_id)
    except ValueError:  # from another program's journal
        return sha256(call_id.encode()).hexdigest()[:32]
    return identifier.hex if identifier.int else sha256(call_id.encode()).hexdigest()[:32]


def span_id(call_id: str, number: int) -> str:
    """0 is the call, 1 its first attempt, and so on."""
    return sha256(f"{call_id} {number}".encode()).hexdigest()[:16]


_EPOCH = datetime.fromtimestamp(0, UTC)

# Bits of `Span.flags`: the trace is recorded; it is known whether the parent is in another process; it is.
_SAMPLED = 0x001
_PARENT_IS_KNOWN = 0x100
_PARENT_IS_REMOTE = 0x200

# Names of spans are for counting. A longer name of a model is none.
_LONGEST_MODEL = 128

_NOWHERE = TracedTarget("")


def spans_of(
    record: CallRecord, *, with_content: bool = False, is_shed: bool = False, servers: Servers = UNKNOWN
) -> list[Span]:
    """The call first, then its attempts. ``is_shed``: the call says that its content was too large to be sent."""
    context = read_traceparent(record.traceparent)
    trace = context.trace_id if context else trace_id(record.call_id)
    attributes = call_attributes(record, servers)
    if with_content:
        attributes |= content_attributes(record)
    if is_shed:
        attributes["tokenweir.content_shed"] = True
    call = Span(
        trace_id=trace,
        span_id=span_id(record.call_id, 0),
        parent_span_id=context.span_id if context else "",
        flags=_SAMPLED | _PARENT_IS_KNOWN | (_PARENT_IS_REMOTE if context else 0),
        name=_name(record),
        kind=SERVER,
        start_time_unix_nano=_nanoseconds(record, 0),
        end_time_unix_nano=_nanoseconds(record, record.latency_ms),
        attributes=key_values(attributes),
        events=_events(record, {"first_byte": record.first_byte_ms, "first_token": record.first_token_ms}),
        status=_error_if(_has_failed(record)),
    )
    return [call, *_attempts(record, call, servers)]


def _attempts(record: CallRecord, call: Span, servers: Servers) -> list[Span]:
    attempts, targets = _tried(record)
    before = max(0, record.attempts - len(attempts))
    followed_by = [attempt.began_ms for attempt in attempts[1:]]
    spans = []
    for number, attempt in enumerate(attempts):
        is_last = number == len(attempts) - 1
        # The last one lasts as long as its answer's body does.
        end_ms = record.latency_ms if is_last else attempt.answered_ms or followed_by[number]
        target = targets[attempt.target] if attempt.target < len(targets) else _NOWHERE
        attributes = attempt_attributes(record, before + number, attempt, target, is_last=is_last, servers=servers)
        spans.append(
            Span(
                trace_id=call.trace_id,
                span_id=span_id(record.call_id, before + number + 1),
                parent_span_id=call.span_id,
                flags=_SAMPLED | _PARENT_IS_KNOWN,
                name=f"{record.method} {target.backend}".strip(),
                kind=CLIENT,
                start_time_unix_nano=_nanoseconds(record, attempt.began_ms),
                end_time_unix_nano=_nanoseconds(record, max(attempt.began_ms, end_ms)),
                attributes=key_values(attributes),
                events=_events(
                    record,
                    {"connected": attempt.connected_ms, "sent": attempt.sent_ms, "answered": attempt.answered_ms},
                ),
                status=_error_if(attempt.error is not None or (attempt.status or 0) >= 400),
            )
        )
    return spans


def _tried(record: CallRecord) -> tuple[list[TracedAttempt], list[TracedTarget]]:
    """The attempts that are known, the last one always at the end."""
    if record.trace is not None and record.trace.attempts:
        return record.trace.attempts, record.trace.targets
    if not record.attempts:
        return [], []
    # The status is the upstream's only if it answered; else it is what we told the caller.
    status = record.status if record.first_byte_ms is not None else None
    last = TracedAttempt(target=0, began_ms=0.0, status=status, error=error_of(record))
    return [last], [TracedTarget(record.backend or "", record.deployment, record.sku)]


def _name(record: CallRecord) -> str:
    operation, model = operation_of(record), model_of(record)
    if operation is None:
        return f"{record.method} {record.operation}".strip() or "call"
    return f"{operation} {model}" if model and len(model) <= _LONGEST_MODEL else operation


def _has_failed(record: CallRecord) -> bool:
    """By the rule for servers: an answer of 4xx is the caller's own mistake, and no error of ours."""
    return error_of(record) is not None and not 400 <= (record.status or 0) < 500


def _error_if(failed: bool) -> SpanStatus:
    return SpanStatus(2 if failed else 0)


def _events(record: CallRecord, moments: dict[str, float | None]) -> list[SpanEvent]:
    return [
        SpanEvent(_nanoseconds(record, moment), f"tokenweir.{name}")
        for name, moment in moments.items()
        if moment is not None
    ]


def _nanoseconds(record: CallRecord, milliseconds: float) -> str:
    """A moment of the call since 1970, as text."""
    start = (record.started_at - _EPOCH) // timedelta(microseconds=1) * 1000
    return str(start + round(milliseconds * 1_000_000))

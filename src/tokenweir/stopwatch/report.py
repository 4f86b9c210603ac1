"""A call in plain values, for programs: milliseconds, counts, and findings with their codes."""

from typing import Any

import msgspec

from .capture import Capture, TimedEvent
from .findings import Finding
from .measures import Measures
from .moments import Began, Connected, Head, Moment

__all__ = ["call_report", "event_report", "moment_report"]


def moment_report(moment: Moment) -> dict[str, Any] | None:
    """What happened before the first event; None for what ``event_report`` and ``call_report`` tell."""
    match moment:
        case Began():
            told = ("taken_at", "name", "url", "via", "api", "deployment")
            return {"type": "began", **{name: getattr(moment, name) for name in told}}
        case Connected():
            steps = {f"{name}_ms": _ms(getattr(moment, name)) for name in ("lookup", "connect", "tls")}
            return {"type": "connected", "address": moment.address, "proxy": moment.proxy, **steps}
        case Head():
            return {"type": "head", "at_ms": _ms(moment.at), "status": moment.status, "headers": dict(moment.headers)}
    return None


def call_report(capture: Capture, measures: Measures, findings: list[Finding]) -> dict[str, Any]:
    """Everything about a call but its events."""
    began, head, connected, usage = capture.began, capture.head, capture.connected, measures.usage
    return {
        "type": "call",
        "taken_at": began.taken_at,
        "name": began.name,
        "url": began.url,
        "via": began.via,
        "api": began.api,
        "deployment": began.deployment,
        "model": measures.model,
        "status": head.status if head else None,
        "headers": dict(head.headers) if head else {},
        "ended": capture.ended.how,
        "lookup_ms": _ms(connected.lookup if connected else None),
        "connect_ms": _ms(connected.connect if connected else None),
        "tls_ms": _ms(connected.tls if connected else None),
        "first_byte_ms": _ms(measures.first_byte),
        "first_event_ms": _ms(measures.first_event),
        "first_token_ms": _ms(measures.first_token),
        "last_token_ms": _ms(measures.last_token),
        "ended_ms": _ms(measures.ended),
        "events": measures.events,
        "outputs": measures.outputs,
        "reads": measures.reads,
        "bytes": measures.bytes,
        "tokens_per_second": _rounded(measures.tokens_per_second),
        "outputs_per_second": _rounded(measures.outputs_per_second),
        "gap_ms": {name: _ms(getattr(measures.gaps, name)) for name in ("p50", "p90", "p99", "longest")}
        if measures.gaps
        else None,
        "stalls": [
            {"at_ms": _ms(stall.at), "length_ms": _ms(stall.length), "after": stall.after} for stall in measures.stalls
        ],
        "finish_reason": measures.finish,
        "usage": {
            name: getattr(usage, name)
            for name in ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "total_tokens")
        }
        if usage
        else None,
        "findings": [msgspec.structs.asdict(finding) for finding in findings],
    }


def event_report(event: TimedEvent, before: float | None) -> dict[str, Any]:
    """One event; ``before`` is when the one before it came."""
    return {
        "type": "event",
        "at_ms": _ms(event.at),
        "gap_ms": _ms(None if before is None else event.at - before),
        "size": event.size,
        "kind": event.frame.kind,
        "text": event.frame.text,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)

"""Which trace a call belongs to: the caller's where it says so in ``traceparent`` (W3C Trace Context), else its own.

The ids of our own spans come from the call's id alone, so that a span that is sent twice is the same span.
"""

import re
from hashlib import sha256
from uuid import UUID

import msgspec

__all__ = ["TraceContext", "read_traceparent", "span_id", "trace_id"]

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

"""Calls as OpenTelemetry spans: one as its caller sees it, and one beneath it for each request to an upstream."""

from .calls import spans_of
from .context import TraceContext, read_traceparent
from .fitting import fit_spans
from .span import KeyValue, ScopeSpans, Span, SpanEvent, key_values

__all__ = [
    "KeyValue",
    "ScopeSpans",
    "Span",
    "SpanEvent",
    "TraceContext",
    "fit_spans",
    "key_values",
    "read_traceparent",
    "spans_of",
]

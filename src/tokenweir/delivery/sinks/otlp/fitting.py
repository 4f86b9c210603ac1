"""A record becomes one event that holds its spans: none where its trace is not recorded, without content where that
would be too large.
"""

import msgspec

from ....records import CallRecord
from ...errors import Rejected
from ..event import Event
from ..settings import SinkSettings
from .calls import spans_of
from .context import read_traceparent
from .span import ScopeSpans, Span

__all__ = ["fit_spans"]

_encode = msgspec.json.Encoder().encode


def fit_spans(record: CallRecord, settings: SinkSettings, limit: int) -> list[Event]:
    """`Rejected`, holding the event, where the spans are larger than ``limit`` even without content."""
    context = read_traceparent(record.traceparent)
    if context is not None and not context.is_sampled and settings.sampler == "parentbased_always_on":
        return []
    whole = _event(record, spans_of(record, with_content=settings.content))
    if whole.size <= limit:
        return [whole]
    bare = _event(record, spans_of(record, is_shed=settings.content))
    if bare.size <= limit:
        return [bare]
    raise Rejected(f"spans of {bare.size} bytes, and the sink takes {limit}", [bare])


def _event(record: CallRecord, spans: list[Span]) -> Event:
    properties = {"call_id": record.call_id, "replica": record.replica, "seq": str(record.seq), "shape": "spans"}
    return Event(body=_encode(ScopeSpans(spans)), call_id=record.call_id, properties=properties)

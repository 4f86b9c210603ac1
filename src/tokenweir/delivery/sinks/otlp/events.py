"""The spans of a call as an event: with what was asked for, or without content where that would be too large."""

import msgspec

from ....records import CallRecord
from ...errors import Rejected
from ..base import SinkSettings, event_properties
from .calls import spans_of
from .context import read_traceparent
from .span import ScopeSpans

__all__ = ["SpansEvent", "fit_spans"]

# What surrounds the spans of one call in a request, at most.
_AROUND_SPANS = 16

_encode = msgspec.json.Encoder().encode


class SpansEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An `Event` that is all spans of one call."""

    record: CallRecord
    with_content: bool
    is_shed: bool = False
    encoded: bytes
    """See `encode_spans`."""

    @property
    def call_id(self) -> str:
        return self.record.call_id

    @property
    def properties(self) -> dict[str, str]:
        return event_properties(self.record, "spans")

    @property
    def size(self) -> int:
        return len(self.encoded) + _AROUND_SPANS

    def text(self) -> str:
        """OTLP's JSON encoding, so that it can be sent by hand as it is."""
        spans = spans_of(self.record, with_content=self.with_content, is_shed=self.is_shed)
        return _encode(ScopeSpans(spans)).decode(errors="replace")


def fit_spans(record: CallRecord, settings: SinkSettings, limit: int) -> list[SpansEvent]:
    """One event, none where the call's trace is not recorded, and one without content where that would be too large.

    Raises: `Rejected`, holding the event, where the spans are larger than ``limit`` even without content.
    """
    context = read_traceparent(record.traceparent)
    if context is not None and not context.is_sampled and settings.sampler == "parentbased_always_on":
        return []
    whole = _event(record, with_content=settings.content)
    if whole.size <= limit:
        return [whole]
    bare = _event(record, with_content=False, is_shed=settings.content)
    if bare.size <= limit:
        return [bare]
    raise Rejected(f"spans of {bare.size} bytes, and the sink takes {limit}", [bare])


def _event(record: CallRecord, *, with_content: bool, is_shed: bool = False) -> SpansEvent:
    from .protobuf import encode_spans  # comes with an extra of ours, which the open sink has found

    encoded = encode_spans(spans_of(record, with_content=with_content, is_shed=is_shed))
    return SpansEvent(record=record, with_content=with_content, is_shed=is_shed, encoded=encoded)

"""Spans as the bytes of an ``ExportTraceServiceRequest``, by OpenTelemetry's own messages, and what an answer says.

Needs ``tokenweir[otel]``.
"""

from collections.abc import Iterable, Mapping

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue as AnyValueMessage,
    ArrayValue as ArrayValueMessage,
    InstrumentationScope,
    KeyValue as KeyValueMessage,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
    ResourceSpans,
    ScopeSpans as ScopeSpansMessage,
    Span as SpanMessage,
    Status,
)

from ... import __version__
from .span import AnyValue, KeyValue, ScopeSpans, Span, key_values

__all__ = ["PartialSuccess", "export_request", "read_response"]

_decode = msgspec.json.Decoder(ScopeSpans).decode


class PartialSuccess(msgspec.Struct, frozen=True):
    rejected_spans: int = 0
    message: str = ""


def export_request(bodies: Iterable[bytes], resource: Mapping[str, str]) -> bytes:
    """The spans of all bodies, each of them a `ScopeSpans` in JSON, as one request."""
    spans = [_span(span) for body in bodies for span in _decode(body).spans]
    scope = ScopeSpansMessage(scope=InstrumentationScope(name="tokenweir", version=__version__), spans=spans)
    described = Resource(attributes=[_key_value(one) for one in key_values(resource)])
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=described, scope_spans=[scope])])
    return request.SerializeToString()


def read_response(body: bytes) -> PartialSuccess:
    """What was not taken; nothing of that where the body says nothing that can be read."""
    try:
        said = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return PartialSuccess()
    return PartialSuccess(said.rejected_spans, said.error_message)


def _span(span: Span) -> SpanMessage:
    return SpanMessage(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id),
        flags=span.flags,
        name=span.name,
        kind=SpanMessage.SpanKind.ValueType(span.kind),
        start_time_unix_nano=int(span.start_time_unix_nano),
        end_time_unix_nano=int(span.end_time_unix_nano),
        attributes=[_key_value(one) for one in span.attributes],
        events=[SpanMessage.Event(time_unix_nano=int(event.time_unix_nano), name=event.name) for event in span.events],
        status=Status(code=Status.StatusCode.ValueType(span.status.code)),
    )


def _key_value(pair: KeyValue) -> KeyValueMessage:
    return KeyValueMessage(key=pair.key, value=_any_value(pair.value))


def _any_value(value: AnyValue) -> AnyValueMessage:
    if value.string_value is not None:
        return AnyValueMessage(string_value=value.string_value)
    if value.bool_value is not None:
        return AnyValueMessage(bool_value=value.bool_value)
    if value.int_value is not None:
        return AnyValueMessage(int_value=int(value.int_value))
    if value.double_value is not None:
        return AnyValueMessage(double_value=value.double_value)
    values = value.array_value.values if value.array_value is not None else []
    return AnyValueMessage(array_value=ArrayValueMessage(values=[_any_value(one) for one in values]))

"""Spans as the bytes of an ``ExportTraceServiceRequest``, by OpenTelemetry's own messages, and what an answer says.

Needs ``tokenweir[otel]``.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue as AnyValueMessage, KeyValue as KeyValueMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage, Status

from .... import __version__
from .span import AnyValue, KeyValue, ScopeSpans, Span, key_values

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

__all__ = ["PartialSuccess", "export_request", "read_response"]

_decode = msgspec.json.Decoder(ScopeSpans).decode


class PartialSuccess(msgspec.Struct, frozen=True):
    rejected_spans: int = 0
    message: str = ""


def export_request(bodies: Iterable[bytes], resource: Mapping[str, str]) -> bytes:
    """The spans of all bodies, each of them a `ScopeSpans` in JSON, as one request."""
    request = ExportTraceServiceRequest()
    described = request.resource_spans.add()
    _fill_attributes(described.resource.attributes, key_values(resource))
    scope = described.scope_spans.add()
    scope.scope.name, scope.scope.version = "tokenweir", __version__
    for body in bodies:
        for span in _decode(body).spans:
            _fill_span(scope.spans.add(), span)
    return request.SerializeToString()


def read_response(body: bytes) -> PartialSuccess:
    """What was not taken; nothing of that where the body says nothing that can be read."""
    try:
        said = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return PartialSuccess()
    return PartialSuccess(said.rejected_spans, said.error_message)


# Messages are filled where they stand, which takes a third of the time of making and copying them.


def _fill_span(message: SpanMessage, span: Span) -> None:
    message.trace_id = bytes.fromhex(span.trace_id)
    message.span_id = bytes.fromhex(span.span_id)
    message.parent_span_id = bytes.fromhex(span.parent_span_id)
    message.flags = span.flags
    message.name = span.name
    message.kind = SpanMessage.SpanKind.ValueType(span.kind)
    message.start_time_unix_nano = int(span.start_time_unix_nano)
    message.end_time_unix_nano = int(span.end_time_unix_nano)
    _fill_attributes(message.attributes, span.attributes)
    for event in span.events:
        message.events.add(time_unix_nano=int(event.time_unix_nano), name=event.name)
    message.status.code = Status.StatusCode.ValueType(span.status.code)


def _fill_attributes(messages: "RepeatedCompositeFieldContainer[KeyValueMessage]", attributes: list[KeyValue]) -> None:
    for attribute in attributes:
        _fill_value(messages.add(key=attribute.key).value, attribute.value)


def _fill_value(message: AnyValueMessage, value: AnyValue) -> None:
    if value.string_value is not None:
        message.string_value = value.string_value
    elif value.bool_value is not None:
        message.bool_value = value.bool_value
    elif value.int_value is not None:
        message.int_value = int(value.int_value)
    elif value.double_value is not None:
        message.double_value = value.double_value
    elif value.array_value is not None:
        for one in value.array_value.values:
            _fill_value(message.array_value.values.add(), one)

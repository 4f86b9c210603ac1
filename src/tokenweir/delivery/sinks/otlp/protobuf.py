"""Spans as the bytes of an ``ExportTraceServiceRequest``, by OpenTelemetry's own messages, and what an answer says.

Needs ``tokenweir[otel]``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue as AnyValueMessage, KeyValue as KeyValueMessage
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span as SpanMessage, Status

from .... import __version__
from .span import AnyValue, KeyValue, Span, key_values

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

__all__ = ["PartialSuccess", "encode_spans", "export_request", "read_response"]


class PartialSuccess(msgspec.Struct, frozen=True):
    rejected_spans: int = 0
    message: str = ""


def encode_spans(spans: Sequence[Span]) -> bytes:
    """The spans as fields of a ``ScopeSpans`` message; those of several calls, joined, are one message's."""
    message = ScopeSpans()
    for span in spans:
        _fill_span(message.spans.add(), span)
    return message.SerializeToString()


def export_request(encoded: Iterable[bytes], resource: Mapping[str, str]) -> bytes:
    """All that `encode_spans` has made, as one request."""
    scope = ScopeSpans()
    scope.scope.name, scope.scope.version = "tokenweir", __version__
    described = Resource()
    _fill_attributes(described.attributes, key_values(resource))
    scope_spans = _field(2, b"".join((scope.SerializeToString(), *encoded)))
    return _field(1, _field(1, described.SerializeToString()) + scope_spans)


def _field(number: int, message: bytes) -> bytes:
    """A message as a field of another: tag, length as a varint, bytes."""
    size, length = len(message), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2, *length, size)) + message


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

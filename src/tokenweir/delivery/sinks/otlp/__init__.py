"""Kind ``otlp``: calls as OpenTelemetry spans, one as its caller sees it, and one beneath it for each request to an
upstream; to a collector, or whatever else takes spans by OTLP/HTTP (protobuf, gzip)."""

from .sink import OtlpConnection

__all__ = ["OtlpConnection"]

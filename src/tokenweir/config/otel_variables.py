"""OpenTelemetry's own variables: where they name an endpoint for spans and nobody configured one, calls go there."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..delivery.sinks import OtlpConnection
from .model import Config

__all__ = ["endpoint_variable", "otel_note", "sink_from_otel_variables"]

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

_TRACES_PATH = "/v1/traces"
_GRPC = "; port 4317 is usually gRPC's, which is not spoken: that of HTTP is usually 4318"


def endpoint_variable(environ: Mapping[str, str]) -> str | None:
    """The variable that says where spans go; ``None`` where none does, or where others say that none are wanted."""
    exporters = [one.strip() for one in environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")]
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or "otlp" not in exporters:
        return None
    return next((name for name in (_TRACES_ENDPOINT, _ENDPOINT) if environ.get(name, "").strip()), None)


def sink_from_otel_variables(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The one ``[[sinks]]`` table they describe, raw; ``None`` where there is no endpoint that we can speak to."""
    variable = endpoint_variable(environ)
    if variable is None or _protocol(environ) != "http/protobuf":
        return None
    if variable == _TRACES_ENDPOINT:
        connection = {"url_env": variable}
    else:
        connection = {"url": environ[variable].strip().rstrip("/") + _TRACES_PATH}
    if (headers := _variable(environ, "HEADERS")) is not None:
        connection["headers_env"] = headers
    if (certificate := _variable(environ, "CERTIFICATE")) is not None:
        connection["ca_bundle"] = os.path.abspath(environ[certificate].strip())  # not where a file's paths start
    sink: dict[str, Any] = {"name": "otlp", "kind": "otlp", "connection": connection}
    if environ.get("OTEL_TRACES_SAMPLER", "").strip() == "always_on":
        sink["sampler"] = "always_on"
    return sink


def otel_note(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What becomes of the variables, where they name an endpoint."""
    variable = endpoint_variable(environ)
    if variable is None:
        return
    sinks = [sink.connection for sink in config.sinks if isinstance(sink.connection, OtlpConnection)]
    ours = sink_from_otel_variables(environ)
    if ours is None and not sinks:
        yield (
            f"{variable} is set and no spans are sent: by OTEL_EXPORTER_OTLP_PROTOCOL they would go by "
            f"{_protocol(environ)}, and only http/protobuf is spoken; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL to that, "
            "and the endpoint to a port that takes it, usually 4318"
        )
    elif ours is None or not any(sink.url == ours["connection"].get("url") for sink in sinks):
        yield f"{variable} is set and not used: a sink of kind otlp is configured"
    else:
        yield (
            f"{variable}: each call is sent there as OpenTelemetry spans, without prompts and answers"
            f"{_GRPC if ':4317' in environ[variable] else ''}"
        )


def _protocol(environ: Mapping[str, str]) -> str:
    variable = _variable(environ, "PROTOCOL")
    return "http/protobuf" if variable is None else environ[variable].strip()


def _variable(environ: Mapping[str, str], what: str) -> str | None:
    """Which variable says it, the one for traces first."""
    names = (f"OTEL_EXPORTER_OTLP_TRACES_{what}", f"OTEL_EXPORTER_OTLP_{what}")
    return next((name for name in names if environ.get(name, "").strip()), None)

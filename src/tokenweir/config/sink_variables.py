"""Sinks that the variables of others describe: OpenTelemetry's, the SSE proxy function's, Application Insights'."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ..delivery.sinks import ApplicationInsightsConnection, OtlpConnection, SinkSettings
from ..delivery.sinks.application_insights import CONNECTION_STRING_VARIABLE
from ..errors import quoted
from .model import Config

__all__ = [
    "HUB_VARIABLE",
    "endpoint_variable",
    "event_hub_note",
    "otel_note",
    "proxy_variable_problems",
    "sink_from_insights_variables",
    "sink_from_otel_variables",
    "sink_from_proxy_variables",
    "sinks_with_servers",
]

HUB_VARIABLE = "AZURE_EVENTHUB_CONN_STR"
_HUB_NAME = "AZURE_EVENTHUB_NAME"
# These the function does not know. The first choice is what it does.
_EVENTS = "AZURE_EVENTHUB_EVENTS"
_TOO_LARGE = "AZURE_EVENTHUB_TOO_LARGE"
_LARGE_EVENTS = "AZURE_EVENTHUB_LARGE_EVENTS"
_CHOICES = {_EVENTS: ("chat", "all"), _TOO_LARGE: ("shed", "split", "pointer")}

_SIGN_IN_VARIABLE = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

# What one listens at and nobody calls.
_ANY_ADDRESS = ("", "0.0.0.0", "::")

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


def sinks_with_servers(config: Config) -> list[SinkSettings]:
    """The sinks. Those of spans know where the gateway and its upstreams are, also where nobody has said so."""
    scheme = "https" if config.server.certificate is not None else "http"
    host = config.server.data.rpartition(":")[0].strip("[]")
    is_known = host not in _ANY_ADDRESS and not config.server.data.endswith(":0")
    gateway = None if not is_known else f"{scheme}://{config.server.data}"
    upstreams = {upstream.name: upstream.endpoint for upstream in config.upstreams}

    def told(sink: SinkSettings) -> SinkSettings:
        if not isinstance(sink.connection, OtlpConnection):
            return sink
        known = msgspec.structs.replace(
            sink.connection,
            gateway=sink.connection.gateway or gateway,
            servers=upstreams | sink.connection.servers,
        )
        return msgspec.structs.replace(sink, connection=known)

    return [told(sink) for sink in config.sinks]


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


def sink_from_proxy_variables(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The one ``[[sinks]]`` table they describe, raw; ``None`` where there is no hub among them.

    ``AZURE_EVENTHUB_EVENTS=all`` sends every call, and not only the chats that the function logged;
    ``AZURE_EVENTHUB_TOO_LARGE`` is the sink's ``on_too_large``, and ``AZURE_EVENTHUB_LARGE_EVENTS`` its
    ``large_events``. Its events are the function's, so they carry prompts
    and answers: the journal has to keep them.
    """
    if not environ.get(HUB_VARIABLE):
        return None
    connection = {"connection_string_env": HUB_VARIABLE}
    if environ.get(_HUB_NAME):
        connection["hub"] = environ[_HUB_NAME]
    sink: dict[str, Any] = {"name": "event-hub", "kind": "event_hubs", "shape": "sse-proxy", "connection": connection}
    if _chosen(environ, _EVENTS) == "all":
        sink |= {"apis": ["*"], "outcomes": ["*"]}
    if (choice := _chosen(environ, _TOO_LARGE)) != "shed":
        sink["on_too_large"] = choice
    if place := environ.get(_LARGE_EVENTS, "").strip():
        sink["large_events"] = place
    return sink


def proxy_variable_problems(environ: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with those variables that are not the function's own."""
    for variable, choices in _CHOICES.items():
        if (given := _chosen(environ, variable)) not in choices:
            yield f"{variable}: is {quoted(given)}; it can be {' or '.join(choices)}"


def _chosen(environ: Mapping[str, str], variable: str) -> str:
    return environ.get(variable, "").strip().lower() or _CHOICES[variable][0]


def event_hub_note(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What becomes of the Event Hubs variables, where they are set."""
    if not environ.get(HUB_VARIABLE):
        return
    if not any(getattr(sink.connection, "connection_string_env", None) == HUB_VARIABLE for sink in config.sinks):
        yield f"{HUB_VARIABLE} is set and no [[sinks]] uses it, so nothing is sent to that hub"
    elif config.journal.content == "full":
        yield (
            f"{HUB_VARIABLE}: calls are sent to the hub with their prompts and their answers, which stand wherever "
            "records are kept; TOKENWEIR_JOURNAL__CONTENT=none leaves them out everywhere"
        )


def sink_from_insights_variables(environ: Mapping[str, str]) -> SinkSettings | None:
    """The one sink they describe; ``None`` where there is no connection string among them. Only for hosts whose one
    purpose is to meter: wherever Azure runs a gateway they may be set for other telemetry, and each event costs money.

    ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING`` is ``Authorization=AAD``, perhaps with ``;ClientId=…``, where the
    resource takes telemetry only from who signs in.
    """
    if not environ.get(CONNECTION_STRING_VARIABLE, "").strip():
        return None
    pairs = (part.partition("=") for part in environ.get(_SIGN_IN_VARIABLE, "").split(";"))
    sign_in = {name.strip().lower(): value.strip() for name, _, value in pairs}
    signs_in = sign_in.get("authorization", "").upper() == "AAD"
    connection = ApplicationInsightsConnection(
        connection_string_env=CONNECTION_STRING_VARIABLE,
        managed_identity=signs_in,
        client_id=sign_in.get("clientid") or None if signs_in else None,
    )
    return SinkSettings("application-insights", "application_insights", connection)

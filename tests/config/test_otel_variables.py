"""OpenTelemetry's own variables make a sink for spans, where nobody configured one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokenweir.config import Loaded, load
from tokenweir.config.dump import write
from tokenweir.config.sink_variables import sinks_with_servers
from tokenweir.delivery.sinks import OtlpConnection, SinkSettings

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
OWN_SINK = '[[sinks]]\nname = "mine"\nkind = "otlp"\nconnection = { url = "https://c/v1/traces" }\n'
FILE_SINK = '[[sinks]]\nname = "here"\nkind = "file"\nconnection = { path = "calls.jsonl" }\n'


def loaded(text: str, environ: dict[str, str]) -> Loaded:
    Path("tokenweir.toml").write_text(text)
    return load(None, environ)


def sinks(text: str, environ: dict[str, str]) -> list[SinkSettings]:
    return loaded(text, environ).config.sinks


def notes(text: str, environ: dict[str, str]) -> list[str]:
    return [note for note in loaded(text, environ).notes if note.startswith("OTEL_")]


@pytest.mark.parametrize("endpoint", ["http://collector:4318", "http://collector:4318/"])
def test_an_endpoint_is_a_sink_at_its_usual_path_and_a_note_says_so(minimal: str, endpoint: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    [sink] = sinks(minimal, environ)
    [note] = notes(minimal, environ)

    assert (sink.name, sink.kind, sink.content, sink.sampler) == ("otlp", "otlp", False, "parentbased_always_on")
    assert isinstance(sink.connection, OtlpConnection)
    assert sink.connection.url == "http://collector:4318/v1/traces"
    assert loaded(minimal, environ).origins.of(("sinks",)) == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert note == (
        "OTEL_EXPORTER_OTLP_ENDPOINT: each call is sent there as OpenTelemetry spans, without prompts and answers"
    )


def test_an_endpoint_for_spans_goes_before_and_is_taken_as_it_is(minimal: str) -> None:
    environ = ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/otlp?key=otel-secret"}
    [sink] = sinks(minimal, environ)
    shown = [line.text for line in write(loaded(minimal, environ), defaults=True)]

    assert isinstance(sink.connection, OtlpConnection)
    assert (sink.connection.url, sink.connection.url_env) == (None, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    assert [note.partition(":")[0] for note in notes(minimal, environ)] == ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    assert "otel-secret" not in "\n".join([*shown, *notes(minimal, environ)])


def test_headers_certificate_and_sampler_are_the_variables_too(minimal: str) -> None:
    Path("ca.pem").touch()
    environ = ENDPOINT | {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=otel-secret",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem",
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    [sink] = sinks(minimal, environ)
    [own] = sinks(minimal, environ | {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=b"})

    assert isinstance(sink.connection, OtlpConnection) and isinstance(own.connection, OtlpConnection)
    assert sink.connection.headers_env == "OTEL_EXPORTER_OTLP_HEADERS"
    assert sink.connection.ca_bundle == str(Path("ca.pem").absolute())
    assert sink.sampler == "always_on"
    assert own.connection.headers_env == "OTEL_EXPORTER_OTLP_TRACES_HEADERS"


def test_it_stands_beside_sinks_of_other_kinds(minimal: str) -> None:
    assert [sink.name for sink in sinks(minimal + FILE_SINK, ENDPOINT)] == ["here", "otlp"]


def test_it_stands_beside_the_proxy_functions_hub() -> None:
    environ = ENDPOINT | {
        "AZURE_OPENAI_BASE_URL": "https://a.openai.azure.com",
        "AZURE_OPENAI_KEY": "k",
        "AZURE_EVENTHUB_CONN_STR": "Endpoint=sb://x;SharedAccessKey=k;EntityPath=calls",
    }
    assert [sink.name for sink in load(None, environ).config.sinks] == ["event-hub", "otlp"]


def test_a_sink_for_spans_in_the_file_is_the_only_one_and_a_note_says_so(minimal: str) -> None:
    assert [sink.name for sink in sinks(minimal + OWN_SINK, ENDPOINT)] == ["mine"]
    assert notes(minimal + OWN_SINK, ENDPOINT) == [
        "OTEL_EXPORTER_OTLP_ENDPOINT is set and not used: a sink of kind otlp is configured"
    ]


@pytest.mark.parametrize("protocol", ["grpc", "http/json"])
@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_another_protocol_is_refused_in_words(minimal: str, variable: str, protocol: str) -> None:
    environ = ENDPOINT | {variable: protocol}
    [note] = notes(minimal, environ)

    assert sinks(minimal, environ) == []
    assert note.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set and no spans are sent")
    assert f"they would go by {protocol}, and only http/protobuf is spoken" in note


def test_the_protocol_for_spans_goes_before_the_one_for_everything(minimal: str) -> None:
    protocols = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    assert len(sinks(minimal, ENDPOINT | protocols)) == 1


def test_the_usual_port_of_grpc_is_doubted(minimal: str) -> None:
    [note] = notes(minimal, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"})
    assert "port 4317 is usually gRPC's, which is not spoken" in note


@pytest.mark.parametrize(
    "more",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console, zipkin"},
    ],
)
def test_where_no_spans_are_wanted_there_is_neither_sink_nor_note(minimal: str, more: dict[str, Any]) -> None:
    assert sinks(minimal, ENDPOINT | more) == []
    assert notes(minimal, ENDPOINT | more) == []


def test_a_key_in_the_endpoint_is_refused_and_not_repeated(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal)
    with pytest.raises(Exception, match="has a query or a user name, which may be a key") as raised:
        load(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://u:otel-secret@collector"})
    assert "otel-secret" not in str(raised.value)


def test_spans_say_where_the_gateway_and_its_upstreams_are_unless_somebody_has_said_so() -> None:
    upstream = {"AZURE_OPENAI_ENDPOINT": "https://sweden.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"}
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "TOKENWEIR_SERVER__DATA": "127.0.0.1:8080"}
    config = load(None, upstream | variables, extras=False).config
    [told] = sinks_with_servers(config)
    assert isinstance(told.connection, OtlpConnection)
    assert told.connection.gateway == "http://127.0.0.1:8080"
    assert list(told.connection.servers.values()) == ["https://sweden.openai.azure.com"]
    anywhere = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, data="0.0.0.0:8080"))
    [told] = sinks_with_servers(anywhere)
    assert isinstance(told.connection, OtlpConnection) and told.connection.gateway is None

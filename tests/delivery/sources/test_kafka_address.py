"""Where a topic is, and what is missing."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from tokenweir.delivery.sources import IntakeSettings, open_source
from tokenweir.delivery.sources.kafka import kafka_address
from tokenweir.errors import ConfigError

HUB = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=s3cret="


def settings(**given: Any) -> IntakeSettings:
    return IntakeSettings(kind="kafka", **given)


def test_a_broker_with_tls_and_a_password() -> None:
    given = settings(servers="b1:9093,b2:9093", topic="calls", username="ada", password_env="KAFKA_PASSWORD")
    address = kafka_address(given, {"KAFKA_PASSWORD": "hunter2"})
    assert address.topic == "calls"
    context = address.options.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext) and context.verify_mode is ssl.CERT_REQUIRED
    assert address.options == {
        "bootstrap_servers": "b1:9093,b2:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "ada",
        "sasl_plain_password": "hunter2",
    }
    assert "hunter2" not in f"{address!r} {address}"


def test_a_broker_in_the_clear() -> None:
    address = kafka_address(settings(servers="b:9092", topic="calls", tls=False), {})
    assert address.options == {"bootstrap_servers": "b:9092", "security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize(
    ("connection_string", "hub", "topic", "server"),
    [
        (f"{HUB};EntityPath=llm", None, "llm", "ns.servicebus.windows.net:9093"),
        (HUB, "llm", "llm", "ns.servicebus.windows.net:9093"),
    ],
)
def test_a_hub_is_a_topic(connection_string: str, hub: str | None, topic: str, server: str) -> None:
    address = kafka_address(settings(connection_string_env="HUB", hub=hub), {"HUB": connection_string})
    assert address.topic == topic
    assert address.options["bootstrap_servers"] == server
    assert address.options["sasl_plain_username"] == "$ConnectionString"
    assert address.options["sasl_plain_password"] == connection_string
    assert address.options["security_protocol"] == "SASL_SSL"


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        ({}, {}, "`servers` and `topic` are needed"),
        ({"servers": "b:9092"}, {}, "`servers` and `topic` are needed"),
        ({"servers": "b:9092", "topic": "t", "username": "u"}, {}, "`password_env` is missing"),
        (
            {"servers": "b:9092", "topic": "t", "username": "u", "password_env": "PW"},
            {},
            "`password_env` names the environment variable PW, which is not set",
        ),
        ({"connection_string_env": "HUB"}, {"HUB": ""}, "HUB, which is not set"),
        ({"connection_string_env": "HUB"}, {"HUB": HUB}, "no hub of ns.servicebus.windows.net is named"),
        ({"connection_string_env": "HUB"}, {"HUB": "s3cret"}, "has no Endpoint"),
        (
            {"servers": "b:9092", "topic": "t", "ca_bundle": "/nowhere.pem"},
            {},
            "`ca_bundle` /nowhere.pem cannot be used",
        ),
    ],
)
def test_what_is_missing_is_named(given: dict[str, str], environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        kafka_address(settings(**given), environ)
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"^\[intake\] "):
        open_source(settings(**given), environ, lambda _: None)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"ca\.pem cannot be used"):
        kafka_address(settings(servers="b:9092", topic="t", ca_bundle=str(tmp_path / "ca.pem")), {})

"""A Kafka topic as a source: a broker's address, or an Event Hubs connection string, and how to sign in there.

Texts of errors are what is wrong with the ``[intake]`` table; whoever shows them says so in front.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ....errors import ConfigError, quoted
from ...base import MessageSource
from ...event_hub import HubAddress
from ..settings import IntakeSettings, secret

__all__ = ["KafkaAddress", "check", "kafka_address", "open_source"]

_EVENT_HUBS_PORT = 9093
_GROUP = "tokenweir"


class KafkaAddress(msgspec.Struct, frozen=True):
    """A topic, and the client's options, which may hold a password."""

    topic: str
    options: dict[str, Any]

    def __repr__(self) -> str:
        return f"<KafkaAddress {self}>"

    def __str__(self) -> str:
        return f"{quoted(self.topic)} on {self.options['bootstrap_servers']}"


def check(settings: IntakeSettings, environ: Mapping[str, str]) -> None:
    """`ConfigError` if the settings do not say where messages come from."""
    kafka_address(settings, environ)


def open_source(
    settings: IntakeSettings, environ: Mapping[str, str], position: Callable[[str], str | None]
) -> MessageSource:
    """The source, not connected yet."""
    from .source import KafkaSource

    return KafkaSource(kafka_address(settings, environ), settings.group or _GROUP, settings.session_timeout)


def kafka_address(settings: IntakeSettings, environ: Mapping[str, str]) -> KafkaAddress:
    """`ConfigError` if the settings do not make an address."""
    if settings.connection_string_env is not None:
        return _event_hub(settings, secret(settings.connection_string_env, "connection_string_env", environ))
    if not settings.servers or not settings.topic:
        raise ConfigError(
            "`servers` and `topic` are needed, or `connection_string_env`, to say where messages come from"
        )
    options: dict[str, Any] = {"bootstrap_servers": settings.servers}
    if settings.username is None:
        return KafkaAddress(settings.topic, options | _security(settings, "PLAINTEXT", "SSL"))
    password = secret(settings.password_env, "password_env", environ)
    return KafkaAddress(settings.topic, options | _signed_in(settings, settings.username, password))


def _event_hub(settings: IntakeSettings, connection_string: str) -> KafkaAddress:
    address = HubAddress(connection_string=connection_string, hub=settings.hub or settings.topic)
    address.check()
    namespace, hub = address.place()
    server = {"bootstrap_servers": f"{namespace}:{_EVENT_HUBS_PORT}"}
    return KafkaAddress(hub, server | _signed_in(settings, "$ConnectionString", connection_string))


def _signed_in(settings: IntakeSettings, username: str, password: str) -> dict[str, Any]:
    who = {"sasl_mechanism": "PLAIN", "sasl_plain_username": username, "sasl_plain_password": password}
    return who | _security(settings, "SASL_PLAINTEXT", "SASL_SSL")


def _security(settings: IntakeSettings, in_the_clear: str, with_tls: str) -> dict[str, Any]:
    if not settings.tls:
        return {"security_protocol": in_the_clear}
    try:
        context = ssl.create_default_context(cafile=settings.ca_bundle)
    except OSError as error:
        raise ConfigError(f"`ca_bundle` {settings.ca_bundle} cannot be used: {error.strerror or error}") from error
    return {"security_protocol": with_tls, "ssl_context": context}

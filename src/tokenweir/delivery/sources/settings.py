"""What `tokenweir consume` is told: where messages come from, and where those go that cannot be read.

Secrets are never in the file: a setting names the environment variable that holds one.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ...errors import ConfigError
from ...records import Duration, PathText

__all__ = ["IntakeSettings", "secret"]


class IntakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[intake]`` table."""

    kind: Literal["event_hubs", "kafka"] = "event_hubs"
    """Which wire the messages come by; Event Hubs also speaks `kafka`."""
    format: Literal["tokenweir", "apim"] = "tokenweir"
    """What is in the messages: whole records, as the sinks' shape `tokenweir` has them, or what API Management logs of
    each call, which is metered here."""
    subscription_keys: Literal["hashed", "as-is"] = "hashed"
    """`apim`: what a record's key id is. `as-is` is the key that the chargeback solution's policy logs, for queries
    that must find the same `AppKey` as before; whoever may read the ledger can then use these keys."""
    gateway_logs: bool = True
    """`apim`: whether diagnostic settings that send the log GatewayLlmLogs also send GatewayLogs, which alone says
    whose subscription a call was: a record waits for that entry."""
    admin: str | None = None
    """Where this consumer answers ``/healthz``, ``/readyz`` and ``/metrics``, like ``127.0.0.1:8082``; beyond this
    machine only with ``server.admin_token``. Default: nowhere."""
    group: str | None = None
    """The consumer group, which shares the partitions; default: ``$Default`` of a hub, ``tokenweir`` of a topic."""
    dead_letters: PathText = "tokenweir-data/dead-letters/intake.jsonl"
    """Where messages are kept that cannot be read, one JSON line each: a file, or a container of blob storage,
    ``https://my-account.blob.core.windows.net/dead-letters``, where this machine's identity signs in. They may hold
    prompts."""

    connection_string_env: str | None = None
    """The environment variable that holds an Event Hubs connection string, for either kind."""
    hub: str | None = None
    """The hub's name, where the connection string has no ``EntityPath``."""
    ca_bundle: PathText | None = None
    """A PEM file to trust instead of the system's."""

    namespace: str | None = None
    """`event_hubs`: ``my-namespace.servicebus.windows.net``, with ``managed_identity``."""
    managed_identity: bool = False
    """`event_hubs`: sign in with this machine's Entra identity; it needs the role Azure Event Hubs Data Receiver."""
    client_id: str | None = None
    """`event_hubs`: which of several managed identities."""
    websockets: bool = False
    """`event_hubs`: speak AMQP inside WebSockets, where a firewall lets out nothing but port 443; through the proxy of
    ``HTTPS_PROXY`` if that is set."""
    checkpoints_container: str | None = None
    """`event_hubs`: the container of blob storage by which several consumers share a group. Without it the ledger
    keeps the positions, for one consumer that reads all partitions."""
    checkpoints_account: str | None = None
    """`event_hubs`: ``https://my-account.blob.core.windows.net``, where this machine's identity signs in."""
    checkpoints_connection_string_env: str | None = None
    """`event_hubs`: or the environment variable that holds the storage account's connection string."""

    servers: str | None = None
    """`kafka`: ``broker-1:9092,broker-2:9092``."""
    topic: str | None = None
    """`kafka`: the topic."""
    username: str | None = None
    """`kafka`: for SASL PLAIN, with ``password_env``."""
    password_env: str | None = None
    """`kafka`: the environment variable that holds the password."""
    tls: bool = True
    """`kafka`: whether to speak TLS (``SSL`` or ``SASL_SSL`` in Kafka's words), or plaintext."""
    session_timeout: Duration = Duration(10)
    """`kafka`: how long a consumer may be silent before the group gives its partitions to the others."""


def secret(variable: str | None, setting: str, environ: Mapping[str, str]) -> str:
    """What a variable holds that a setting names. `ConfigError`, which repeats nothing of it, if there is none."""
    if variable is None:
        raise ConfigError(f"`{setting}` is missing; it names the environment variable that holds the secret")
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigError(f"`{setting}` names the environment variable {variable}, which is not set")
    return value

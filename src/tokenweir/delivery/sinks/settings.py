"""What a sink is told: where to send, in which shape, and what to do with an event that is too large.

Secrets are never in the file: a setting names the environment variable that holds one.
"""

from typing import Annotated, Literal

import msgspec

from ...records import Duration, PathMark, PathText, Size

__all__ = [
    "DEAD_LETTERS",
    "ConnectionSettings",
    "PartitionBy",
    "Sampler",
    "ShapeName",
    "SinkKind",
    "SinkSettings",
    "TooLarge",
]

SinkKind = Literal["event_hubs", "kafka", "webhook", "file", "otlp", "application_insights"]
ShapeName = Literal["tokenweir", "sse-proxy", "apim"]
PartitionBy = Literal["caller", "deployment", "call_id", "none"]
TooLarge = Literal["split", "shed"]
Sampler = Literal["parentbased_always_on", "always_on"]


DEAD_LETTERS = "tokenweir-data/dead-letters/{name}.jsonl"
"""Where a sink's dead letters are if nothing is said."""


class ConnectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a sink sends to. Each kind has settings of its own; those of another kind are refused."""

    connection_string_env: str | None = None
    """`event_hubs` and `kafka`: the environment variable that holds an Event Hubs connection string.
    `application_insights`: that which holds the resource's; default: ``APPLICATIONINSIGHTS_CONNECTION_STRING``."""
    namespace: str | None = None
    """`event_hubs`: ``my-namespace.servicebus.windows.net``, with ``managed_identity``."""
    managed_identity: bool = False
    """`event_hubs` and `application_insights`: sign in with this machine's Entra identity; it needs the role Azure
    Event Hubs Data Sender, or Monitoring Metrics Publisher."""
    client_id: str | None = None
    """`event_hubs` and `application_insights`: which of several managed identities."""
    hub: str | None = None
    """`event_hubs`: the hub's name, where the connection string has no ``EntityPath``."""
    endpoint: str | None = None
    """`event_hubs`: ``sb://address:port`` to connect to instead of the namespace's own, where something stands in front
    of it; the certificate is then that address's."""
    websockets: bool = False
    """`event_hubs`: speak AMQP inside WebSockets, where a firewall lets out nothing but port 443; through the proxy of
    ``HTTPS_PROXY`` if that is set."""

    servers: str | None = None
    """`kafka`: ``broker-1:9092,broker-2:9092``."""
    topic: str | None = None
    """`kafka`: the topic; with a connection string the hub is one, too."""
    username: str | None = None
    """`kafka`: for SASL PLAIN, with ``password_env``."""
    password_env: str | None = None
    """`kafka`: the environment variable that holds the password."""
    tls: bool = True
    """`kafka`: whether to speak TLS."""

    url: str | None = None
    """`webhook` and `otlp`: where to POST to; spans usually to ``http://collector:4318/v1/traces``. A URL with a key in
    it belongs into ``url_env``."""
    url_env: str | None = None
    """`webhook` and `otlp`: the environment variable that holds the URL."""
    headers_env: str | None = None
    """`otlp`: the environment variable that holds headers to send, ``name=value,other=value``, percent-encoded."""
    token_env: str | None = None
    """`webhook`: the environment variable that holds a token, sent as ``Authorization: Bearer``."""
    secret_env: str | None = None
    """`webhook`: the environment variable that holds the secret to sign with (``whsec_…``, Standard Webhooks)."""
    timeout: Duration = Duration(30)
    """All but `file`: how long the other side may take to confirm."""
    ca_bundle: PathText | None = None
    """All but `file`: a PEM file to trust instead of the system's."""
    max_event_size: Size = Size(1_000_000)
    """`webhook`, `otlp` and `kafka`: the largest event that the other side takes, and the largest request or batch."""

    path: PathText | None = None
    """`file`: the JSON Lines file."""
    rotate_at: Size = Size(256 * 1024 * 1024)
    """`file`: how large it grows before it is put aside as ``PATH.1`` and a new one is begun."""
    keep: int = 4
    """`file`: how many files are kept that were put aside."""


class SinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[sinks]]`` table."""

    name: str
    """What metrics, logs and the cursor in the journal call it: letters, digits, ``-``, ``_`` and ``.``."""
    kind: SinkKind
    """Which wire it speaks."""
    connection: ConnectionSettings = ConnectionSettings()
    """Where it sends to; see below."""
    shape: ShapeName = "tokenweir"
    """What an event looks like: the whole record, the SSE proxy function's events, or API Management's."""
    cloud_events: bool = False
    """Put each event into a CloudEvents 1.0 envelope (structured mode)."""
    partition_by: PartitionBy = "caller"
    """Whose events stay together and in order, where the other side has partitions."""
    on_too_large: TooLarge = "split"
    """An event that the other side does not take: send it in parts, or without its bodies."""
    content: bool = False
    """`otlp`: put prompts and answers into the spans, where ``journal.content`` keeps them."""
    sampler: Sampler = "parentbased_always_on"
    """`otlp`: leave out calls whose ``traceparent`` says that nobody records its trace, or send all of them."""
    dead_letters: Annotated[str, PathMark(otherwise=DEAD_LETTERS)] | None = None
    """Where events are kept that can never be sent; default: ``tokenweir-data/dead-letters/NAME.jsonl``."""

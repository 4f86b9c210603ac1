"""What the data port is told: where to listen, how much to accept, how long to wait."""

from typing import Literal

import msgspec

from ..records import Duration, PathText, Size

__all__ = ["ClientGonePolicy", "ServerSettings"]

ClientGonePolicy = Literal["cancel", "drain"]
"""When a client leaves in the middle of an answer: close the upstream at once, or read on for its usage."""


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[server]`` table."""

    data: str = "127.0.0.1:8080"
    """Where callers come in. Beyond loopback somebody must have a key."""
    admin: str = "127.0.0.1:8081"
    """Where the API, the metrics and the health checks are."""
    admin_token: str | None = None
    """Asked for as ``Authorization: Bearer`` on the admin port; required when it is not on loopback."""
    relays: int = 1
    """Relay processes, among which Linux divides new connections evenly. Clients that fall to one which has ended
    unexpectedly wait the second or two until it is there again."""
    keys: PathText = "tokenweir-data/keys.json"
    """Where ``tokenweir keys`` keeps what it creates (hashes only)."""
    shared_keys: str | None = None
    """Where many gateways keep their keys together: ``postgresql://user@host/database``, ``redis://host``, or a blob
    (``https://ACCOUNT.blob.core.windows.net/CONTAINER/keys.json``). ``keys`` is then this gateway's copy, with which it
    goes on while that is away. Without a key, nobody is let in."""

    key_ids: Literal["hashed", "as-is"] = "hashed"
    """What a record's ``key_id`` is: an id that opens nothing, or the key as it was sent, for queries that must find
    the same ``AppKey`` as the chargeback solution's; whoever may read records can then use these keys."""
    on_key_revoked: Literal["finish", "end"] = "finish"
    """What becomes of answers and WebSockets under way whose key is revoked or suspended: they go on to their end, or
    are broken off within seconds (WebSockets with close code 1008)."""
    shared_lists: Literal["pass", "refuse"] = "pass"
    """Whether callers may list what all of them keep at an upstream: files, batches, fine-tuning jobs, vector stores,
    assistants, stored completions, videos. All of them use one credential there, so a list shows the ids of all."""
    host_names: list[str] = []
    """Names by which the data port may be asked where no caller has a key, besides ``localhost`` and ``data``'s own."""
    platform_identity: bool = False
    """Whether App Service or Container Apps authentication stands in front, and nobody comes past it: whom it names in
    ``X-MS-CLIENT-PRINCIPAL-NAME``, else ``-ID``, is then the call's ``subject``, and its caller where no caller has
    a key."""

    subject_from: list[str] = []
    """What a client says of whose call it is, for the record's ``subject`` where no platform and no token says it; the
    first of these that is there counts: ``safety_identifier``, ``user``, ``metadata.user_id`` (of the body; the
    last is how Claude's clients say it), ``header:X-User-Id``. It is believed for reports only."""
    subject_secret: str | None = None
    """A long random text: with it, those subjects are written down as ``sub_`` and a keyed hash (HMAC-SHA256), not as
    they came."""

    certificate: PathText | None = None
    """A PEM file with the data port's certificate and chain; TLS needs it and ``private_key``."""
    private_key: PathText | None = None
    """The PEM file with the certificate's key."""

    # A head holds a key, a token and tracing; nginx allows 4 × 8 KB, Envoy 60 KB, Azure's front end 32 KB.
    max_head: Size = Size(64 * 1024)
    """The largest request line and headers."""
    # Images travel as base64 inside JSON; Azure OpenAI refuses requests beyond 50 MB or so.
    max_body: Size = Size(64 * 1024 * 1024)
    """The largest request body that is held and read: JSON, and forms of metered calls (audio)."""
    # Eight of the largest at once, or thousands of the usual ones.
    max_buffered: Size = Size(512 * 1024 * 1024)
    """What all request bodies that one relay holds may take together; beyond, calls are answered 503."""
    # OpenAI takes files of 512 MB, Azure OpenAI's batches have 200 MB.
    max_upload: Size = Size(512 * 1024 * 1024)
    """The largest request body that is passed through as it comes (files, images)."""

    # A client that has begun a request must finish its head, and then keep its body coming.
    request_timeout: Duration = Duration(30)
    """How long a client may take for its head, and how long it may be silent inside its body."""
    min_body_rate: Size = Size(256)
    """How many bytes of a body must come in a second, on average, once ``request_timeout`` has passed."""
    keep_alive: Duration = Duration(75)
    """How long a client's idle connection is kept; 2 s while three quarters of ``max_clients`` are connected."""
    max_clients: int = 0
    """Connections to a relay at most; beyond them 503. 0: half of the descriptors that the system allows it."""
    max_clients_per_address: int = 0
    """Of them from one address (IPv6: one /64). 0: three quarters, as all may come through one proxy."""
    cors_origins: list[str] = []
    """Origins whose pages may call from a browser, as ``https://chat.example``, or ``*`` for all. None: CORS is the
    upstream's matter."""
    socket_idle_timeout: Duration = Duration(3600)
    """How long a WebSocket stays open on which neither side sends anything, not even a ping."""
    shutdown_grace: Duration = Duration(30)
    """How long open answers may take to finish when the gateway is told to stop."""

    on_client_gone: ClientGonePolicy = "cancel"
    """When a client leaves before the end: close the upstream, or read on for the usage."""
    drain_time: Duration = Duration(60)
    """How long ``drain`` reads on at most."""
    drain_size: Size = Size(8 * 1024 * 1024)
    """How much ``drain`` reads on at most."""

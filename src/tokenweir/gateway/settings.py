"""What the data port is told: where to listen, how much to accept, how long to wait."""

from typing import Literal

import msgspec

from ..records import Duration, Size

__all__ = ["ClientGonePolicy", "ServerSettings"]

ClientGonePolicy = Literal["cancel", "drain"]
"""When a client leaves in the middle of an answer: close the upstream at once, or read on for its usage."""


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[server]`` table."""

    data: str = "127.0.0.1:8080"
    admin: str = "127.0.0.1:8081"
    admin_token: str | None = None
    """Asked for as ``Authorization: Bearer`` on the admin port; required when it is not on loopback."""
    relays: int = 1
    keys: str = "tokenweir-data/keys.json"
    """Where ``tokenweir keys`` keeps what it creates (hashes only)."""

    certificate: str | None = None
    private_key: str | None = None

    # A head holds a key, a token and tracing; nginx allows 4 × 8 KB, Envoy 60 KB, Azure's front end 32 KB.
    max_head: Size = Size(64 * 1024)
    # Images travel as base64 inside JSON; Azure OpenAI refuses requests beyond 50 MB or so.
    max_body: Size = Size(64 * 1024 * 1024)

    # A client that has begun a request must finish its head, and then keep its body coming.
    request_timeout: Duration = Duration(30)
    keep_alive: Duration = Duration(75)
    shutdown_grace: Duration = Duration(30)

    on_client_gone: ClientGonePolicy = "cancel"
    drain_time: Duration = Duration(60)
    drain_size: Size = Size(8 * 1024 * 1024)

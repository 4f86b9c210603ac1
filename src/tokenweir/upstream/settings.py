"""What is known about one upstream: where it is, how it speaks, how to sign in, how long to wait."""

from typing import Literal

import msgspec

from ..records import Duration

__all__ = ["CredentialSettings", "UpstreamSettings"]


class CredentialSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway signs in. Exactly one of ``key_env``, ``key``, ``managed_identity``, ``pass_through``."""

    key_env: str | None = None
    key: str | None = None
    managed_identity: bool = False
    client_id: str | None = None
    pass_through: bool = False


class UpstreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[upstreams]]`` table."""

    name: str
    endpoint: str
    credential: CredentialSettings
    kind: Literal["azure", "openai"] = "azure"
    """``azure``: ``/openai/deployments/…`` and ``/openai/v1/…``. ``openai``: only ``/v1/…``, the model in the body."""
    region: str | None = None
    """Used where the answer carries no ``x-ms-region``."""
    api_version: str | None = None
    """Sent where the caller gave none."""
    ca_bundle: str | None = None
    """A PEM file to trust instead of the system's."""
    proxy: str | None = None
    """``http://host:port`` for CONNECT; default: ``HTTPS_PROXY`` and ``NO_PROXY``. ``""`` means none."""
    max_connections: int = 16384
    connect_timeout: Duration = Duration(10)
    first_byte_timeout: Duration = Duration(300)
    """Reasoning models think for minutes before they say a word; the SDKs wait 600 s."""
    idle_timeout: Duration = Duration(120)
    """The longest silence inside an answer."""

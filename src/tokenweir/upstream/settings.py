"""What is known about one upstream: where it is, how it speaks, how to sign in, how long to wait."""

import msgspec

from ..providers import ProviderKind
from ..records import Duration, PathText

__all__ = ["CredentialSettings", "UpstreamSettings"]


class CredentialSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway signs in: exactly one of ``key_env``, ``key``, ``key_file``, ``key_vault``, ``managed_identity``,
    ``workload_identity``, ``client_secret_env``, ``pass_through`` and ``pass_token``. All but the first three and the
    last two need ``tokenweir[azure]``."""

    key_env: str | None = None
    """The environment variable that holds the key."""
    key: str | None = None
    """The key itself; ``key_env`` keeps it out of the file."""
    key_file: PathText | None = None
    """The file that holds the key, as orchestrators mount secrets; looked at again every half minute."""
    key_vault: str | None = None
    """The secret of Azure Key Vault that is the key: ``https://VAULT.vault.azure.net/secrets/NAME``, with ``/VERSION``
    if it is not to be the newest. Read with the machine's identity, every quarter of an hour."""
    managed_identity: bool = False
    """Sign in with this machine's Entra identity."""
    workload_identity: bool = False
    """Sign in with the identity of this Kubernetes workload (``AZURE_FEDERATED_TOKEN_FILE``)."""
    client_secret_env: str | None = None
    """The environment variable that holds the secret of an application in Entra ID; with ``tenant_id`` and
    ``client_id``."""
    client_id: str | None = None
    """Which of several managed identities, or which application."""
    tenant_id: str | None = None
    """The application's tenant. Workload identity: default ``AZURE_TENANT_ID``."""
    token_file: PathText | None = None
    """Where the workload's own token is; default ``AZURE_FEDERATED_TOKEN_FILE``."""
    authority: str | None = None
    """Where to sign in, if not at Microsoft's public cloud: ``https://login.microsoftonline.us``."""
    pass_through: bool = False
    """Send the caller's own key on, and its token, in the headers that they came in."""
    pass_token: bool = False
    """Send the caller's own access token on (``Authorization: Bearer``), and no key that it came in with."""


class UpstreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[upstreams]]`` table."""

    name: str
    """What targets, records and reports call it."""
    endpoint: str
    """``https://my-resource.openai.azure.com``, without ``/openai``."""
    credential: CredentialSettings
    """How to sign in; see below."""
    kind: ProviderKind = "azure"
    """Whose API it speaks: [providers](providers.md)."""
    region: str | None = None
    """Used where the answer carries no ``x-ms-region``."""
    api_version: str | None = None
    """Sent where the caller gave none."""
    ca_bundle: PathText | None = None
    """A PEM file to trust instead of the system's."""
    proxy: str | None = None
    """``http://user:password@host:port`` for CONNECT, user and password percent-encoded; default: ``HTTPS_PROXY`` or
    ``ALL_PROXY``, less ``NO_PROXY``. ``""`` means none."""
    max_connections: int = 16384
    """Open connections at most; a call beyond them is answered with an error."""
    reuse_connections: bool = True
    """``false``: a fresh connection for each call, for an upstream that may send an answer nobody asked for."""
    connect_timeout: Duration = Duration(10)
    """How long a new connection may take, TLS included."""
    first_byte_timeout: Duration = Duration(300)
    """Reasoning models think for minutes before they say a word; the SDKs wait 600 s."""
    idle_timeout: Duration = Duration(120)
    """The longest silence inside an answer."""

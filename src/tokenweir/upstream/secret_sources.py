"""Where a credential is fetched that the gateway does not hold: a file, a key vault, or Entra ID for an identity.

Each blocks, and raises whatever its client raises.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from ..providers import Provider
from ..records import Clock
from .settings import CredentialSettings

__all__ = ["Secret", "SecretSource", "secret_source"]

# A secret that is mounted as a file is exchanged in place; one in a vault has a price for each look.
_LOOK_AT_FILE_SECONDS = 30.0
_LOOK_AT_VAULT_SECONDS = 900.0
_VAULT_API = "7.4"


class Secret(msgspec.Struct, frozen=True):
    """What was fetched."""

    text: str
    is_token: bool
    ends_at: float
    """Seconds since 1970: when a token ends, or when a key is to be looked at again."""


class SecretSource:
    """``name`` is for a person."""

    def __init__(self, name: str, fetch: Callable[[], Secret]) -> None:
        self.name = name
        self.fetch = fetch

    def __repr__(self) -> str:
        return f"<SecretSource {self.name}>"


def secret_source(
    chosen: CredentialSettings, provider: Provider, environ: Mapping[str, str], clock: Clock
) -> SecretSource:
    """A fresh one. Raises ``ConfigError`` naming what is missing."""
    if chosen.key_file is not None:
        return _file_source(Path(chosen.key_file), clock)
    identity, name = _identity(chosen, environ)
    if chosen.key_vault is not None:
        return _vault_source(chosen.key_vault, identity, clock)

    def fetch() -> Secret:
        token = identity.get_token(provider.token_scope)
        return Secret(token.token, True, float(token.expires_on))

    return SecretSource(name, fetch)


def _file_source(path: Path, clock: Clock) -> SecretSource:
    def fetch() -> Secret:
        return Secret(path.read_text("utf-8"), False, clock.now().timestamp() + _LOOK_AT_FILE_SECONDS)

    return SecretSource(f"the file {path}", fetch)


def _identity(chosen: CredentialSettings, environ: Mapping[str, str]) -> tuple[Any, str]:
    """A credential of azure-identity, and what it is."""
    try:
        from azure.identity import ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential
    except ImportError as error:
        raise ConfigError(
            "managed_identity and its like need the azure extra; install it with: pip install 'tokenweir[azure]'"
        ) from error
    options: dict[str, Any] = {}
    if chosen.authority is not None:  # of another cloud, which Microsoft's own does not know
        options = {"authority": chosen.authority, "disable_instance_discovery": True}
    if chosen.client_secret_env is not None:
        secret = environ.get(chosen.client_secret_env, "").strip()
        if not secret:
            raise ConfigError(f"the environment variable {chosen.client_secret_env} is not set; set it to the secret")
        made = ClientSecretCredential(str(chosen.tenant_id), str(chosen.client_id), secret, **options)
        return made, f"the client secret of application {chosen.client_id}"
    named = {"tenant_id": chosen.tenant_id, "client_id": chosen.client_id, "token_file_path": chosen.token_file}
    given = {name: value for name, value in named.items() if value is not None}
    if chosen.workload_identity:
        try:
            return WorkloadIdentityCredential(**given, **options), "its workload identity"
        except ValueError as error:
            raise ConfigError(f"workload_identity: {error}") from error
    which = {"managed_identity_client_id": chosen.client_id} if chosen.client_id else {}
    try:
        return DefaultAzureCredential(**which, **options), "its managed identity"
    except ValueError as error:
        raise ConfigError(f"managed_identity: {error}") from error


def _vault_source(url: str, identity: Any, clock: Clock) -> SecretSource:
    """A secret by its identifier, as Key Vault references have it."""
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    host, path = url.removeprefix("https://").split("/", 1)
    name = host.partition(":")[0]
    domain = name.partition(".")[2] or name
    scope = f"https://{domain}/.default"
    client: Any = PipelineClient(f"https://{host}", policies=[BearerTokenCredentialPolicy(identity, scope)])

    def fetch() -> Secret:
        answer = client.send_request(HttpRequest("GET", f"https://{host}/{path}?api-version={_VAULT_API}"))
        answer.raise_for_status()
        return Secret(str(answer.json()["value"]), False, clock.now().timestamp() + _LOOK_AT_VAULT_SECONDS)

    return SecretSource(f"the key vault {host}", fetch)

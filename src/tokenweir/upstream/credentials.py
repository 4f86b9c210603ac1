"""How the gateway signs in at an upstream: a key, a managed identity, or the caller's own key passed through."""

import asyncio
import logging
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from ..errors import ConfigError, CredentialUnavailable, quoted
from ..providers import PROVIDERS, Provider
from ..records import Clock
from .settings import UpstreamSettings

__all__ = ["Credential", "KeyCredential", "ManagedIdentity", "PassThrough", "credential_for"]

_log = logging.getLogger(__name__)

# Entra tokens live for about an hour and managed identities' for up to a day; renew well before the end.
_RENEW_BEFORE_SECONDS = 300.0
# A token that replaced a refused one and is refused as well: the identity may not come in, and another token is as bad.
_REPLACE_AGAIN_AFTER_SECONDS = 60.0


class Credential(Protocol):
    """Gives the header line that signs a request."""

    @property
    def line(self) -> bytes | None:
        """The line, or ``None``: none is needed, or ``obtain`` has to be awaited first."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether ``line`` can be used as it is."""
        ...

    async def obtain(self) -> None:
        """Makes ready. Raises ``CredentialUnavailable``, which says what to do."""
        ...

    def replace(self, sent: float) -> bool:
        """The upstream did not accept what signed a request that was ``sent`` then (monotonic seconds). Returns
        whether there is, or can be, another one that is worth a try."""
        ...


class KeyCredential:
    """A key of the resource."""

    def __init__(self, key: str, provider: Provider) -> None:
        self.is_ready = True
        self.line: bytes | None = provider.key_line(key)

    def __repr__(self) -> str:
        return "<KeyCredential ****>"

    async def obtain(self) -> None:
        return None

    def replace(self, sent: float) -> bool:
        return False


class PassThrough:
    """The caller's own key, in the header that it came in, goes to the upstream as it came."""

    def __init__(self) -> None:
        self.is_ready = True
        self.line: bytes | None = None

    async def obtain(self) -> None:
        return None

    def replace(self, sent: float) -> bool:
        return False


class ManagedIdentity:
    """A token of the machine's identity, through azure-identity, kept until shortly before it ends.

    The blocking credential runs in a thread: it is asked about once an hour, and brings no HTTP client
    of its own into the relay's event loop.
    """

    def __init__(self, client_id: str | None, provider: Provider, clock: Clock) -> None:
        try:
            from azure.identity import DefaultAzureCredential
        except ImportError as error:
            raise ConfigError(
                "managed_identity needs the azure extra; install it with: pip install 'tokenweir[azure]'"
            ) from error
        options: dict[str, Any] = {"managed_identity_client_id": client_id} if client_id else {}
        self._make = partial(DefaultAzureCredential, **options)
        self._credential = self._make()
        self._provider = provider
        self._clock = clock
        self._renew_at = 0.0
        self._obtained_at = self._replaced_at = -math.inf
        self._obtaining: asyncio.Future[None] | None = None
        self.line: bytes | None = None

    def __repr__(self) -> str:
        return f"<ManagedIdentity {'ready' if self.is_ready else 'without a token'}>"

    @property
    def is_ready(self) -> bool:
        return self.line is not None and self._clock.now().timestamp() < self._renew_at

    async def obtain(self) -> None:
        """One request for a token at a time; everyone else waits for its answer."""
        if self._obtaining is None:
            self._obtaining = asyncio.ensure_future(self._renew())
            self._obtaining.add_done_callback(self._forget)
        await asyncio.shield(self._obtaining)

    def replace(self, sent: float) -> bool:
        if sent < self._obtained_at or not self.is_ready:
            return True
        now = self._clock.monotonic()
        if now - self._replaced_at < _REPLACE_AGAIN_AFTER_SECONDS:
            return False
        self._replaced_at, self._renew_at = now, 0.0
        self._credential = self._make()  # the old one would give the same token again
        return True

    def _forget(self, done: asyncio.Future[None]) -> None:
        self._obtaining = None
        if not done.cancelled():
            done.exception()  # seen here, so that a renewal nobody waits for any more is not reported twice

    async def _renew(self) -> None:
        try:
            token = await asyncio.to_thread(self._credential.get_token, self._provider.token_scope)
        except Exception as error:  # azure-identity raises many kinds; all mean the same here
            _log.warning("no token from the managed identity: %s", type(error).__name__)
            raise CredentialUnavailable(
                "The gateway could not obtain a token from its managed identity. "
                f"See `tokenweir doctor`; the identity needs the role {self._provider.role}."
            ) from error
        lifetime = token.expires_on - self._clock.now().timestamp()
        self._renew_at = token.expires_on - min(_RENEW_BEFORE_SECONDS, lifetime / 2)
        self.line = b"authorization: Bearer " + token.token.encode()
        self._obtained_at = self._clock.monotonic()


def credential_for(settings: UpstreamSettings, environ: Mapping[str, str], clock: Clock) -> Credential:
    """The credential an upstream's settings describe. Raises ``ConfigError`` naming what is missing."""
    chosen, provider = settings.credential, PROVIDERS[settings.kind]
    if chosen.pass_through:
        return PassThrough()
    if chosen.managed_identity:
        return ManagedIdentity(chosen.client_id, provider, clock)
    key = chosen.key or environ.get(chosen.key_env or "")
    if not key:
        raise ConfigError(
            f"upstream {quoted(settings.name)}: the environment variable {chosen.key_env} is not set; "
            "set it to a key of the resource"
        )
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        where = chosen.key_env or "`credential.key`"
        raise ConfigError(f"upstream {quoted(settings.name)}: {where} holds a character that cannot be in a key")
    return KeyCredential(key, provider)

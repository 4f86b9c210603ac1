"""How the gateway signs in at an upstream: a key, a token that is renewed, or what the caller sent, passed through."""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from ..errors import ConfigError, CredentialUnavailable, quoted
from ..providers import PROVIDERS, Provider
from ..records import Clock
from .secret_sources import SecretSource, secret_source
from .settings import UpstreamSettings

__all__ = ["Credential", "KeyCredential", "PassThrough", "RenewedCredential", "credential_for"]

_log = logging.getLogger(__name__)

# Entra tokens live for about an hour and managed identities' for up to a day; renew well before the end.
_RENEW_BEFORE_SECONDS = 300.0
# What is sent with a token must arrive while that is good.
_LAST_SECONDS = 10.0
# A token that replaced a refused one and is refused as well: the identity may not come in, and another token is as bad.
_REPLACE_AGAIN_AFTER_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 60.0


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

    def look(self) -> None:
        """Called once a second, beside the calls: what ends soon is renewed before a call has to wait for it."""
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

    def look(self) -> None:
        """A key has no end that would be known."""

    async def obtain(self) -> None:
        return None

    def replace(self, sent: float) -> bool:
        return False


class PassThrough:
    """The caller's own key or token, in the header that it came in, goes to the upstream as it came."""

    def __init__(self) -> None:
        self.is_ready = True
        self.line: bytes | None = None

    def look(self) -> None:
        """The caller looks after it."""

    async def obtain(self) -> None:
        return None

    def replace(self, sent: float) -> bool:
        return False


class RenewedCredential:
    """A token of an identity, or a key that is kept elsewhere: fetched ahead of its end, in a thread, beside the calls.

    A call waits only where there is none that is good: right after a start, or where none came for so long that the
    last one has ended. Sources block: they are asked about once an hour, and bring no HTTP client of their own into the
    relay's event loop.
    """

    def __init__(self, make: Callable[[], SecretSource], provider: Provider, clock: Clock) -> None:
        """``make`` gives a source that remembers nothing of the one before; raises ``ConfigError``."""
        self._make = make
        self._source = make()
        self._provider = provider
        self._clock = clock
        self._renew_at = self._ends_at = 0.0
        self._try_again_at = 0.0
        self._failures = 0
        self._obtained_at = self._replaced_at = -math.inf
        self._obtaining: asyncio.Future[None] | None = None
        self.line: bytes | None = None

    def __repr__(self) -> str:
        return f"<RenewedCredential of {self._source.name}, {'ready' if self.is_ready else 'without a token'}>"

    @property
    def is_ready(self) -> bool:
        return self.line is not None and self._clock.now().timestamp() < self._ends_at

    def look(self) -> None:
        is_due = self._clock.now().timestamp() >= self._renew_at and self._clock.monotonic() >= self._try_again_at
        if is_due and self._obtaining is None:
            self._begin()

    async def obtain(self) -> None:
        """One request for a token at a time; everyone else waits for its answer."""
        await asyncio.shield(self._obtaining or self._begin())

    def replace(self, sent: float) -> bool:
        if sent < self._obtained_at or not self.is_ready:
            return True
        now = self._clock.monotonic()
        if now - self._replaced_at < _REPLACE_AGAIN_AFTER_SECONDS:
            return False
        self._replaced_at, self._renew_at, self._ends_at = now, 0.0, 0.0
        self._source = self._make()  # the old one might give the same token again
        return True

    def _begin(self) -> "asyncio.Future[None]":
        started = self._obtaining = asyncio.ensure_future(self._renew())
        started.add_done_callback(self._forget)
        return started

    def _forget(self, done: asyncio.Future[None]) -> None:
        self._obtaining = None
        if not done.cancelled():
            done.exception()  # seen here, so that a renewal nobody waits for any more is not reported twice

    async def _renew(self) -> None:
        try:
            secret = await asyncio.to_thread(self._source.fetch)
            line = (
                b"authorization: Bearer " + secret.text.encode()
                if secret.is_token
                else _key_line(secret.text, self._provider)
            )
        except Exception as error:  # azure-identity raises many kinds; all mean the same here
            self._has_failed(error)
            raise CredentialUnavailable(
                f"The gateway could not obtain its credential from {self._source.name}. "
                f"See `tokenweir doctor`; an identity needs the role {self._provider.role}."
            ) from error
        now = self._clock.now().timestamp()
        self._renew_at = secret.ends_at - min(_RENEW_BEFORE_SECONDS, (secret.ends_at - now) / 2)
        # A key that is only looked at again stays good until it is refused.
        self._ends_at = secret.ends_at - min(_LAST_SECONDS, (secret.ends_at - now) / 4) if secret.is_token else math.inf
        self.line = line
        self._obtained_at = self._clock.monotonic()
        if self._failures:
            _log.info("the credential from %s could be renewed again", self._source.name)
        self._failures = 0

    def _has_failed(self, error: Exception) -> None:
        self._failures += 1
        self._try_again_at = self._clock.monotonic() + min(2.0**self._failures, _LONGEST_PAUSE_SECONDS)
        if self._failures == 1 or not self.is_ready:
            left = "the last one is still good" if self.is_ready else "and there is none that is good"
            _log.warning("no credential from %s: %s; %s", self._source.name, type(error).__name__, left)


def credential_for(settings: UpstreamSettings, environ: Mapping[str, str], clock: Clock) -> Credential:
    """The credential an upstream's settings describe. Raises ``ConfigError`` naming what is missing."""
    chosen, provider = settings.credential, PROVIDERS[settings.kind]
    if chosen.pass_through or chosen.pass_token:
        return PassThrough()
    if chosen.key is None and chosen.key_env is None:
        return RenewedCredential(lambda: secret_source(chosen, provider, environ, clock), provider, clock)
    key = chosen.key or environ.get(chosen.key_env or "")
    if not key:
        raise ConfigError(
            f"upstream {quoted(settings.name)}: the environment variable {chosen.key_env} is not set; "
            "set it to a key of the resource"
        )
    try:
        _key_line(key, provider)
    except ValueError:
        where = chosen.key_env or "`credential.key`"
        raise ConfigError(
            f"upstream {quoted(settings.name)}: {where} holds a character that cannot be in a key"
        ) from None
    return KeyCredential(key.strip(), provider)


def _key_line(text: str, provider: Provider) -> bytes:
    """Raises ValueError for what cannot be a key."""
    key = text.strip()
    if not (key and key.isascii() and key.isprintable()):
        raise ValueError("what was found cannot be a key")
    return provider.key_line(key)

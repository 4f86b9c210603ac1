"""Who is calling: a key becomes an identity, or the call ends. Pure; keys are known by their hash only.

How long a refusal takes tells nothing of how near a wrong key is to a right one: what is compared is its SHA-256, in a
dictionary, and whoever could choose that could invert it (`benchmarks/strangers.py` measures it).
"""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from msgspec.structs import replace

from ..errors import InvalidApiKey, KeysUnavailable, KeySuspended, Refusal
from .key_holders import Memberships, key_holders
from .keys_file import StoredKey
from .settings import CallerSettings, GroupSettings, Identity
from .token_verifier import TokenVerifier, VerifiedToken

__all__ = ["ANONYMOUS", "Keyring"]


ANONYMOUS = Identity("anonymous")


class Keyring:
    """All keys that open the data port. With none at all, every key does and the caller is ``anonymous``."""

    def __init__(
        self,
        callers: Iterable[CallerSettings],
        stored: Iterable[StoredKey],
        groups: Iterable[GroupSettings] = (),
        *,
        unreadable: bool = False,
        may_be_open: bool = True,
        keeps_keys: bool = False,
        tokens: TokenVerifier | None = None,
        may_list: bool = True,
    ) -> None:
        """``keeps_keys``: a key that was used is its own id, as the chargeback solution has it; then records hold keys.
        ``unreadable``: there are more keys, of which nobody knows which ones are revoked. Not ``may_be_open``: with
        no key at all, nobody is let in. A group that is none of ``groups`` allows nothing. With ``tokens``,
        access tokens open the port, too. Not ``may_list``: no caller may list what all of them keep at an upstream."""
        self._keeps_keys = keeps_keys
        callers = list(callers)
        self.tokens = tokens
        self._members = Memberships(groups, may_list=may_list)
        self._by_application = {one: caller for caller in callers for one in caller.applications}
        holders = key_holders(callers, stored, self._members)
        self._identities = holders.valid
        self._suspended = holders.suspended
        has_keys = bool(callers or holders.count or tokens)  # a revoked one, too: revoking must never open the port
        self._unreadable = unreadable
        self._is_open = may_be_open and not (has_keys or unreadable)

    def __repr__(self) -> str:
        return f"<Keyring {self}>"

    def __str__(self) -> str:
        """For a person."""
        count = len(self._identities) + len(self._suspended)
        if self._is_open:
            return "open to all"
        known = "1 key" if count == 1 else f"{count} keys"
        if self.tokens is not None:
            known += f", and tokens of {', '.join(self.tokens.settings.tenants)}"
        return f"{known}, and a keys file that cannot be read" if self._unreadable else known

    @property
    def is_open(self) -> bool:
        return self._is_open

    def owner_of(self, digest: bytes) -> Identity | None:
        """Whose key has this SHA-256, valid at present or not; None if it is nobody's here."""
        return self._identities.get(digest) or self._suspended.get(digest)

    def identify(self, key: bytes | None, now: datetime) -> Identity:
        """Whose key this is. Raises ``InvalidApiKey`` saying which headers are looked at, ``KeySuspended``, and
        ``KeysUnavailable`` where the key may be one of those that cannot be read."""
        if self._is_open:
            return ANONYMOUS
        if not key:
            raise InvalidApiKey(
                "No API key was given. Send yours as `api-key`, `x-api-key`, `Ocp-Apim-Subscription-Key` or "
                "`Authorization: Bearer`, or as `subscription-key` or `api-key` in the query."
            )
        digest = sha256(key).digest()
        identity = self._identities.get(digest)
        if identity is None:
            raise self._why_not(digest)
        if identity.valid_until is not None and now >= identity.valid_until:
            raise InvalidApiKey(
                f"This API key expired at {identity.valid_until:%Y-%m-%d %H:%M:%S} UTC. Ask your platform team for a "
                "new one."
            )
        return replace(identity, key_id=key.decode(errors="replace")) if self._keeps_keys else identity

    def token_identity(self, token: VerifiedToken) -> Identity:
        """Whose token this is: of the caller that names its application, else of that application. Raises
        ``NotPermitted``."""
        if self.tokens is None:
            raise AssertionError("a token was verified, and nobody verifies any")
        name = token.application or token.user or token.tenant
        return self._members.token_identity(name, self._by_application.get(name), token, self.tokens.settings)

    def _why_not(self, digest: bytes) -> Refusal:
        if digest in self._suspended:
            return KeySuspended(
                "This API key is suspended. Ask your platform team to resume it; until then it opens nothing."
            )
        if self._unreadable:
            return KeysUnavailable(
                "The gateway cannot read its keys, so this one cannot be checked. Tell whoever runs the gateway; its "
                "log says why."
            )
        return InvalidApiKey(
            "This API key is not known here, or was revoked. Use the key your platform team gave you for "
            "this gateway, not the key of the Azure OpenAI resource behind it."
        )

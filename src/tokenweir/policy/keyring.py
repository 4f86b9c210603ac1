"""Who is calling: a key becomes an identity, or the call ends. Pure; keys are known by their hash only.

How long a refusal takes tells nothing of how near a wrong key is to a right one: what is compared is its SHA-256, in a
dictionary, and whoever could choose that could invert it (`benchmarks/strangers.py` measures it).
"""

from collections.abc import Iterable
from hashlib import sha256

from msgspec.structs import replace

from ..errors import InvalidApiKey, KeysUnavailable
from .keys_file import StoredKey
from .settings import CallerSettings, Identity

__all__ = ["ANONYMOUS", "Keyring"]


ANONYMOUS = Identity("anonymous")


class Keyring:
    """All keys that open the data port. With none at all, every key does and the caller is ``anonymous``."""

    def __init__(
        self,
        callers: Iterable[CallerSettings],
        stored: Iterable[StoredKey],
        *,
        unreadable: bool = False,
        may_be_open: bool = True,
        keeps_keys: bool = False,
    ) -> None:
        """``keeps_keys``: a key that was used is its own id, as the chargeback solution has it; then records hold keys.
        ``unreadable``: there are more keys, of which nobody knows which ones are revoked. Not ``may_be_open``: with
        no key at all, nobody is let in."""
        self._keeps_keys = keeps_keys
        by_name = {caller.name: caller for caller in callers}
        known_as = {**{old: caller for caller in by_name.values() for old in caller.formerly}, **by_name}
        self._identities: dict[bytes, Identity] = {}
        self._has_stored = False
        for caller in by_name.values():
            if caller.key_sha256:
                digest = bytes.fromhex(caller.key_sha256)
                key_id = "sha256-" + caller.key_sha256[:12].lower()
                self._identities[digest] = Identity(caller.name, key_id, caller.tags, caller.on_client_gone)
        for key in stored:
            self._has_stored = True  # A revoked key still ends anonymous access: revoking must never open the port.
            if key.revoked_at is None:
                known = known_as.get(key.caller)
                tags = {**(known.tags if known else {}), **key.tags}
                gone = known.on_client_gone if known else None
                self._identities[bytes.fromhex(key.sha256)] = Identity(
                    known.name if known else key.caller, key.key_id, tags, gone
                )
        self._unreadable = unreadable
        self._is_open = may_be_open and not (by_name or self._has_stored or unreadable)

    def __repr__(self) -> str:
        return f"<Keyring {self}>"

    def __str__(self) -> str:
        """For a person."""
        count = len(self._identities)
        if self._is_open:
            return "open to all"
        known = "1 key" if count == 1 else f"{count} keys"
        return f"{known}, and a keys file that cannot be read" if self._unreadable else known

    @property
    def is_open(self) -> bool:
        return self._is_open

    def owner_of(self, digest: bytes) -> Identity | None:
        """Whose key has this SHA-256; None if it is nobody's here."""
        return self._identities.get(digest)

    def identify(self, key: bytes | None) -> Identity:
        """Whose key this is. Raises ``InvalidApiKey`` saying which headers are looked at, and ``KeysUnavailable``
        where the key may be one of those that cannot be read."""
        if self._is_open:
            return ANONYMOUS
        if not key:
            raise InvalidApiKey(
                "No API key was given. Send yours as `api-key`, `x-api-key`, `Ocp-Apim-Subscription-Key` or "
                "`Authorization: Bearer`, or as `subscription-key` or `api-key` in the query."
            )
        identity = self._identities.get(sha256(key).digest())
        if identity is None and self._unreadable:
            raise KeysUnavailable(
                "The gateway cannot read its keys, so this one cannot be checked. Tell whoever runs the gateway; its "
                "log says why."
            )
        if identity is None:
            raise InvalidApiKey(
                "This API key is not known here, or was revoked. Use the key your platform team gave you for "
                "this gateway, not the key of the Azure OpenAI resource behind it."
            )
        return replace(identity, key_id=key.decode(errors="replace")) if self._keeps_keys else identity

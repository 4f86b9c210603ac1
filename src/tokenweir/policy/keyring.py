"""Who is calling: a key becomes an identity, or the call ends. Pure; keys are known by their hash only.

How long a refusal takes tells nothing of how near a wrong key is to a right one: what is compared is its SHA-256, in a
dictionary, and whoever could choose that could invert it (`benchmarks/strangers.py` measures it).
"""

from collections.abc import Iterable
from hashlib import sha256

from msgspec.structs import replace

from ..errors import InvalidApiKey, KeysUnavailable
from .keys_file import StoredKey
from .permissions import Permissions, permissions_of
from .settings import CallerSettings, GroupSettings, Identity

__all__ = ["ANONYMOUS", "Keyring"]


ANONYMOUS = Identity("anonymous")
_NOTHING: list[str] = []


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
    ) -> None:
        """``keeps_keys``: a key that was used is its own id, as the chargeback solution has it; then records hold keys.
        ``unreadable``: there are more keys, of which nobody knows which ones are revoked. Not ``may_be_open``: with
        no key at all, nobody is let in. A group that is none of ``groups`` allows nothing."""
        self._members = _Members(groups)
        self._keeps_keys = keeps_keys
        by_name = {caller.name: caller for caller in callers}
        known_as = {**{old: caller for caller in by_name.values() for old in caller.formerly}, **by_name}
        self._identities: dict[bytes, Identity] = {}
        self._has_stored = False
        for caller in by_name.values():
            if caller.key_sha256:
                digest = bytes.fromhex(caller.key_sha256)
                key_id = "sha256-" + caller.key_sha256[:12].lower()
                self._identities[digest] = self._members.identity(caller.name, key_id, caller)
        for key in stored:
            self._has_stored = True  # A revoked key still ends anonymous access: revoking must never open the port.
            if key.revoked_at is None:
                identity = self._members.identity(key.caller, key.key_id, known_as.get(key.caller), key)
                self._identities[bytes.fromhex(key.sha256)] = identity
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


class _Members:
    """What callers have from the groups that they are in. What many have alike is made once."""

    def __init__(self, groups: Iterable[GroupSettings]) -> None:
        self._groups = {group.name: group for group in groups}
        self._permissions: dict[tuple[object, ...], Permissions | None] = {}

    def identity(
        self, name: str, key_id: str | None, known: CallerSettings | None, key: StoredKey | None = None
    ) -> Identity:
        groups = tuple((key.groups if key else None) or (known.groups if known else ()))
        tags: dict[str, str] = {}
        for group in reversed(groups):
            if group in self._groups:
                tags.update(self._groups[group].tags)
        if known is not None:
            tags.update(known.tags)
        if key is not None:
            tags.update(key.tags)
        return Identity(
            known.name if known else name,
            key_id,
            tags,
            known.on_client_gone if known else None,
            groups,
            self._permitted(groups, known),
        )

    def _permitted(self, groups: tuple[str, ...], known: CallerSettings | None) -> Permissions | None:
        own = (known.deployments, known.models, known.surfaces) if known is not None else (None, None, None)
        restricts = known.name if known is not None and own != (None, None, None) else None
        place = (restricts, groups)
        if place not in self._permissions:
            self._permissions[place] = permissions_of(
                [own[0]] if own[0] is not None else [self._list(group, "deployments") for group in groups],
                [own[1]] if own[1] is not None else [self._list(group, "models") for group in groups],
                [own[2]] if own[2] is not None else [self._list(group, "surfaces") for group in groups],
            )
        return self._permissions[place]

    def _list(self, group: str, kind: str) -> list[str] | None:
        settings = self._groups.get(group)
        if settings is None:
            return _NOTHING
        return {"deployments": settings.deployments, "models": settings.models, "surfaces": settings.surfaces}[kind]

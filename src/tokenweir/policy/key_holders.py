"""Who holds which key, and what they have from the groups that they are in.

Of a hundred thousand keys this takes some tenths of a second. It is not compiled, so that the other threads of a relay
get their turn meanwhile.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from ..errors import NotPermitted
from .keys_file import StoredKey
from .permissions import Permissions, permissions_of
from .settings import CallerSettings, EntraSettings, GroupSettings, Identity
from .token_verifier import VerifiedToken

__all__ = ["KeyHolders", "Memberships", "key_holders"]

_NOTHING: list[str] = []


class KeyHolders(msgspec.Struct):
    """Identities by the SHA-256 of their keys."""

    valid: dict[bytes, Identity]
    """Those that have expired, or will, say when."""
    suspended: dict[bytes, Identity]
    count: int
    """Of stored keys, revoked ones included."""


def key_holders(callers: Iterable[CallerSettings], stored: Iterable[StoredKey], members: "Memberships") -> KeyHolders:
    by_name = {caller.name: caller for caller in callers}
    known_as = {**{old: caller for caller in by_name.values() for old in caller.formerly}, **by_name}
    found = KeyHolders({}, {}, 0)
    for caller in by_name.values():
        if caller.key_sha256:
            key_id = "sha256-" + caller.key_sha256[:12].lower()
            found.valid[bytes.fromhex(caller.key_sha256)] = members.identity(caller.name, key_id, caller)
    for key in stored:
        found.count += 1
        if key.revoked_at is None:
            where = found.valid if key.suspended_at is None else found.suspended
            where[bytes.fromhex(key.sha256)] = members.identity(key.caller, key.key_id, known_as.get(key.caller), key)
    return found


class Memberships:
    """What callers have from the groups that they are in. What many have alike is made once."""

    def __init__(self, groups: Iterable[GroupSettings], *, may_list: bool = True) -> None:
        self._may_list = may_list
        self._groups = {group.name: group for group in groups}
        self._by_entra: dict[str, list[str]] = {}
        for group in self._groups.values():
            for name in group.entra:
                self._by_entra.setdefault(name, []).append(group.name)
        self._permissions: dict[tuple[object, ...], Permissions | None] = {}

    def identity(
        self, name: str, key_id: str | None, known: CallerSettings | None, key: StoredKey | None = None
    ) -> Identity:
        groups = tuple((key.groups if key else None) or (known.groups if known else ()))
        return self._identity(name, key_id, known, groups, key.tags if key else {}, key.expires_at if key else None)

    def token_identity(
        self, name: str, known: CallerSettings | None, token: VerifiedToken, settings: EntraSettings
    ) -> Identity:
        """Of whoever has a token. Raises ``NotPermitted`` where that has none of the roles, or leads to no group."""
        if settings.roles and not any(role in token.groups for role in settings.roles):
            raise NotPermitted(f"This token has none of the roles {', '.join(settings.roles)}. Ask for one of them.")
        told = [group for name in token.groups for group in self._by_entra.get(name, ())]
        own = list(dict.fromkeys([*(known.groups if known else ()), *told]))
        if settings.require_group and not own:
            raise NotPermitted("This token leads to no group of this gateway. Ask whoever runs it to be in one.")
        groups = tuple(dict.fromkeys([*own, *settings.groups]))
        return self._identity(name, None, known, groups, {}, token.valid_until)

    def _identity(
        self,
        name: str,
        key_id: str | None,
        known: CallerSettings | None,
        groups: tuple[str, ...],
        key_tags: dict[str, str],
        valid_until: datetime | None,
    ) -> Identity:
        tags: dict[str, str] = {}
        for group in reversed(groups):
            if group in self._groups:
                tags.update(self._groups[group].tags)
        if known is not None:
            tags.update(known.tags)
        tags.update(key_tags)
        return Identity(
            known.name if known else name,
            key_id,
            tags,
            known.on_client_gone if known else None,
            groups,
            self._permitted(groups, known),
            valid_until,
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
                may_list=self._may_list,
            )
        return self._permissions[place]

    def _list(self, group: str, kind: str) -> list[str] | None:
        settings = self._groups.get(group)
        if settings is None:
            return _NOTHING
        return {"deployments": settings.deployments, "models": settings.models, "surfaces": settings.surfaces}[kind]

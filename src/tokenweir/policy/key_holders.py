"""Who holds which key, and what they have from the groups that they are in.

Of a hundred thousand keys this takes some tenths of a second. It is not compiled, so that the other threads of a relay
get their turn meanwhile.
"""

from collections.abc import Iterable

import msgspec

from .keys_file import StoredKey
from .permissions import Permissions, permissions_of
from .settings import CallerSettings, GroupSettings, Identity

__all__ = ["KeyHolders", "key_holders"]

_NOTHING: list[str] = []


class KeyHolders(msgspec.Struct):
    """Identities by the SHA-256 of their keys."""

    valid: dict[bytes, Identity]
    """Those that have expired, or will, say when."""
    suspended: dict[bytes, Identity]
    count: int
    """Of stored keys, revoked ones included."""


def key_holders(
    callers: Iterable[CallerSettings], stored: Iterable[StoredKey], groups: Iterable[GroupSettings]
) -> KeyHolders:
    by_name = {caller.name: caller for caller in callers}
    known_as = {**{old: caller for caller in by_name.values() for old in caller.formerly}, **by_name}
    members, found = _Members(groups), KeyHolders({}, {}, 0)
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
            key.expires_at if key else None,
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

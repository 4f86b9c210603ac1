"""What is done to keys: made, rotated, suspended, resumed, revoked. Each is one exchange of the whole document."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from ..errors import ConfigError, quoted
from ..records import Clock, Duration
from .keys_file import KeysFile, KeyStore, StoredKey, hash_key

__all__ = [
    "KeyNotValid",
    "UnknownKey",
    "add_key",
    "moment_of_expiry",
    "require_groups",
    "resume_key",
    "revoke_key",
    "rotate_key",
    "suspend_key",
]

_NAME_LIMIT = 128


class UnknownKey(ConfigError):
    """There is no key with this id."""


class KeyNotValid(ConfigError):
    """There is, and this cannot be done to it any more."""


def add_key(
    place: Path | KeyStore,
    caller: str,
    tags: Mapping[str, str],
    clock: Clock,
    *,
    groups: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> tuple[str, StoredKey]:
    """A new key for a caller: the key itself, which is kept nowhere, and what was stored of it.

    Raises ConfigError for a name that would spoil reports, and where the file cannot be written.
    """
    if not caller.isprintable() or caller != caller.strip() or not 0 < len(caller) <= _NAME_LIMIT:
        raise ConfigError(
            f"{quoted(caller)} cannot be a caller's name: up to {_NAME_LIMIT} printable characters, no space around"
        )
    key, stored = _fresh(caller, clock)
    stored = replace(stored, tags=dict(tags), groups=list(groups), expires_at=expires_at)
    with _store(place).changing() as keys:
        keys.append(stored)
    return key, stored


def rotate_key(
    place: Path | KeyStore, key_id: str, overlap: float, clock: Clock, *, expires_at: datetime | None = None
) -> tuple[str, StoredKey, StoredKey]:
    """A new key in the place of one that is valid, and both of them as they are stored: the old one expires ``overlap``
    seconds from now, or when it would have anyway. Raises UnknownKey, and KeyNotValid."""
    now = clock.now()
    made: list[tuple[str, StoredKey]] = []

    def ended(old: StoredKey) -> StoredKey:
        if (state := old.state_at(now)) != "valid":
            raise KeyNotValid(f"{key_id} is {state}, so nothing can take its place; `tokenweir keys create` makes one")
        key, new = _fresh(old.caller, clock)
        made.append((key, replace(new, tags=old.tags, groups=old.groups, expires_at=expires_at, replaces=key_id)))
        end = now + timedelta(seconds=overlap)
        return replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))

    old = _change(place, key_id, ended, also=lambda: made[0][1])
    return (*made[0], old)


def suspend_key(place: Path | KeyStore, key_id: str, clock: Clock) -> StoredKey:
    """The key opens nothing until it is resumed. Raises UnknownKey, and KeyNotValid for a revoked one."""

    def suspended(stored: StoredKey) -> StoredKey:
        _refuse_revoked(stored)
        return stored if stored.suspended_at is not None else replace(stored, suspended_at=clock.now())

    return _change(place, key_id, suspended)


def resume_key(place: Path | KeyStore, key_id: str, clock: Clock) -> StoredKey:
    """Takes a suspension back. Raises as ``suspend_key`` does."""

    def resumed(stored: StoredKey) -> StoredKey:
        _refuse_revoked(stored)
        return replace(stored, suspended_at=None)

    return _change(place, key_id, resumed)


def revoke_key(place: Path | KeyStore, key_id: str, clock: Clock) -> StoredKey:
    """Mark a key as revoked, for good; one that already was keeps its time. Raises UnknownKey for an unknown id."""
    return _change(
        place, key_id, lambda stored: stored if stored.is_revoked else replace(stored, revoked_at=clock.now())
    )


def moment_of_expiry(text: str, clock: Clock) -> datetime:
    """``90d`` from now, or a day or a moment, which is UTC where it says nothing else. Raises ConfigError for what is
    neither, or is past."""
    now = clock.now()
    try:
        try:
            moment = now + timedelta(seconds=Duration.parse(text))
        except ValueError:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{quoted(text)} is no time at which a key can expire; write it like 90d, 12h, 2027-06-30 or "
            "2027-06-30T18:00:00+02:00"
        ) from None
    if moment <= now:
        raise ConfigError(f"{quoted(text)} is past, so the key would never open anything")
    return moment


def require_groups(wanted: Collection[str], known: Collection[str]) -> None:
    """Raises ConfigError for a group that is not configured: a key in it could use nothing."""
    for name in wanted:
        if name not in known:
            there_is = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"no group is called {quoted(name)}; there is {there_is}, as [[groups]] say")


def _fresh(caller: str, clock: Clock) -> tuple[str, StoredKey]:
    key = "tw-" + secrets.token_urlsafe(32)
    return key, StoredKey("key_" + secrets.token_hex(4), caller, hash_key(key), clock.now())


def _refuse_revoked(stored: StoredKey) -> None:
    if stored.is_revoked:
        raise KeyNotValid(f"{stored.key_id} is revoked, for good; `tokenweir keys create` makes another")


def _store(place: Path | KeyStore) -> KeyStore:
    return KeysFile(place) if isinstance(place, Path) else place


def _change(
    place: Path | KeyStore,
    key_id: str,
    change: Callable[[StoredKey], StoredKey],
    also: Callable[[], StoredKey] | None = None,
) -> StoredKey:
    """The key as it is afterwards. ``also`` is a further key, asked for once the change was made."""
    store = _store(place)
    try:
        is_empty = store.content() is None  # nor is it made by asking
    except ConfigError:
        is_empty = False  # which is told below
    if is_empty:
        raise UnknownKey(
            f"there is no key {key_id}, and no keys file {store.where}; is it another gateway's? Give its --config"
        )
    with store.changing() as keys:
        for index, stored in enumerate(keys):
            if stored.key_id == key_id:
                keys[index] = change(stored)
                if also is not None:
                    keys.append(also())
                return keys[index]
        raise UnknownKey(f"there is no key {key_id} in {store.where}; `tokenweir keys list` shows them")

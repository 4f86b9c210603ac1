"""The keys file: what ``tokenweir keys`` creates and the gateway's keyring reads. It holds hashes, never a key.

Writers take a lock beside the file and replace it whole, so a reader sees the old file or the new one,
and its modification time changes with every change. A revoked key stays in the file: old records name it.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import ConfigError
from ..records import Clock

__all__ = ["StoredKey", "add_key", "hash_key", "read_keys", "revoke_key"]


class StoredKey(msgspec.Struct, frozen=True):
    """What is kept of a key. Times are aware UTC; ``sha256`` is lower-case hex of the key's bytes."""

    key_id: str
    caller: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    revoked_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tags: dict[str, str] = {}

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None


class _File(msgspec.Struct):
    keys: list[StoredKey] = []


_DECODER = msgspec.json.Decoder(_File)


def hash_key(key: str) -> str:
    """Lower-case hex SHA-256. Keys are 32 random bytes, so a salt or a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> list[StoredKey]:
    """Every key in the file, oldest first, revoked ones included; none where there is no file.

    Raises ConfigError for a file that cannot be read or is something else.
    """
    try:
        return _DECODER.decode(path.read_bytes()).keys
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"the keys file {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not a keys file ({error}); restore it, or move it away") from error


def add_key(path: Path, caller: str, tags: Mapping[str, str], clock: Clock) -> tuple[str, StoredKey]:
    """A new key for a caller: the key itself, which is kept nowhere, and what was stored of it."""
    key = "tw-" + secrets.token_urlsafe(32)
    stored = StoredKey(
        key_id="key_" + secrets.token_hex(4),
        caller=caller,
        sha256=hash_key(key),
        created_at=clock.now(),
        tags=dict(tags),
    )
    with _changing(path) as keys:
        keys.append(stored)
    return key, stored


def revoke_key(path: Path, key_id: str, clock: Clock) -> StoredKey:
    """Mark a key as revoked; one that already was keeps its time. Raises ConfigError for an unknown id."""
    if not path.exists():  # nor is it made by asking
        raise ConfigError(
            f"there is no key {key_id}, and no keys file {path}; is it another gateway's? Give its --config"
        )
    with _changing(path) as keys:
        for index, stored in enumerate(keys):
            if stored.key_id == key_id:
                if not stored.is_revoked:
                    keys[index] = msgspec.structs.replace(stored, revoked_at=clock.now())
                return keys[index]
        raise ConfigError(f"there is no key {key_id} in {path}; `tokenweir keys list` shows them")


@contextmanager
def _changing(path: Path) -> Iterator[list[StoredKey]]:
    """The keys as a list to change; written back at the end, unless an error left the block."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path.with_name(path.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = read_keys(path)
            yield keys
            _replace(path, msgspec.json.format(msgspec.json.encode(_File(keys)), indent=2) + b"\n")
    except OSError as error:
        raise ConfigError(f"the keys file {path} cannot be written: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    """Put a whole new file, readable by its owner only, in the place of the old one; durable on return."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""The keys file: what ``tokenweir keys`` creates and the gateway's keyring reads. It holds hashes, never a key.

Writers take a lock beside the file and replace it whole, so a reader sees the old file or the new one. Owner and mode
stay, whoever writes: a file that root has changed is still readable for the gateway. A revoked key stays in the file:
old records name it.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec

from ..errors import ConfigError

__all__ = [
    "KeyStore",
    "KeysFile",
    "StoredKey",
    "decode_keys",
    "digest_of",
    "encode_keys",
    "hash_key",
    "read_keys",
    "write_copy",
]


class StoredKey(msgspec.Struct, frozen=True):
    """What is kept of a key. Times are aware UTC; ``sha256`` is lower-case hex of the key's bytes."""

    key_id: str
    caller: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    revoked_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tags: dict[str, str] = {}
    groups: list[str] = []
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    suspended_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    replaces: str | None = None
    """The id of the key that it was rotated from."""

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None

    def state_at(self, now: datetime) -> Literal["valid", "revoked", "suspended", "expired"]:
        if self.is_revoked:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "valid" if self.suspended_at is None else "suspended"


class _File(msgspec.Struct):
    keys: list[StoredKey] = []


class _Pieces(msgspec.Struct):
    keys: list[msgspec.Raw] = []


_PIECES = msgspec.json.Decoder(_Pieces)
_DECODER = msgspec.json.Decoder(StoredKey)


def hash_key(key: str) -> str:
    """Lower-case hex SHA-256. Keys are 32 random bytes, so a salt or a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


def digest_of(content: bytes) -> int:
    """Tells whether two processes have read the same file: 48 bits of its SHA-256, which a metric holds exactly."""
    return int.from_bytes(hashlib.sha256(content).digest()[:6])


class KeyStore(Protocol):
    """Where keys are kept: a file, or a place that many gateways share. Methods block and raise ConfigError."""

    where: str
    """For a person, and to tell whether two processes mean the same."""

    def content(self) -> bytes | None:
        """The whole document; None where there is none."""
        ...

    def changing(self) -> AbstractContextManager[list[StoredKey]]:
        """The keys as a list to change; written back at the end, unless an error left the block."""
        ...


class KeysFile:
    """The keys in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = str(path.resolve())

    def __repr__(self) -> str:
        return f"<KeysFile {self._path}>"

    def content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"the keys file {self._path} cannot be read: {error.strerror}") from error

    def changing(self) -> AbstractContextManager[list[StoredKey]]:
        return _changing(self._path)


def read_keys(place: Path | KeyStore) -> list[StoredKey]:
    """Every key in the file, oldest first, revoked ones included; none where there is no file.

    Raises ConfigError for a file that cannot be read or is something else.
    """
    store = KeysFile(place) if isinstance(place, Path) else place
    content = store.content()
    return decode_keys(place if isinstance(place, Path) else store.where, content) if content is not None else []


def decode_keys(place: Path | str, content: bytes) -> list[StoredKey]:
    """The keys in the content of what is at a place. Raises ConfigError if it is something else."""
    try:
        # One by one: a hundred thousand at once would hold up every other thread for some tenths of a second.
        return [_DECODER.decode(piece) for piece in _PIECES.decode(content).keys]
    except msgspec.DecodeError as error:
        raise ConfigError(f"{place} is not a keys file ({error}); restore it, or move it away") from error


def encode_keys(keys: list[StoredKey]) -> bytes:
    """The document, for people to read too."""
    return msgspec.json.format(msgspec.json.encode(_File(keys)), indent=2) + b"\n"


@contextmanager
def _changing(path: Path) -> Iterator[list[StoredKey]]:
    """The keys as a list to change; written back at the end, unless an error left the block."""
    try:
        _make_directories(path.parent)
        lock_path = path.with_name(path.name + ".lock")
        with open(os.open(lock_path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w") as lock:
            owner = path if path.exists() else path.parent
            _give_to(lock.fileno(), owner)
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = read_keys(path)
            yield keys
            try:
                _replace(path, encode_keys(keys))
            except OSError:
                # A full disk, a file that is mounted by itself, a directory or an owner that is not ours to set.
                if not path.exists():
                    raise
                _write_over(path, msgspec.json.encode(_File(keys)) + b"\n")
    except OSError as error:
        raise ConfigError(
            f"the keys file {path} cannot be written ({error.strerror}), so nothing has changed; "
            "run this as its owner, or through the gateway, and see that the disk has room"
        ) from error


def write_copy(path: Path, content: bytes) -> None:
    """Puts a document that was read elsewhere into the file. OSError if it cannot be written."""
    _make_directories(path.parent)
    _replace(path, content)


def _make_directories(directory: Path) -> None:
    """Those that are missing, readable by the owner of the first one that is there."""
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for one in reversed(missing):
        with suppress(FileExistsError):
            one.mkdir(mode=0o700)
            descriptor = os.open(one, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _give_to(descriptor, one.parent)
            finally:
                os.close(descriptor)


def _give_to(descriptor: int, owner: Path) -> None:
    """Makes what root has made belong to the owner of ``owner``. Nobody else may give a file away."""
    if os.geteuid() == 0:
        wanted = owner.stat()
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)


def _replace(path: Path, content: bytes) -> None:
    """Put a whole new file with the owner and mode of the old one in its place; durable on return.

    Where there was none, it is readable by the owner of the directory only.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    before = path.stat() if path.exists() else None
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if before is None:
                _give_to(file.fileno(), path.parent)
            else:
                own = os.fstat(file.fileno())
                if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path.resolve())
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_over(path: Path, content: bytes) -> None:
    """Writes into the file itself. It may need no more room than the file has, as what people read has indentation;
    more is taken before anything is written. A reader that sees half of it reads it again."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if len(content) > size:
            os.posix_fallocate(descriptor, 0, len(content))
        os.pwrite(descriptor, content.ljust(size), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Keys that many gateways share: one document in PostgreSQL, Redis or blob storage. It is read whole, and exchanged
only if it is still what was read, so that no change is lost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from ..config import Config
from ..delivery import DeliveryError
from ..errors import ConfigError
from ..policy import KeysFile, KeyStore, StoredKey, decode_keys, encode_keys

__all__ = ["SharedKeys", "open_key_store", "open_shared_keys"]

_NAME = "tokenweir-keys"
_SECONDS = 5
"""To connect, and to answer."""


class _Document(Protocol):
    """One document somewhere. Each call connects anew if need be; raises what its client raises."""

    failures: tuple[type[Exception], ...]

    def read(self) -> bytes | None: ...

    def exchange(self, before: bytes | None, after: bytes) -> bool:
        """Whether it was still ``before``; None is that there was none."""
        ...

    def close(self) -> None: ...


class SharedKeys:
    """A `KeyStore`. ConfigError where it does not answer."""

    def __init__(self, where: str, document: _Document) -> None:
        self.where = where
        self._document = document

    def __repr__(self) -> str:
        return f"<SharedKeys {self.where}>"

    def content(self) -> bytes | None:
        with self._failing():
            return self._document.read()

    def close(self) -> None:
        """Lets go of its connection; raises nothing."""
        with suppress(Exception):
            self._document.close()

    @contextmanager
    def changing(self) -> Iterator[list[StoredKey]]:
        with self._failing():
            before = self._document.read()
        keys = decode_keys(self.where, before) if before else []
        yield keys
        with self._failing():
            is_written = self._document.exchange(before, encode_keys(keys))
        if not is_written:
            raise ConfigError(f"the keys in {self.where} were changed by somebody else at the same moment; do it again")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except self._document.failures as error:
            raise ConfigError(f"the shared keys in {self.where} do not answer: {_words(error)}") from error


def open_key_store(config: Config) -> KeyStore:
    """Where this configuration's keys are: in ``server.shared_keys`` or, without one, in ``server.keys``."""
    shared = open_shared_keys(config.server.shared_keys)
    return shared if shared is not None else KeysFile(Path(config.server.keys))


def open_shared_keys(url: str | None) -> SharedKeys | None:
    """None where nothing is shared. ConfigError for an address that cannot be understood, or without its packages."""
    if url is None:
        return None
    parts = urlsplit(url)
    make = _KINDS.get(parts.scheme)
    if make is None:
        raise ConfigError(f"server.shared_keys begins with one of {', '.join(f'{kind}://' for kind in _KINDS)}")
    try:
        document = make(url)
    except ModuleNotFoundError as error:
        raise ConfigError(f"server.shared_keys needs {error.name}; run: pip install {error.name}") from error
    except ValueError as error:
        raise ConfigError("server.shared_keys cannot be understood; write it like postgresql://user@host/db") from error
    place = parts.netloc.rpartition("@")[2]
    return SharedKeys(urlunsplit((parts.scheme, place, parts.path, "", "")), document)


def _words(error: Exception) -> str:
    """Of the system or of ours; those of a client may quote the address with its password."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    if isinstance(error, DeliveryError):
        return str(error)
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(error).__name__


class _PostgresDocument:
    def __init__(self, url: str) -> None:
        import psycopg

        self.failures: tuple[type[Exception], ...] = (psycopg.Error, OSError)
        self._url = url
        self._connect: Callable[..., Any] = psycopg.connect
        self._connection: Any = None

    def read(self) -> bytes | None:
        rows = self._ask(f"SELECT document FROM tokenweir_keys WHERE name = '{_NAME}'")
        return rows[0][0].encode() if rows else None

    def exchange(self, before: bytes | None, after: bytes) -> bool:
        if before is None:
            self._ask("CREATE TABLE IF NOT EXISTS tokenweir_keys (name text PRIMARY KEY, document text NOT NULL)")
            insert = "INSERT INTO tokenweir_keys VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING name"
            return bool(self._ask(insert, [_NAME, after.decode()]))
        update = "UPDATE tokenweir_keys SET document = %s WHERE name = %s AND document = %s RETURNING name"
        return bool(self._ask(update, [after.decode(), _NAME, before.decode()]))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, statement: str, values: list[str] | None = None) -> list[tuple[Any, ...]]:
        from psycopg.errors import UndefinedTable

        if self._connection is None:
            options = {"autocommit": True, "connect_timeout": _SECONDS, "application_name": "tokenweir"}
            self._connection = self._connect(self._url, **options)
            self._connection.execute(f"SET statement_timeout = '{_SECONDS}s'")
        try:
            cursor = self._connection.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []
        except UndefinedTable:
            return []
        except Exception:
            with suppress(Exception):
                self.close()
            self._connection = None
            raise


_EXCHANGE = """
local now = redis.call('get', KEYS[1]) or ''
if now ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[2])
return 1
"""


class _RedisDocument:
    def __init__(self, url: str) -> None:
        import redis

        self.failures: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._client: Any = redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)

    def read(self) -> bytes | None:
        found: bytes | None = self._client.get(_NAME)
        return found

    def exchange(self, before: bytes | None, after: bytes) -> bool:
        return bool(self._client.eval(_EXCHANGE, 1, _NAME, before or b"", after))

    def close(self) -> None:
        self._client.close()


class _BlobDocument:
    def __init__(self, url: str) -> None:
        from ..delivery.blob_container import BlobContainer

        container, _, name = url.rpartition("/")
        self.failures: tuple[type[Exception], ...] = (DeliveryError,)
        self._container = BlobContainer(container, "keys")
        self._name = name
        self._etag: str | None = None
        self._content: bytes | None = None

    def read(self) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        with self._container.failing():
            blob = self._container.blob(self._name)
            try:
                etag = blob.get_blob_properties().etag
                if etag != self._etag:
                    answer = blob.download_blob()
                    self._content, self._etag = answer.readall(), answer.properties.etag
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) != "BlobNotFound":
                    raise
                self._content = self._etag = None
        return self._content

    def exchange(self, before: bytes | None, after: bytes) -> bool:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

        if before != self._content:
            return False
        condition: dict[str, Any] = {"overwrite": False}
        if self._etag is not None:
            condition = {"overwrite": True, "etag": self._etag, "match_condition": MatchConditions.IfNotModified}
        with self._container.failing():
            try:
                self._container.blob(self._name).upload_blob(after, **condition)
            except (ResourceModifiedError, ResourceExistsError):
                return False
        return True

    def close(self) -> None:
        self._container.close()


_KINDS: dict[str, Callable[[str], _Document]] = {
    "postgresql": _PostgresDocument,
    "postgres": _PostgresDocument,
    "redis": _RedisDocument,
    "rediss": _RedisDocument,
    "unix": _RedisDocument,
    "https": _BlobDocument,
    "http": _BlobDocument,
}

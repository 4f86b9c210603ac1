"""A PostgreSQL database: connections to it, and what its errors are called here.

An error's full text may quote the row that it is about, and with it a prompt. Only its first sentence is passed on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool

from ...errors import ConfigError
from ..base import LedgerError
from .migrations import migrate

__all__ = ["Connection", "PostgresDatabase", "explain", "understood"]

Connection = psycopg.Connection[tuple[Any, ...]]

# The admin port answers this many questions at once; the others wait for a connection.
_MOST_CONNECTIONS = 8
# How long to wait for a connection, at the start and later. A database that fails over needs longer, and whoever
# posts to it comes again by himself.
_CONNECT_SECONDS = 10

# Statements are not prepared: a pooler between us and the database may give each transaction another session.
_OPTIONS: dict[str, Any] = {"prepare_threshold": None, "autocommit": True}

_EXAMPLE = "postgresql://user@host:5432/database?sslmode=require"
_NOT_ALLOWED = "its user needs CREATE on the schema once, at the first start of each new version"


class PostgresDatabase:
    """A database with its tables up to date. `ConfigError` where it cannot be used, `LedgerError` if it is away.

    Where somebody has seen to that, ``is_migrated`` spares looking again, and connecting before it is needed.
    """

    def __init__(self, url: str, *, is_migrated: bool = False) -> None:
        self.url = url
        """It may hold a password, and goes into no message."""
        self.place, self._conninfo = understood(url)
        try:
            if not is_migrated:
                with psycopg.connect(self._conninfo, **_OPTIONS) as connection:
                    migrate(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigError(f"the ledger {self.place} cannot be used: {explain(error)}; {_NOT_ALLOWED}") from None
        except psycopg.Error as error:
            raise LedgerError(f"the ledger {self.place} cannot be opened: {explain(error)}") from None
        self._pool = ConnectionPool(
            self._conninfo,
            connection_class=Connection,
            kwargs=_OPTIONS,
            min_size=0 if is_migrated else 1,
            max_size=_MOST_CONNECTIONS,
            timeout=_CONNECT_SECONDS,
            check=ConnectionPool.check_connection,
            configure=_as_text,
            open=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of one's own, committed at the end of the block. Raises `LedgerError`; nothing is left then."""
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield connection
        except psycopg.Error as error:
            raise LedgerError(f"the ledger {self.place} failed: {explain(error)}") from None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection that nobody had before and nobody gets afterwards. Only connecting raises `LedgerError`."""
        try:
            connection = psycopg.connect(self._conninfo, **_OPTIONS)
        except psycopg.Error as error:
            raise LedgerError(f"the ledger {self.place} cannot be reached: {explain(error)}") from None
        with connection:
            yield connection

    def close(self) -> None:
        self._pool.close()


def explain(error: psycopg.Error) -> str:
    """What went wrong, in the server's words or, if it could not be reached, in those of the client; on one line."""
    return " ".join((error.diag.message_primary or str(error)).split())


def understood(url: str) -> tuple[str, str]:
    """The address as it may be shown, and with what it has to say. The URL itself goes into no message."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigError(f"ledger.url is no PostgreSQL address; write it like {_EXAMPLE}") from None
    defaults: dict[str, str | int] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "tokenweir"}
    missing = {name: value for name, value in defaults.items() if name not in given}
    host, port = given.get("host", "localhost"), given.get("port", "5432")
    return f"postgresql://{host}:{port}/{given.get('dbname', '')}", conninfo.make_conninfo(url, **missing)


def _as_text(connection: Connection) -> None:
    """JSON is handed out as it is written, and read where its types are known."""
    connection.adapters.register_loader("json", TextLoader)

"""The engines that keep a ledger, for tests that hold for all of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg

from tokenweir.ledger import Ledger
from tokenweir.ledger.duckdb import migrations as duckdb_migrations
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.ledger.duckdb.ledger import DuckDBLedger
from tokenweir.ledger.limits import Limits
from tokenweir.ledger.postgres import migrations as postgres_migrations
from tokenweir.ledger.postgres.ledger import PostgresLedger
from tokenweir.ledger.postgres.server import Server

from .postgres import PostgresServer

__all__ = ["ENGINES", "DuckDBEngine", "Engine", "PostgresEngine"]

ENGINES = ["duckdb", "postgres"]


class Engine(Protocol):
    """One place for one ledger."""

    name: str
    url: str
    migrations: list[Callable[[Any], None]]
    endless: str
    """A SELECT that does not end."""

    def open(self, limits: Limits | None = None) -> Ledger:
        """The ledger at this place, once."""
        ...

    def connect(self) -> AbstractContextManager[Any]:
        """A connection beside the ledger that `open` gave, for SQL by ``execute``; each statement by itself."""
        ...

    def connect_alone(self) -> AbstractContextManager[Any]:
        """The same where no ledger is open."""
        ...


class DuckDBEngine:
    name = "duckdb"
    migrations = duckdb_migrations.MIGRATIONS
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"

    def __init__(self, directory: Path) -> None:
        self.url = f"duckdb:{directory}/ledger.duckdb"
        self._file: DuckDBFile | None = None

    def open(self, limits: Limits | None = None) -> Ledger:
        self._file = DuckDBFile(self.url.partition(":")[2])
        return DuckDBLedger(self._file, limits)

    def connect(self) -> AbstractContextManager[Any]:
        assert self._file is not None
        return self._file.cursor()

    def connect_alone(self) -> AbstractContextManager[Any]:
        return duckdb.connect(self.url.partition(":")[2])


class PostgresEngine:
    name = "postgres"
    migrations = postgres_migrations.MIGRATIONS
    endless = "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b WHERE a * b % 7 = 3"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.url = server.new_url()

    def open(self, limits: Limits | None = None) -> Ledger:
        return PostgresLedger(Server(self.url), limits)

    def connect(self) -> AbstractContextManager[Any]:
        return psycopg.connect(self.url, autocommit=True)

    connect_alone = connect

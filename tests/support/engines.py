"""The engines that keep a ledger, for tests that hold for all of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import clickhouse_connect
import duckdb
import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from tokenweir.ledger import Ledger
from tokenweir.ledger.clickhouse import migrations as clickhouse_migrations
from tokenweir.ledger.clickhouse.address import understood
from tokenweir.ledger.clickhouse.ledger import ClickHouseLedger
from tokenweir.ledger.clickhouse.server import ClickHouseDatabase
from tokenweir.ledger.duckdb import migrations as duckdb_migrations
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.ledger.duckdb.ledger import DuckDBLedger
from tokenweir.ledger.limits import Limits
from tokenweir.ledger.postgres import migrations as postgres_migrations
from tokenweir.ledger.postgres.ledger import PostgresLedger
from tokenweir.ledger.postgres.server import PostgresDatabase

from .clickhouse import ClickHouseServer
from .postgres import PostgresServer

__all__ = [
    "ENGINES",
    "SHARED",
    "TRANSACTIONAL",
    "ClickHouseEngine",
    "DuckDBEngine",
    "Engine",
    "PostgresEngine",
    "new_engine",
    "open_filled",
]

ENGINES = ["duckdb", "postgres", "clickhouse"]
TRANSACTIONAL = ["duckdb", "postgres"]
"""Those in which rows and position are of one piece, and a reader may see the same rows for a while."""
SHARED = ["postgres", "clickhouse"]
"""Those that several gateways may fill."""


class Engine(Protocol):
    """One place for one ledger."""

    name: str
    migrations: list[Callable[[Any], None]]
    endless: str
    """A SELECT that does not end."""
    rename: str
    """Gives the table ``{}`` the name ``{}``."""
    rows_of: str
    """The table behind ``{}``, where that is a view."""

    @property
    def url(self) -> str: ...

    def fill(self) -> None:
        """Puts there what the first `open` would make: a copy of what one has made, for a fraction of the time."""
        ...

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
    rename = "ALTER TABLE {} RENAME TO {}"
    rows_of = "{}"

    def __init__(self, directory: Path) -> None:
        self.url = f"duckdb:{directory}/ledger.duckdb"
        self._file: DuckDBFile | None = None

    def fill(self) -> None:
        Path(self.url.partition(":")[2]).write_bytes(_new_file())

    def open(self, limits: Limits | None = None) -> Ledger:
        self._file = DuckDBFile(self.url.partition(":")[2])
        return DuckDBLedger(self._file, limits)

    def connect(self) -> AbstractContextManager[Any]:
        assert self._file is not None
        return self._file.cursor()

    def connect_alone(self) -> AbstractContextManager[Any]:
        return duckdb.connect(self.url.partition(":")[2])


@cache
def _new_file() -> bytes:
    """A ledger without calls."""
    with TemporaryDirectory() as directory:
        engine = DuckDBEngine(Path(directory))
        engine.open().close()
        return Path(directory, "ledger.duckdb").read_bytes()


def open_filled(directory: Path) -> Ledger:
    """A new ledger in DuckDB, for tests to which it does not matter how it came."""
    engine = DuckDBEngine(directory)
    engine.fill()
    return engine.open()


class PostgresEngine:
    name = "postgres"
    migrations = postgres_migrations.MIGRATIONS
    endless = "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b WHERE a * b % 7 = 3"
    rename = "ALTER TABLE {} RENAME TO {}"
    rows_of = "{}"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.url = server.new_url()

    def fill(self) -> None:
        """Its tables are made quickly enough."""

    def open(self, limits: Limits | None = None) -> Ledger:
        return PostgresLedger(PostgresDatabase(self.url), limits)

    def connect(self) -> AbstractContextManager[Any]:
        return psycopg.connect(self.url, autocommit=True)

    connect_alone = connect


class ClickHouseEngine:
    name = "clickhouse"
    migrations = clickhouse_migrations.MIGRATIONS
    endless = "SELECT count(*) FROM numbers(10000000) a, numbers(10000000) b WHERE a.number * b.number % 7 = 3"
    rename = "RENAME TABLE {} TO {}"
    rows_of = "posted_{}"

    def __init__(self, server: ClickHouseServer) -> None:
        self.server = server
        self.database = server.new_database()

    @property
    def url(self) -> str:
        return self.server.url(self.database)

    def fill(self) -> None:
        if not self.server.new_ledger:
            first = ClickHouseEngine(self.server)
            first.open().close()
            with first.connect() as connection:
                self.server.new_ledger = _statements_of(connection, first.database)
        for statement in self.server.new_ledger:
            self.server.command(statement.replace("{database}", self.database))

    def open(self, limits: Limits | None = None) -> Ledger:
        return ClickHouseLedger(ClickHouseDatabase(understood(self.url, {})), limits)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        server = self.server
        with clickhouse_connect.get_client(
            host="127.0.0.1",
            port=server.port,
            username=server.user,
            password=server.password,
            database=self.database,
            autogenerate_session_id=False,
        ) as client:
            yield _Statements(client)

    connect_alone = connect


def _statements_of(connection: "_Statements", database: str) -> list[str]:
    """Those that make a copy of ``database`` in ``{database}``, without calls."""
    connection.execute(
        "SELECT replaceAll(create_table_query, currentDatabase() || '.', '{database}.') FROM system.tables "
        "WHERE database = currentDatabase() ORDER BY engine = 'View', name = 'customEvents'"
    )
    made = [statement for (statement,) in connection.all()]
    return [*made, f"INSERT INTO {{database}}.migrations SELECT * FROM {database}.migrations"]


class _Statements:
    """A client of ClickHouse that looks like the connections of the others."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._found: list[Any] = []

    def execute(self, statement: str) -> "_Statements":
        if statement.startswith("SELECT"):
            self._found = [tuple(row) for row in self._client.query(statement).result_rows]
        else:
            self._client.command(statement)
        return self

    def fetchone(self) -> Any:
        return self._found.pop(0) if self._found else None

    def all(self) -> list[Any]:
        return self._found


def new_engine(request: pytest.FixtureRequest, directory: Path) -> Engine:
    """The engine that a fixture's parameter names, with a place where there is nothing yet."""
    match request.param:
        case "postgres":
            return PostgresEngine(request.getfixturevalue("postgres"))
        case "clickhouse":
            return ClickHouseEngine(request.getfixturevalue("clickhouse"))
    return DuckDBEngine(directory)

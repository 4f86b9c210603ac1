"""From the address in the settings to an open ledger."""

import os
from collections.abc import Callable

from ..errors import ConfigError
from .base import Ledger

__all__ = ["NO_LEDGER", "check_url", "ledger_file", "open_ledger"]

NO_LEDGER = "none"
"""The address that means that no ledger is kept here."""

_EXAMPLES = (
    "duckdb:tokenweir-data/ledger.duckdb, postgresql://tokenweir@db.example.org/tokenweir "
    "or clickhouse://tokenweir@db.example.org/tokenweir"
)


def _open_duckdb(url: str) -> Ledger:
    """The engine is loaded here: a relay knows the ledger's settings, and must not carry its database."""
    from .duckdb.file import DuckDBFile
    from .duckdb.ledger import DuckDBLedger

    return DuckDBLedger(DuckDBFile(_place(url)))


def _open_postgres(url: str) -> Ledger:
    try:
        from .postgres.ledger import PostgresLedger
        from .postgres.server import Server
    except ModuleNotFoundError as error:
        raise ConfigError(f"ledger.url needs {error.name}; run: pip install 'tokenweir[postgres]'") from error

    return PostgresLedger(Server(url))


def _open_clickhouse(url: str) -> Ledger:
    try:
        from .clickhouse.address import understood
        from .clickhouse.ledger import ClickHouseLedger
        from .clickhouse.server import Server
    except ModuleNotFoundError as error:
        raise ConfigError(f"ledger.url needs {error.name}; run: pip install 'tokenweir[clickhouse]'") from error

    return ClickHouseLedger(Server(understood(url, os.environ)))


SCHEMES: dict[str, Callable[[str], Ledger]] = {
    "duckdb": _open_duckdb,
    "postgresql": _open_postgres,
    "postgres": _open_postgres,
    "clickhouse": _open_clickhouse,
    "clickhouse+http": _open_clickhouse,
}
"""What an address may begin with, and who opens it."""


def check_url(url: str) -> None:
    """`ConfigError` for an address that no engine here can understand. It may hold a password and is not repeated."""
    if url == NO_LEDGER:
        return
    scheme, place = url.partition(":")[0], _place(url)
    if scheme not in SCHEMES or not place or (scheme != "duckdb" and not place.startswith("//")):
        raise ConfigError(f"is no ledger this version knows; write it like {_EXAMPLES}")


def ledger_file(url: str) -> str | None:
    """The path of a ledger that is a file; ``None`` for one behind a server, and where there is none."""
    return _place(url) if url.startswith("duckdb:") else None


def open_ledger(url: str) -> Ledger:
    """Open (and if need be create) the ledger at this address.

    Raises `ConfigError` if the address cannot be used, `LedgerLocked` if another process has it open, and
    `LedgerError` if its server does not answer.
    """
    try:
        check_url(url)
    except ConfigError as error:
        raise ConfigError(f"ledger.url {error}") from None
    if url == NO_LEDGER:
        raise ConfigError('no ledger is kept here (ledger.url is "none"); ask where one is, with that configuration')
    return SCHEMES[url.partition(":")[0]](url)


def _place(url: str) -> str:
    return url.partition(":")[2]

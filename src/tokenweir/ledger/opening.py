"""From the address in the settings to an open ledger."""

import os
from collections.abc import Callable

from ..errors import ConfigError
from .base import Ledger

__all__ = ["NO_LEDGER", "check_url", "ledger_file", "ledger_opener", "open_ledger"]

NO_LEDGER = "none"
"""The address that means that no ledger is kept here."""

_EXAMPLES = (
    "duckdb:tokenweir-data/ledger.duckdb, postgresql://tokenweir@db.example.org/tokenweir "
    "or clickhouse://tokenweir@db.example.org/tokenweir"
)


Opener = Callable[[], Ledger]


def _duckdb(url: str) -> Opener:
    """The engine is loaded here: a relay knows the ledger's settings, and must not carry its database."""
    from .duckdb.file import DuckDBFile
    from .duckdb.ledger import DuckDBLedger

    return lambda: DuckDBLedger(DuckDBFile(_place(url)))


def _postgres(url: str) -> Opener:
    try:
        from .postgres.ledger import PostgresLedger
        from .postgres.server import PostgresDatabase, understood
    except ModuleNotFoundError as error:
        raise ConfigError(f"ledger.url needs {error.name}; run: pip install 'tokenweir[postgres]'") from error

    understood(url)
    return lambda: PostgresLedger(PostgresDatabase(url))


def _clickhouse(url: str) -> Opener:
    try:
        from .clickhouse.address import understood
        from .clickhouse.ledger import ClickHouseLedger
        from .clickhouse.server import ClickHouseDatabase
    except ModuleNotFoundError as error:
        raise ConfigError(f"ledger.url needs {error.name}; run: pip install 'tokenweir[clickhouse]'") from error

    address = understood(url, os.environ)
    return lambda: ClickHouseLedger(ClickHouseDatabase(address))


SCHEMES: dict[str, Callable[[str], Opener]] = {
    "duckdb": _duckdb,
    "postgresql": _postgres,
    "postgres": _postgres,
    "clickhouse": _clickhouse,
    "clickhouse+http": _clickhouse,
}
"""What an address may begin with, and who can open it."""


def check_url(url: str) -> None:
    """`ConfigError` for an address that no engine here can understand. It may hold a password and is not repeated."""
    if url == NO_LEDGER:
        return
    scheme, place = url.partition(":")[0], _place(url)
    if scheme not in SCHEMES or not place or (scheme != "duckdb" and not place.startswith("//")):
        raise ConfigError(f"is no ledger this version knows; write it like {_EXAMPLES}")
    if scheme == "duckdb" and "?" in place:
        raise ConfigError("has a ? in its path, behind which DuckDB looks for options; choose another path")


def ledger_file(url: str) -> str | None:
    """The path of a ledger that is a file; ``None`` for one behind a server, and where there is none."""
    return _place(url) if url.startswith("duckdb:") else None


def ledger_opener(url: str) -> Opener:
    """What opens (and if need be creates) the ledger at this address, any number of times. It raises `LedgerLocked` if
    another process has the ledger open, `LedgerError` if its server does not answer, and `ConfigError` if it cannot be
    used as it is.

    Raises `ConfigError` if the address itself is wrong, or what it needs is not installed.
    """
    try:
        check_url(url)
    except ConfigError as error:
        raise ConfigError(f"ledger.url {error}") from None
    if url == NO_LEDGER:
        raise ConfigError('no ledger is kept here (ledger.url is "none"); ask where one is, with that configuration')
    return SCHEMES[url.partition(":")[0]](url)


def open_ledger(url: str) -> Ledger:
    """Open the ledger at this address, once. Raises what `ledger_opener` raises, and what it gives."""
    return ledger_opener(url)()


def _place(url: str) -> str:
    return url.partition(":")[2]

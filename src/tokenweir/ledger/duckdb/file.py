"""A DuckDB file, held open by one process: opening it, locking its settings down, and mending it.

Everybody works on a cursor of their own, which in DuckDB is a connection with its own transaction: a reader
sees the last commit and holds up nobody.
"""

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

import duckdb
from duckdb import DuckDBPyConnection

from ...errors import ConfigError
from ..base import LedgerError, LedgerLocked
from .migrations import migrate

__all__ = ["DuckDBFile", "lock_down"]

_HELD = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

# Without external access a name in a query means a table: neither a file nor a variable of this program.
# The memory is the engine's buffers and what queries sort and hash; its default is 80 % of the machine,
# which the relays share. Larger intermediates go to disk beside the ledger, where the journal may live too.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "memory_limit": "1GB",
    "max_temp_directory_size": "4GB",
}

# After the last of these nothing can be changed any more, but for the time that a typed query may take.
_LOCK_DOWN = (
    "SET enable_external_access = false",
    "SET GLOBAL TimeZone = 'UTC'",
    "SET allowed_configs = ['max_execution_time']",
    "SET lock_configuration = true",
)


class DuckDBFile:
    """An open file with its tables up to date. Raises `ConfigError` or `LedgerLocked` if it cannot be."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._connection = _open(place)
        self._mending = Lock()
        self._is_broken = False

    @contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """A connection of one's own; leaving it without a commit rolls back. Raises `LedgerError`."""
        try:
            if self._is_broken:
                self._mend()
            with closing(self._connection.cursor()) as cursor:
                yield cursor
        except duckdb.Error as error:
            self._is_broken = self._is_broken or isinstance(error, duckdb.FatalException)
            raise LedgerError(f"the ledger {self.place} failed: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def _mend(self) -> None:
        """After a checkpoint found the disk full, DuckDB wants its file opened anew; nothing is lost."""
        with self._mending:
            if self._is_broken:
                self._connection.close()
                self._connection = _open(self.place)
                self._is_broken = False


def _open(place: str) -> DuckDBPyConnection:
    connection = _connect(place)
    try:
        migrate(connection)
        lock_down(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def lock_down(connection: DuckDBPyConnection) -> None:
    """From here on a typed query can do no harm, on any cursor of this connection."""
    for statement in _LOCK_DOWN:
        connection.execute(statement)


def _connect(place: str) -> DuckDBPyConnection:
    try:
        Path(place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = duckdb.connect(place, config=_CONFIG)
    except (duckdb.Error, OSError) as error:
        if held := _HELD.search(str(error)):
            raise LedgerLocked(place, f"process {held['pid']} ({held['program']})") from error
        raise ConfigError(f"the ledger {place} cannot be opened: {error}") from error
    # Within a process DuckDB hands out a file that is open already, with whatever settings it has.
    if connection.execute("SELECT current_setting('lock_configuration')").fetchone() == (True,):
        connection.close()
        raise LedgerLocked(place, f"this process ({os.getpid()})")
    return connection

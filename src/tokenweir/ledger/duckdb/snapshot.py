"""A ledger's file, read by the process of a query while the books go on writing it.

DuckDB lets one process write a file and nobody else open it. What the file says is nevertheless settled: its blocks
do not change between two checkpoints, and what was committed since is in the log beside it (the WAL), to which is only
added. So the books hold back their checkpoint (`DuckDBFile.held`) and say how long the log was after the last commit.
A query opens both through a file system of its own, which takes no lock, shows the log up to there, and cannot write.
Nothing is copied: a file with a million calls is open after 5 ms, and after 25 with a megabyte in its log.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from ..base import LedgerError
from ..limits import Limits
from .file import CONFIG, lock_down
from .read_only_files import SCHEME, register
from .sandbox import DuckDBSandbox

__all__ = ["Snapshot"]

_MOST_THREADS = 4  # each takes address space, of which a query has little


class Snapshot(msgspec.Struct, frozen=True):
    """What to open: a file, how much of its log, and a directory for what does not fit into memory."""

    place: str
    log_bytes: int
    scratch: str

    @contextmanager
    def __call__(self, limits: Limits) -> Iterator[DuckDBSandbox]:
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        config = {**CONFIG, "enable_external_access": True, "temp_directory": self.scratch, "threads": threads}
        with closing(duckdb.connect(config=config)) as connection:
            try:
                self._attach(connection)
            except duckdb.Error as error:
                raise LedgerError(f"the ledger {self.place} cannot be asked: {error}") from error
            yield DuckDBSandbox(lambda: _cursor(connection), limits)

    def _attach(self, connection: DuckDBPyConnection) -> None:
        register(connection, {self.place: None, f"{self.place}.wal": self.log_bytes})
        url = f"{SCHEME}://{self.place}".replace("'", "''")
        connection.execute(f"ATTACH '{url}' AS ledger (READ_ONLY)")
        connection.execute("USE ledger")
        lock_down(connection)


@contextmanager
def _cursor(connection: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
    with closing(connection.cursor()) as cursor:
        cursor.execute("USE ledger")
        yield cursor

"""A DuckDB file, held open by one process: opening it, locking its settings down, and repairing it.

Everybody works on a cursor of their own, which in DuckDB is a connection with its own transaction: a reader
sees the last commit and holds up nobody.
"""

import glob
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

import duckdb
from duckdb import DuckDBPyConnection

from ...errors import ConfigError
from ..base import LedgerError, LedgerLocked
from ..limits import TooManyQueries
from .migrations import migrate

__all__ = ["CONFIG", "DuckDBFile", "lock_down"]

_log = logging.getLogger(__name__)

_HELD = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

# Without external access a name in a query means a table: neither a file nor a variable of this program.
# The memory is the engine's buffers and what queries sort and hash; its default is 80 % of the machine,
# which the relays share. Larger intermediates go to disk beside the ledger, where the journal may live too.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "memory_limit": "1GB",
    "max_temp_directory_size": "4GB",
}

# The engine would write its log into the file whenever it likes; the file must stay as it is while queries read it.
_NO_CHECKPOINTS: dict[str, str | bool | int | float | list[str]] = {
    "wal_autocheckpoint": "1000TB",
    "auto_checkpoint_skip_wal_threshold": str(1 << 50),
}
# Rows that are compressed together. When so many have come, a checkpoint compresses them all while posting waits: with
# the engine's 122,880 that is a second of processor time now and then, with these a twentieth each time. Questions take
# as long, and the file is no larger. Only who attaches a file may say it; groups of other sizes stay as they are.
_ROW_GROUP = 20_480

# What the engine allows its log by itself. Whoever opens the file, a query too, has to read the log: 0.3 s for this.
_CHECKPOINT_BYTES = 16 * 1024**2
# Queries that follow each other without a pause would let the log grow. From here on they are asked to wait.
_MOST_LOG_BYTES = 128 * 1024**2

_INVALIDATED = "has been invalidated"
"""What the engine says of a file that it will not touch any more until it is attached anew."""

_SCRATCH = ".query-"

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
        self._holding = Lock()
        self._holders = 0
        self._openings = 0
        self._remove_scratch()

    @contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """A connection of one's own; leaving it without a commit rolls back. Raises `LedgerError`."""
        try:
            if self._is_broken:
                self._mend()
            with closing(self._connection.cursor()) as cursor:
                cursor.execute("USE ledger")
                yield cursor
        except duckdb.Error as error:
            self._is_broken = self._is_broken or _INVALIDATED in str(error) or isinstance(error, duckdb.FatalException)
            raise LedgerError(f"the ledger {self.place} failed: {error}") from error

    @contextmanager
    def held(self) -> Iterator[int]:
        """Keeps the file as it is until the block ends, but for its log. Gives the log's length, which is a whole
        number of commits if nobody commits at the moment. `TooManyQueries` where the file has been held for too long;
        `LedgerError` at the end if it could not be kept."""
        with self._holding:
            length, opening = self._log_bytes(), self._openings
            if self._holders and length >= _MOST_LOG_BYTES:
                raise TooManyQueries
            self._holders += 1
        try:
            yield length
        finally:
            with self._holding:
                self._holders -= 1
        if self._openings != opening:
            raise LedgerError(f"the ledger {self.place} was opened anew in the meantime; ask again")

    def checkpoint(self) -> None:
        """Writes the log into the file where it has become long, unless somebody holds the file. To be called by
        whoever commits, in between. One that fails is tried again; the log has everything."""
        with self._holding:
            if self._holders or self._log_bytes() < _CHECKPOINT_BYTES:
                return
            try:
                with self.cursor() as cursor:
                    cursor.execute("CHECKPOINT")
            except LedgerError as error:
                _log.warning("%s; what is in its log is safe there", error)

    def _log_bytes(self) -> int:
        try:
            return Path(f"{self.place}.wal").stat().st_size
        except FileNotFoundError:
            return 0

    def scratch(self) -> str:
        """The beginning of the path of a directory for a query's intermediates."""
        return f"{Path(self.place).absolute()}{_SCRATCH}"

    def _remove_scratch(self) -> None:
        """What queries left behind whose books were killed."""
        place = Path(self.place)
        for directory in place.parent.glob(f"{glob.escape(place.name)}{_SCRATCH}*"):
            shutil.rmtree(directory, ignore_errors=True)

    def close(self) -> None:
        self._openings += 1
        self._connection.close()

    def _mend(self) -> None:
        """After a checkpoint found the disk full, DuckDB wants its file opened anew; nothing is lost."""
        with self._mending:
            if self._is_broken:
                self._openings += 1
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
        spill = {} if place == ":memory:" else {"temp_directory": f"{place}.tmp"}
        connection = duckdb.connect(config={**CONFIG, **_NO_CHECKPOINTS, **spill, "enable_external_access": True})
        connection.execute(f"ATTACH {_literal(place)} AS ledger (ROW_GROUP_SIZE {_ROW_GROUP})")
        connection.execute("USE ledger")
    except (duckdb.Error, OSError) as error:
        if held := _HELD.search(str(error)):
            raise LedgerLocked(place, f"process {held['pid']} ({held['program']})") from error
        if "already attached" in str(error):
            raise LedgerLocked(place, f"this process ({os.getpid()})") from error
        raise ConfigError(f"the ledger {place} cannot be opened: {error}") from error
    return connection


def _literal(text: str) -> str:
    """SQL for a text."""
    return "'{}'".format(text.replace("'", "''"))

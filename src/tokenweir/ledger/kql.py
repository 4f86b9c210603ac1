"""KQL for engines that KQL cannot be translated for: the calls that a query looks at come to a DuckDB in memory.

1. The query is translated, and planned over an empty ledger. The plan tells which columns of ``calls`` it reads,
   and in simple cases from when to when.
2. The engine copies those columns and times, but no more than `MOST_CALLS`. What the plan did not tell only means
   that more is copied: every condition of the query is applied to the copies again.
3. The query runs on the copies, in the sandbox that any DuckDB ledger has.
"""

import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from ..errors import QueryError
from .base import Piece
from .duckdb.file import lock_down
from .duckdb.migrations import migrate
from .duckdb.sandbox import DuckDBSandbox, translate
from .limits import Limits, QuerySlots
from .rows import CALL_COLUMNS

__all__ = ["MOST_CALLS", "KqlOverCopies", "Wanted"]

# With the columns of customEvents, nearly thirty, this is three quarters of a gigabyte and eleven seconds.
MOST_CALLS = 1_000_000

# A visitor's memory is all it has: it has no file beside which it could put what is too large.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "1GB", "max_temp_directory_size": "0GB"}

# Between the plan and the query `now()` goes on a little, and with it the end of what `ago()` means.
_LATER = timedelta(minutes=10)

_BOUND = re.compile(r"started_at (?P<side>[<>])=? '(?P<moment>[-\d]{10} [:\d]{8}(\.\d+)?)'::TIMESTAMP")


class Wanted(msgspec.Struct, frozen=True):
    """What a query has to see of ``calls``: these columns, from ``since`` to ``until``, both included and in UTC."""

    columns: list[str]
    since: datetime | None
    until: datetime | None


Copy = Callable[[Limits, Wanted, int, BinaryIO], int]
"""Writes wanted calls as CSV, up to a number of them; how many there were. Without quotes, nothing means NULL."""


class KqlOverCopies:
    """Answers KQL over another engine's ``calls`` and ``customEvents``, of which ``copy`` brings what is needed."""

    def __init__(self, copy: Copy, limits: Limits, most_calls: int = MOST_CALLS) -> None:
        self._copy = copy
        self._limits = limits
        self._most_calls = most_calls
        self._slots = QuerySlots(limits)

    def kql(self, text: str) -> Generator[Piece]:
        """One KQL query. `QueryError` also if it would have to look at too many calls."""
        with self._slots.acquire(), closing(_empty_ledger()) as visitor:
            wanted = _wanted(visitor, text)
            if wanted is not None:
                self._bring(visitor, wanted)
            lock_down(visitor)
            yield from DuckDBSandbox(lambda: _cursor(visitor), self._limits).kql(text)

    def _bring(self, visitor: DuckDBPyConnection, wanted: Wanted) -> None:
        # A file without a name: it is gone with us, however we end.
        with tempfile.TemporaryFile() as file:
            found = self._copy(self._limits, wanted, self._most_calls + 1, file)
            if found > self._most_calls:
                raise QueryError(
                    f"this query looks at more than {self._most_calls:,} calls, and for KQL they have to be copied out "
                    "of this ledger; ask about less time (`where started_at > ago(7d)` at the beginning), or ask in SQL"
                )
            file.flush()
            try:
                _load(visitor, wanted.columns, file.fileno())
            except duckdb.OutOfMemoryException as error:
                raise QueryError(
                    "the calls that this query looks at need more memory than queries may have; ask for fewer columns "
                    "or about less time"
                ) from error


def _empty_ledger() -> DuckDBPyConnection:
    """``calls`` and ``customEvents`` with nothing in them. The other tables stay where they are."""
    connection = duckdb.connect(":memory:", config=_CONFIG)
    migrate(connection)
    # Columns that nobody reads stay empty, so nothing may be required and nothing is a key.
    connection.execute("CREATE TABLE copies AS FROM calls")
    for table in ("calls", "contents", "positions", "migrations", "daily_usage", "daily_quantities", "closed_days"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("ALTER TABLE copies RENAME TO calls")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@contextmanager
def _cursor(connection: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
    with closing(connection.cursor()) as cursor:
        yield cursor


def _wanted(visitor: DuckDBPyConnection, text: str) -> Wanted | None:
    """What a query has to see; ``None`` if it looks at no calls."""
    statement, values = translate(visitor, text)
    # The first would find out that there is nothing in the tables, and leave them out of the plan. The second has a
    # table read twice, with the conditions and by row numbers, which looks like two needs.
    visitor.execute("SET disabled_optimizers = 'statistics_propagation,late_materialization'")
    try:
        rows = visitor.execute(f"EXPLAIN (FORMAT json) {statement}", values or None).fetchall()
    except duckdb.Error:
        return None  # what is wrong with the query is said when it is run
    finally:
        visitor.execute("RESET disabled_optimizers")
    scans = [_scan(node) for plan in msgspec.json.decode(rows[0][1]) for node in _nodes(plan) if _is_scan(node)]
    if not scans:
        return None
    columns = {column for scan in scans for column in scan.columns}
    return Wanted(
        [name for name in CALL_COLUMNS if name in columns] or ["call_id"],
        min((scan.since for scan in scans if scan.since), default=None) if all(scan.since for scan in scans) else None,
        max((scan.until for scan in scans if scan.until), default=None) if all(scan.until for scan in scans) else None,
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan["children"]:
        yield from _nodes(child)


def _is_scan(node: dict[str, Any]) -> bool:
    return "Table" in node["extra_info"]


def _scan(node: dict[str, Any]) -> Wanted:
    """What one scan of ``calls`` reads. Of its conditions, only bounds of the time are understood."""
    details = node["extra_info"]
    if "Projections" not in details:
        return Wanted(CALL_COLUMNS, None, None)
    read = [*_texts(details["Projections"]), *_texts(details.get("Filters", []))]
    names = {name for text in read for name in re.findall(r"\w+", text)}
    bounds = [bound for text in _texts(details.get("Filters", [])) for bound in _bounds(text)]
    return Wanted(
        [name for name in CALL_COLUMNS if name in names],
        max((moment for side, moment in bounds if side == ">"), default=None),
        min((moment + _LATER for side, moment in bounds if side == "<"), default=None),
    )


def _texts(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _bounds(condition: str) -> Iterator[tuple[str, datetime]]:
    """``((started_at >= '…'::TIMESTAMP) AND (started_at <= '…'::TIMESTAMP))``, or one of them."""
    parts = condition.replace("(", "").replace(")", "").split(" AND ")
    matches = [_BOUND.fullmatch(part.strip()) for part in parts]
    for match in matches:
        if match is not None and all(matches):
            yield match["side"], datetime.fromisoformat(match["moment"])


def _load(visitor: DuckDBPyConnection, columns: list[str], fd: int) -> None:
    types = dict(
        visitor.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'calls'").fetchall()
    )
    shape = ", ".join(f"'{name}': '{types[name]}'" for name in columns)
    visitor.execute(
        f"INSERT INTO calls ({', '.join(columns)}) SELECT * FROM read_csv('/proc/{os.getpid()}/fd/{fd}', "
        f"columns = {{{shape}}}, header = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', "
        "nullstr = '', allow_quoted_nulls = false, auto_detect = false, parallel = false, max_line_size = 67108864)"
    )

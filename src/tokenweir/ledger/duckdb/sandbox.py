"""Queries that somebody typed, run on the live ledger without being trusted.

What keeps them harmless: the engine has no access to files, network, extensions or settings (`file.py`
locks that down for everybody); exactly one statement, and only a SELECT; a read-only transaction, rolled
back; a limit on time, rows, and how many run at once.

The clock is looked at between chunks of rows, so a single enormous value (``repeat('x', 4000000000)``)
can outstay it.
"""

import ctypes
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock, Timer, get_ident
from typing import Any

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from ...errors import QueryError
from ..base import PIECE_ROWS, CellKind, Piece
from ..limits import Limits, QuerySlots
from .event_columns import with_columns
from .kusto_texts import with_texts

__all__ = ["DuckDBSandbox", "translate"]

# A hundred conditions take a third of a second; the translator is Python and slows down the other threads.
TRANSLATION_SECONDS = 5.0

_ISO = "strftime(#{n}, '%Y-%m-%dT%H:%M:%S.%fZ')"
_FINITE = "CASE WHEN isfinite(#{n}) THEN #{n} END"
_AS_IT_IS = "#{n}"
_AS_JSON = "to_json(#{n})"
_AS_TEXT = "#{n}::VARCHAR"

_CELLS = {
    **dict.fromkeys(["boolean", "varchar", "null"], _AS_IT_IS),
    **dict.fromkeys(["tinyint", "smallint", "integer", "bigint", "hugeint"], _AS_IT_IS),
    **dict.fromkeys(["utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"], _AS_IT_IS),
    **dict.fromkeys(["float", "double"], _FINITE),
    **dict.fromkeys(["timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"], _ISO),
    "timestamp with time zone": _ISO,
    **dict.fromkeys(["list", "array", "struct", "map", "union", "variant"], _AS_JSON),
}
"""The engine's type → how column ``n`` becomes a JSON value. Decimals, dates and the rest become text."""

_KINDS: dict[str, CellKind] = {
    "decimal": "decimal",
    **{name: "moment" for name, cell in _CELLS.items() if cell is _ISO},
}


class DuckDBSandbox:
    """Runs queries on cursors of a file that was locked down."""

    def __init__(
        self, cursor: Callable[[], AbstractContextManager[DuckDBPyConnection]], limits: Limits | None = None
    ) -> None:
        self._open_cursor = cursor
        self._limits = limits or Limits()
        self._slots = QuerySlots(self._limits)

    def sql(self, text: str) -> Generator[Piece]:
        """One SELECT. Raises `QueryError` with the engine's words, made into a sentence."""
        with self._cursor() as cursor:
            yield from self._run(cursor, text)

    def kql(self, text: str) -> Generator[Piece]:
        """One KQL query. Raises `QueryError`; a construct that has no translation is refused, not guessed."""
        with self._cursor(is_typed=False) as cursor:
            yield from self._run(cursor, *translate(cursor, text))

    @contextmanager
    def _cursor(self, *, is_typed: bool = True) -> Iterator[DuckDBPyConnection]:
        """A connection with a running clock, in a transaction that cannot write and is never committed."""
        with self._slots.acquire(), self._open_cursor() as cursor:
            cursor.execute(f"SET max_execution_time = {round(self._limits.seconds * 1000)}")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                yield cursor
            except duckdb.FatalException:
                raise
            except duckdb.Error as error:
                raise QueryError(self._explain(error, is_typed)) from error

    def _run(self, cursor: DuckDBPyConnection, text: str, values: dict[str, Any] | None = None) -> Iterator[Piece]:
        select = _the_one_select(cursor, text)
        relation = cursor.sql(select, params=values or None)
        columns, types = list(relation.columns), list(relation.types)
        cells = ", ".join(_CELLS.get(kind.id, _AS_TEXT).format(n=n) for n, kind in enumerate(types, start=1))
        decoded = [n for n, kind in enumerate(types) if str(kind) == "JSON" or _CELLS.get(kind.id) is _AS_JSON]
        kinds = [_KINDS.get(kind.id, "plain") for kind in types]
        most = "" if self._limits.rows is None else f" LIMIT {self._limits.rows + 1}"
        cursor.execute(f"SELECT {cells} FROM (\n{select.rstrip().rstrip(';')}\n) AS answer{most}", values or None)
        while True:
            found = cursor.fetchmany(PIECE_ROWS)
            yield Piece(columns, kinds, [_decode(list(row), decoded) for row in found])
            if len(found) < PIECE_ROWS:
                return

    def _explain(self, error: duckdb.Error, is_typed: bool) -> str:
        """The engine's message, unless a person could not act on it."""
        match error:
            case duckdb.InterruptException():
                return self._limits.took_too_long()
            case duckdb.OutOfMemoryException():
                return "the query needs more memory than queries may have; ask for fewer groups or columns"
            case duckdb.PermissionException():
                return "queries have no access to files, network or extensions"
        # What follows the message points into the statement, which in KQL is a translation nobody typed.
        return str(error) if is_typed else str(error).partition("\n\nLINE ")[0]


def _the_one_select(cursor: DuckDBPyConnection, text: str) -> str:
    statements = cursor.extract_statements(text)
    if len(statements) != 1:
        raise QueryError(f"write exactly one SELECT; there are {len(statements)} statements here")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(f"only SELECT can be run here, and this is {statements[0].type.name}")
    return statements[0].query


def translate(cursor: DuckDBPyConnection, text: str) -> tuple[str, dict[str, Any]]:
    """KQL as the engine's SQL, and the values of the parameters it declares. `QueryError` if it has none."""
    # Its parser takes a third of a second to load, which only those who ask in KQL should pay.
    import duckdb_kql
    from duckdb_kql.engine import schema

    tables = schema(cursor)

    def statement(kql: str) -> str:
        return str(duckdb_kql.to_sql(kql, schema=tables, allow_write=False))

    try:
        with _deadline(TRANSLATION_SECONDS):
            translated = duckdb_kql.to_sql(text, schema=tables, allow_write=False)
    except duckdb_kql.KqlError as error:
        # The parser lists every word of the language that could have stood there instead.
        raise QueryError(f"KQL: {str(error).partition(' expecting {')[0]}") from error
    except RecursionError as error:
        raise QueryError("KQL: the query is nested too deeply") from error
    except _TooLong:
        limit = f"{TRANSLATION_SECONDS:g} s"
        raise QueryError(f"KQL: the query takes longer than {limit} to translate; make it simpler") from None
    if translated.unbound:
        raise QueryError(f"KQL: give a default to the parameter {', '.join(translated.unbound)}")
    over_columns = with_columns(cursor, str(translated), translated.parameters, statement)
    return with_texts(cursor, over_columns), translated.parameters


def _decode(row: list[Any], places: list[int]) -> list[Any]:
    for place in places:
        if row[place] is not None:
            row[place] = msgspec.json.decode(row[place])
    return row


class _TooLong(BaseException):
    """Raised into a thread from outside."""


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise `_TooLong` in this thread's Python code when the time is over.

    For the translator: its output doubles with every ``let b = a + a``, and it has no limit of its own.
    """
    thread = ctypes.c_ulong(get_ident())
    turn = Lock()
    is_over = False

    def stop() -> None:
        with turn:
            if not is_over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(_TooLong))

    timer = Timer(seconds, stop)
    timer.start()
    try:
        yield
    finally:
        # From here on it is too late to stop anything; what was raised before arrives while we wait our turn.
        with turn:
            is_over = True
        timer.cancel()

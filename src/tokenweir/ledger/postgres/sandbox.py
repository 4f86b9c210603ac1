"""SQL that somebody typed, run on the live database without being trusted.

What keeps it harmless: it is the query of a cursor, which the grammar allows to be a SELECT and nothing else, and
one statement only; a read-only transaction on a connection of its own, so that nothing it sets or locks outlives
it; a limit on time, rows, and how many run at once. What it may read is what the ledger's user may read. A user
who may read the server's files too (a superuser) is therefore refused.
"""

import math
import re
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from ...errors import QueryError
from ..base import PIECE_ROWS, CellKind, Piece
from ..limits import Limits, QuerySlots
from .server import Connection, PostgresDatabase, explain

__all__ = ["PostgresSandbox"]

_DECLARE = "DECLARE answer NO SCROLL CURSOR FOR "

_MAY_READ_FILES = (
    "SELECT bool_or(pg_has_role(oid, 'member')) FROM pg_roles "
    "WHERE rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')"
)

_AS_TEXT = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "bytea", "record")
"""Types that Python has something for, and that are shown as the server writes them."""

_KINDS: dict[str, CellKind] = {"timestamp": "moment", "timestamptz": "moment", "numeric": "decimal"}

_MOMENT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?(?:\+00)?")


class PostgresSandbox:
    """Runs queries on connections of their own."""

    def __init__(self, server: PostgresDatabase, limits: Limits) -> None:
        self._server = server
        self._limits = limits
        self._slots = QuerySlots(limits)

    def sql(self, text: str) -> Generator[Piece]:
        """One SELECT. Raises `QueryError` with the server's words, made into a sentence."""
        with self._slots.acquire(), self._server.connection() as connection:
            try:
                _refuse_superuser(connection)
                _lock_down(connection, self._limits.seconds)
                yield from self._run(connection, text)
            except psycopg.Error as error:
                raise QueryError(_explained(error, text, self._limits)) from None

    def _run(self, connection: Connection, text: str) -> Iterator[Piece]:
        # In the protocol's extended form, which `binary` asks for, there can be no second statement behind a semicolon.
        connection.execute((_DECLARE + text.rstrip().rstrip(";")).encode(), binary=True)
        size = PIECE_ROWS if self._limits.rows is None else self._limits.rows + 1
        while True:
            cursor = connection.execute(f"FETCH {size} FROM answer")
            found = cursor.fetchall()
            columns = cursor.description or []
            types = [column.type_display for column in columns]
            shown = [_cells(kind, cells) for kind, cells in zip(types, zip(*found, strict=True), strict=False)]
            kinds = [_KINDS.get(kind.partition("(")[0], "plain") for kind in types]
            yield Piece([column.name for column in columns], kinds, [list(row) for row in zip(*shown, strict=True)])
            if len(found) < size:
                return


def _refuse_superuser(connection: Connection) -> None:
    if connection.execute(_MAY_READ_FILES).fetchone() == (True,):
        raise QueryError(
            "SQL is not run here, because the ledger's database user may read the server's files; "
            "give ledger.url an ordinary user who owns the ledger's tables (KQL can be asked all the same)"
        )


def _lock_down(connection: Connection, seconds: float) -> None:
    """Begins the transaction in which the query runs; it ends with the connection."""
    for name in _AS_TEXT:
        connection.adapters.register_loader(name, TextLoader)
    set_json_loads(msgspec.json.decode, connection)
    connection.execute("SET default_transaction_read_only = on")
    connection.execute(f"SET statement_timeout = {round(seconds * 1000)}")
    # Where the query's process is ended, the server is to notice, and not at the query's next row.
    if connection.info.server_version >= 140000:
        connection.execute("SET client_connection_check_interval = '1s'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET DateStyle = 'ISO'")
    connection.execute("SET IntervalStyle = 'postgres'")
    # Rows are fetched to the end or the limit, so the plan that shows its first row soonest is not the best.
    connection.execute("SET cursor_tuple_fraction = 1")
    connection.execute("BEGIN READ ONLY")


def _cells(kind: str, cells: Sequence[Any]) -> list[Any]:
    """The cells of one column as JSON values."""
    if kind in ("timestamp", "timestamptz"):
        return [_iso(cell) for cell in cells]
    if kind == "numeric" and all(_is_whole(cell) for cell in cells):
        # The server adds up whole numbers to a decimal without places.
        return [None if cell is None else int(cell) for cell in cells]
    return [_plain(cell) for cell in cells]


def _iso(moment: str | None) -> str | None:
    """The server's own form with what makes it ISO 8601; a moment that has no such form stays as it is."""
    if moment is None or not (parts := _MOMENT.fullmatch(moment)):
        return moment
    return f"{parts[1]}T{parts[2]}.{(parts[3] or '').ljust(6, '0')}Z"


def _is_whole(cell: Decimal | None) -> bool:
    return cell is None or cell.as_tuple().exponent == 0


def _plain(cell: Any) -> Any:
    match cell:
        case float():
            return cell if math.isfinite(cell) else None
        case Decimal():
            return f"{cell:f}"
        case list():
            return [_plain(inner) for inner in cell]
        case None | bool() | int() | str() | dict():
            return cell
    return str(cell)


def _explained(error: psycopg.Error, text: str, limits: Limits) -> str:
    """The server's message, unless a person could not act on it, and where in the text it points."""
    match error:
        case psycopg.errors.QueryCanceled():
            return limits.took_too_long()
        case psycopg.errors.SyntaxError() if not re.match(
            r"\s*\(*\s*(select|with|values|table)\b", text, re.IGNORECASE
        ):
            return f"only SELECT can be run here: {explain(error)}"
    words = [explain(error)]
    if error.diag.message_hint:
        words.append(error.diag.message_hint.rstrip("."))
    return "; ".join(words) + _where(error, text)


def _where(error: psycopg.Error, text: str) -> str:
    position = int(error.diag.statement_position or 0) - len(_DECLARE)
    if not 0 < position <= len(text) + 1:
        return ""
    before = text[: position - 1]
    return f" (line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"

"""SQL that somebody typed, run on the live database without being trusted.

What keeps it harmless: it stands in parentheses, where the grammar allows a SELECT and nothing else; the server's
``readonly``, under which it can change neither data nor settings, and reach neither files nor other servers; a limit
on time, rows, and how many run at once. What it may read is what the ledger's user may read.
"""

import re
from collections.abc import Generator
from typing import Any

from ...errors import QueryError
from ..base import PIECE_ROWS, CellKind, Piece
from ..limits import Limits, QuerySlots
from .server import ClickHouseDatabase, Error, ResultColumn, explain

__all__ = ["TOOK_TOO_LONG", "ClickHouseSandbox", "guards"]

TOOK_TOO_LONG, _SYNTAX_ERROR = 159, 62

_KINDS: dict[str, CellKind] = {"DateTime": "moment", "DateTime64": "moment", "Decimal": "decimal"}

_READS = re.compile(r"\s*\(*\s*(select|with|from|values)\b", re.IGNORECASE)
_SYNTAX = re.compile(
    r"Syntax error(?P<more> \([^()]*\))?: failed at position \d+ \((?P<token>.*?)\)"
    r"(?: \(line (?P<line>\d+), col (?P<column>\d+)\))?: .*",
    re.DOTALL,
)


def guards(limits: Limits) -> dict[str, Any]:
    """Settings under which a question can do no harm. It cannot change them: ``readonly`` is one of them."""
    return {
        "readonly": 1,
        "max_execution_time": limits.seconds,
        "timeout_overflow_mode": "throw",
        "cancel_http_readonly_queries_on_client_close": 1,
    }


class ClickHouseSandbox:
    """Runs queries that change nothing."""

    def __init__(self, server: ClickHouseDatabase, limits: Limits) -> None:
        self._server = server
        self._limits = limits
        self._slots = QuerySlots(limits)

    def sql(self, text: str) -> Generator[Piece]:
        """One SELECT. Raises `QueryError` with the server's words, made into a sentence."""
        # As everywhere but here, UNION alone drops what is there twice.
        settings = {**guards(self._limits), "union_default_mode": "DISTINCT"}
        if self._limits.rows is not None:
            settings["limit"] = self._limits.rows + 1
        with self._slots.acquire():
            try:
                # What follows the text is on a line of its own, lest it end in a comment.
                statement = f"SELECT * FROM (\n{text.rstrip().rstrip(';')}\n)"
                for columns, rows in self._server.ask_for_all(statement, settings, PIECE_ROWS):
                    kinds = [_KINDS.get(column.kind.partition("(")[0], "plain") for column in columns]
                    yield Piece([column.name for column in columns], kinds, _shown(columns, rows))
            except Error as error:
                if error.code is None:
                    with self._server.failing():
                        raise
                raise QueryError(_explained(error, text, self._limits)) from None


def _shown(columns: list[ResultColumn], rows: list[list[Any]]) -> list[list[Any]]:
    for place, column in enumerate(columns):
        if _is_moment(column):
            for row in rows:
                row[place] = _iso(row[place])
    return rows


def _is_moment(column: ResultColumn) -> bool:
    return column.kind.startswith("DateTime")


def _iso(moment: str | None) -> str | None:
    """With six decimals of the second, however many the server keeps of it."""
    if moment is None:
        return None
    second, _, fraction = moment.removesuffix("Z").partition(".")
    return f"{second}.{fraction[:6].ljust(6, '0')}Z"


def _explained(error: Error, text: str, limits: Limits) -> str:
    """The server's message, unless a person could not act on it, and where in the text it points."""
    if error.code == TOOK_TOO_LONG:
        return limits.took_too_long()
    words = explain(error)
    if error.code == _SYNTAX_ERROR:
        words = _SYNTAX.sub(_where, words)
        if not _READS.match(text):
            return f"only SELECT can be run here: {words}"
    return words


def _where(found: re.Match[str]) -> str:
    """Without the list of all that could have stood there, and counted from the beginning of what was typed."""
    place = f" (line {int(found['line']) - 1}, column {found['column']})" if found["line"] else ""
    return f"syntax error{found['more'] or ''} at {found['token']}{place}"

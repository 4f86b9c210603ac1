"""Calls by the million in a ledger's tables, made by its engine of some that were posted: each copy has its own id,
time and names elsewhere, and the rest of the call that it was made of."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["DIALECTS", "Dialect", "copying"]

_ID = "0199{0}-{1}-7abc-8def-0123456789ab"


class Dialect(NamedTuple):
    """What engines write differently."""

    temporary: str
    hexadecimal: str
    """Of a number ``{0}``, with ``{1}`` digits."""
    shift: str
    mask: str
    later: str
    """``started_at`` and so many microseconds ``{0}``."""
    joined: str
    """Texts one behind the other, with ``, `` between them."""
    table: str = "calls"


DIALECTS = {
    "DuckDB": Dialect(
        "CREATE TEMPORARY TABLE", "printf('%0{1}x', {0})", "({0}) >> 16", "({0}) & 65535",
        "started_at + to_microseconds({0})", "concat({0})",
    ),
    "PostgreSQL": Dialect(
        "CREATE TEMPORARY TABLE", "lpad(to_hex({0}), {1}, '0')", "({0}) >> 16", "({0}) & 65535",
        "started_at + {0} * INTERVAL '1 microsecond'", "concat({0})",
    ),
    "ClickHouse": Dialect(
        "CREATE TABLE", "leftPad(lower(hex({0})), {1}, '0')", "bitShiftRight({0}, 16)", "bitAnd({0}, 65535)",
        "addMicroseconds(started_at, {0})", "concat({0})", "posted_calls",
    ),
}  # fmt: skip


def copying(
    dialect: Dialect, columns: Sequence[str], originals: int, first: int, last: int, microseconds: float
) -> Iterator[str]:
    """The statements that make calls ``first`` to ``last`` (not included) of calls 0 to ``originals``, which follow
    each other after so many ``microseconds``."""
    yield f"{dialect.temporary} originals AS SELECT {', '.join(columns)} FROM calls WHERE seq < {originals}"
    for start in range(first, last, originals):
        cells = ", ".join(_cell(dialect, name, start, round(start * microseconds)) for name in columns)
        many = min(originals, last - start)
        yield (
            f"INSERT INTO {dialect.table} ({', '.join(columns)}) SELECT {cells} FROM originals "
            f"WHERE seq < {many} ORDER BY originals.seq"
        )
    yield "DROP TABLE originals"


def _cell(dialect: Dialect, column: str, start: int, microseconds: int) -> str:
    number = f"seq + {start}"
    match column:
        case "call_id":
            high, low = (dialect.hexadecimal.format(part.format(number), 4) for part in (dialect.shift, dialect.mask))
            before, between, after = _ID.replace("{0}", "\n").replace("{1}", "\n").split("\n")
            return dialect.joined.format(f"'{before}', {high}, '{between}', {low}, '{after}'")
        case "started_at":
            return dialect.later.format(microseconds)
        case "seq":
            return number
        case "upstream_request_id":
            return dialect.hexadecimal.format(number, 32)
        case "response_id":
            return dialect.joined.format(f"'chatcmpl-', {dialect.hexadecimal.format(number, 24)}")
    return column

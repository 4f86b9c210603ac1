"""Writes all rows of an answer as they come: CSV, JSON or Parquet, to a file or to standard output.

A file is there when it is complete, and not before. Who watches at a terminal is told how far it is.
"""

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal

import msgspec

from ..errors import TokenweirError
from .output import cell_text

if TYPE_CHECKING:
    from ..ledger import Piece

__all__ = ["export"]

_encode = msgspec.json.encode


def export(pieces: "Iterator[Piece]", format: Literal["csv", "json", "parquet"], output: Path | None) -> None:
    """Raises what the pieces raise, and `TokenweirError` where the file cannot be written."""
    first = next(pieces)
    counted = _told(chain((first,), pieces))
    write = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[format]
    if output is None:
        write(first, counted, sys.stdout)
        return
    try:
        with _whole_file(output) as file:
            write(first, counted, file)
    except OSError as error:
        raise TokenweirError(f"{output} cannot be written: {error.strerror or error}") from error


def _told(pieces: "Iterator[Piece]") -> "Iterator[Piece]":
    count, is_watched = 0, sys.stderr.isatty()
    for piece in pieces:
        yield piece
        count += len(piece.rows)
        if is_watched:
            print(f"\rtokenweir: {count:,} rows", end="", file=sys.stderr, flush=True)
    if is_watched:
        print(file=sys.stderr)


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[str]]:
    """A file beside this one, which takes its place at the end; it is gone where the block fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _write_csv(first: "Piece", pieces: "Iterator[Piece]", file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(first.columns)
    for piece in pieces:
        writer.writerows([cell_text(value) for value in row] for row in piece.rows)


def _write_json(first: "Piece", pieces: "Iterator[Piece]", file: IO[str]) -> None:
    separator = "[\n"
    for piece in pieces:
        for row in piece.rows:
            file.write(separator + _encode(dict(zip(first.columns, row, strict=True))).decode())
            separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_parquet(first: "Piece", pieces: "Iterator[Piece]", file: IO[str]) -> None:
    """By way of a file of JSON lines, because a column's type shows with its last row."""
    import duckdb

    names = [f"c{number}" for number in range(len(first.columns))]
    seen: list[set[type]] = [set() for _ in names]
    with NamedTemporaryFile("wb", dir=Path(file.name).parent, suffix=".partial") as lines:
        for piece in pieces:
            for row in piece.rows:
                lines.write(_encode({name: _flat(cell) for name, cell in zip(names, row, strict=True)}) + b"\n")
            for of_column, cells in zip(seen, zip(*piece.rows, strict=True), strict=False):
                of_column.update(map(type, cells))
        lines.flush()
        types = [_parquet_type(kind, found - {type(None)}) for kind, found in zip(first.kinds, seen, strict=True)]
        shape = ", ".join(f"{name}: '{kind}'" for name, kind in zip(names, types, strict=True))
        columns = ", ".join(
            f'{name} AS "{column.replace(chr(34), chr(34) * 2)}"'
            for name, column in zip(names, first.columns, strict=True)
        )
        source = f"read_json({_quoted(lines.name)}, format = 'newline_delimited', columns = {{{shape}}})"
        with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(
                f"COPY (SELECT {columns} FROM {source}) TO {_quoted(file.name)} (FORMAT parquet, COMPRESSION zstd)"
            )


def _flat(cell: Any) -> Any:
    return _encode(cell).decode() if isinstance(cell, (dict, list)) else cell


def _parquet_type(kind: str, found: set[type]) -> str:
    """Of a column, by what the engine says of it and by what its cells are; lists and objects are JSON as text."""
    match kind, found:
        case "moment", _:
            return "TIMESTAMPTZ"
        case "decimal", _ if found <= {str}:
            return "DECIMAL(38, 12)"
        case _, _ if found == {int} or (kind == "decimal" and found <= {int}):
            return "BIGINT"
        case _, _ if found and found <= {int, float}:
            return "DOUBLE"
        case _, _ if found == {bool}:
            return "BOOLEAN"
    return "VARCHAR"


def _quoted(path: str) -> str:
    return "'{}'".format(path.replace("'", "''"))

"""Prints rows as a table for people, JSON for programs, CSV for spreadsheets; money is exact text in each."""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from .params import Format

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["new_console", "print_json", "print_rows"]

Row = Sequence[Any]


def print_rows(columns: Sequence[str], rows: Sequence[Row], format: Format) -> None:
    """Rows of plain values: texts, numbers, times, money, and tables or lists of them."""
    if format == "json":
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_text(value) for value in row] for row in rows)
    else:
        _print_table(columns, rows)


def print_json(value: Any) -> None:
    """One JSON value, indented."""
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def new_console() -> "Console":
    """What people are shown things on. A pipe has no width: nothing is folded or cut for one."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000)


def _print_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        is_number = column == "cost" or any(isinstance(row[index], (int, float)) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    new_console().print(table)


def _shown(value: Any) -> str:
    """For people: thousands are set apart, and times end at the second."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case dict():
            return ", ".join(f"{name}={_text(inner)}" for name, inner in value.items())
        case list():
            return ", ".join(_text(inner) for inner in value)
    return _text(value)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case datetime():
            return value.isoformat()
        case dict() | list() | bool():
            return msgspec.json.encode(value).decode()
    return str(value)

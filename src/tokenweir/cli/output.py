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

__all__ = ["cell_text", "new_console", "print_json", "print_rows"]

Row = Sequence[Any]

# Nobody reads a longer table in a window; it is looked through, or cut out of a scrollback.
_MOST_FOLDED = 1_000


def print_rows(columns: Sequence[str], rows: Sequence[Row], format: Format, totals: Sequence[Row] = ()) -> None:
    """Rows of plain values: texts, numbers, times, money, and tables or lists of them. Under a table, and only there,
    stand ``totals``."""
    if format == "json":
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell_text(value) for value in row] for row in rows)
    else:
        _print_table(columns, rows, totals)


def print_json(value: Any) -> None:
    """One JSON value, indented."""
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def new_console() -> "Console":
    """What people are shown things on. A pipe has no width: nothing is folded or cut for one."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000)


def _print_table(columns: Sequence[str], rows: Sequence[Row], totals: Sequence[Row]) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    cells = [[_shown(value) for value in row] for row in (*rows, *totals)]
    sides = ["right" if _is_of_numbers(name, [row[n] for row in rows]) else "left" for n, name in enumerate(columns)]
    console = new_console()
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    if sum(widths) + 2 * len(widths) > console.width and len(cells) <= _MOST_FOLDED:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column, side in zip(columns, sides, strict=True):
            table.add_column(column, justify="right" if side == "right" else "left", overflow="fold")
        for number, row in enumerate(cells, start=1):
            table.add_row(*map(Text, row), end_section=number == len(rows))
        console.print(table)
        return

    # What need not be folded is written at once: laid out by the library, a row takes half a millisecond.
    def line(row: Sequence[str]) -> str:
        gaps = (" " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
        aligned = zip(row, gaps, sides, strict=True)
        return "  ".join(gap + text if side == "right" else text + gap for text, gap, side in aligned).rstrip() + "\n"

    rule = "─" * (sum(widths) + 2 * max(len(widths) - 1, 0)) + "\n"
    sys.stdout.writelines([line(columns), rule, *map(line, cells[: len(rows)])])
    if totals:
        sys.stdout.writelines([rule, *map(line, cells[len(rows) :])])


def _is_of_numbers(name: str, column: Sequence[Any]) -> bool:
    return name == "cost" or any(isinstance(cell, (int, float)) for cell in column)


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
            return ", ".join(f"{name}={cell_text(inner)}" for name, inner in value.items())
        case list():
            return ", ".join(cell_text(inner) for inner in value)
    return cell_text(value)


def cell_text(value: Any) -> str:
    """For a spreadsheet."""
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

"""``tokenweir months``: which months are closed, and closing one."""

import getpass
from typing import Annotated

import typer

from .app import new_group
from .params import ConfigOption, FormatOption, load_config

__all__ = ["months"]

months = new_group("List and close months, whose statements never change from then on.")

_COLUMNS = ["month", "fiscal", "status", "since", "until", "timezone", "calls", "late_calls", "corrections"]


@months.command("list")
def list_months(format: FormatOption = "table", file: ConfigOption = None) -> None:
    """All months with calls: those that are closed, and those that can be."""
    import msgspec

    from .books_access import open_books
    from .hints import NO_CALLS, say_if_empty
    from .output import print_rows

    with open_books(load_config(file, checked=False).config) as books:
        listed = books.months()
    columns = _COLUMNS if format == "table" else [*_COLUMNS, "closed_at", "closed_by", "digest"]
    if not any(month.fiscal for month in listed):
        columns = [name for name in columns if name != "fiscal"]
    print_rows(columns, [[msgspec.structs.asdict(month)[name] for name in columns] for month in listed], format)
    say_if_empty(listed, format, NO_CALLS)


@months.command()
def close(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="last, one like 2026-10, or FY2027-P01.")],
    file: ConfigOption = None,
) -> None:
    """Close a month that is over. What comes later becomes an adjustment of the next one."""
    from .books_access import open_books

    with open_books(load_config(file, checked=False).config) as books:
        closed = books.close_month(month, getpass.getuser())
    print(
        f"{closed.month} is closed: {closed.calls:,} calls from {closed.since:%Y-%m-%d %H:%M} until "
        f"{closed.until:%Y-%m-%d %H:%M} UTC ({closed.timezone}), {closed.row_count:,} rows\n"
        f"digest of its rows (SHA-256): {closed.digest}\n"
        f"its statement: tokenweir statement --month {closed.month} --by cost_centre"
    )


@months.command()
def verify(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="A closed month, like 2026-10.")],
    file: ConfigOption = None,
) -> None:
    """Whether the rows of a closed month are those that were kept. Exit code 1 if not."""
    from .books_access import open_books

    with open_books(load_config(file, checked=False).config) as books:
        wrong = books.verify_month(month)
    if wrong is not None:
        print(wrong)
        raise typer.Exit(1)
    print(f"{month}: all rows are there, as they were when it was closed")

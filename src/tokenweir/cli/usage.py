"""``tokenweir usage``: who used what, and what it cost."""

from typing import Annotated

import typer

from .params import ConfigOption, FormatOption, load_config, moment

__all__ = ["usage"]


def usage(
    by: Annotated[
        str, typer.Option(metavar="NAMES", help="What to sum by, like caller,model or day,tag:cost_centre.")
    ] = "caller,model",
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="7d ago, a date, or a time. Included.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="As --since; not included.")] = None,
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Sum calls, tokens and cost; the same answer whether or not a gateway is running."""
    from ..ledger import SUMS
    from .books_access import open_books
    from .hints import NO_CALLS, say_estimates, say_if_empty, say_refusals
    from .output import print_rows

    config = load_config(file, checked=False).config
    names = list(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    with open_books(config) as books:
        rows = books.usage(names, moment(since), moment(until))
        columns = [*names, *SUMS]
        print_rows(columns, [[row[column] for column in columns] for row in rows], format)
        if since or until:
            say_if_empty(rows, format, "there are no calls in that time; without --since and --until all are summed")
        else:
            say_if_empty(rows, format, NO_CALLS)
        say_refusals(books, moment(since), moment(until), format)
        say_estimates(books, moment(since), moment(until), format)

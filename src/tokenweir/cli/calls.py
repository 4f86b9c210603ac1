"""``tokenweir calls`` and ``tokenweir call``: the records themselves."""

import sys
from typing import Annotated

import typer

from .params import ConfigOption, FormatOption, load_config, moment

__all__ = ["call", "calls"]

_SHOWN = (
    "started_at",
    "call_id",
    "caller",
    "deployment",
    "status",
    "outcome",
    "usage_source",
    "input_tokens",
    "output_tokens",
    "cost",
    "currency",
    "latency_ms",
)
"""What a person sees of each call; JSON and CSV have every field."""


def calls(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    caller: Annotated[str | None, typer.Option(metavar="NAME", help="Only this caller's.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="Only since: 7d ago, a date, or a time.")] = None,
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """List calls, newest first."""
    from .books_access import open_books
    from .hints import NO_CALLS, say_if_empty
    from .output import print_rows
    from .totals import with_cost

    with open_books(load_config(file, checked=False).config) as books:
        rows = books.calls(limit, caller, moment(since))
    columns = list(_SHOWN if format == "table" else dict.fromkeys(name for row in rows for name in row))
    if format != "json":
        rows = [with_cost(row, format) for row in rows]
    print_rows(columns, [[row.get(column) for column in columns] for row in rows], format)
    if caller or since:
        asked = "there are no such calls; `tokenweir usage --by caller` shows whose there are, without --since all"
        say_if_empty(rows, format, asked)
    else:
        say_if_empty(rows, format, NO_CALLS)


def call(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="The answer's x-tokenweir-call-id.")],
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Show the whole record of one call; `tokenweir trace` tells it step by step. Exit code 1 if there is none."""
    from .books_access import open_books
    from .output import print_json, print_rows
    from .totals import with_cost

    with open_books(load_config(file, checked=False).config) as books:
        record = books.call(call_id)
    if record is None:
        print(f"tokenweir: there is no call {call_id}", file=sys.stderr)
        raise typer.Exit(1)
    if format == "json":
        print_json(record)
    else:
        if record.get("trace") is not None and format == "table":
            record["trace"] = f"there is one: tokenweir trace {call_id}"  # as it stands it would fill pages
        record = with_cost(record, format)
        known = [(name, value) for name, value in record.items() if value not in (None, {}, [])]
        print_rows(["field", "value"], known, format)

"""``tokenweir query``: KQL or SQL over the ledger."""

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .params import ConfigOption, load_config

__all__ = ["language_of", "query"]

# KQL begins with a table's name or `let`, and SQL with one of these, behind comments.
_SQL = re.compile(r"(\s|--[^\n]*(\n|$)|/\*.*?\*/)*\(?\s*(select|with|from|values)\b", re.IGNORECASE | re.DOTALL)


def query(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="KQL or SQL; @FILE reads it from a file, - from standard input.")
    ],
    kql: Annotated[bool, typer.Option("--kql", help="It is KQL, however it looks.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="It is SQL, however it looks.")] = False,
    format: Annotated[
        Literal["table", "json", "csv", "parquet"],
        typer.Option("--format", help="How to print the answer. A table ends after 10,000 rows; the others have all."),
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it; needed for Parquet.")
    ] = None,
    file: ConfigOption = None,
) -> None:
    """Ask the ledger a question, read only: tokenweir query 'calls | summarize count() by caller'"""
    from .books_access import open_books
    from .export import export
    from .hints import say_if_empty
    from .output import print_rows

    if kql and sql:
        raise typer.BadParameter("a query is one or the other", param_hint="--kql / --sql")
    question = _asked(text)
    if output is not None and format == "table":
        raise typer.BadParameter("a table is for the screen; give --format csv, json or parquet", param_hint="--output")
    if output is None and format == "parquet":
        raise typer.BadParameter("Parquet is no text; give --output FILE", param_hint="--format")
    language = "kql" if kql else "sql" if sql else language_of(question)
    with open_books(load_config(file, checked=False).config) as books:
        if format != "table":
            export(books.all_rows(language, question), format, output)
            return
        table = books.query(language, question)
    print_rows(table.columns, table.rows, format)
    say_if_empty(table.rows, format, "no rows; `tokenweir query 'calls | take 5'` shows what there is")
    if table.note:
        print(f"tokenweir: note: {table.note}", file=sys.stderr)


def _asked(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):  # with which neither language begins
        return text
    try:
        return Path(text[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{text[1:]} cannot be read: {error}", param_hint="TEXT") from error


def language_of(text: str) -> Literal["kql", "sql"]:
    """What a question looks like."""
    return "sql" if _SQL.match(text) else "kql"

"""``tokenweir query``: KQL or SQL over the ledger."""

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .params import ConfigOption, FormatOption, load_config

__all__ = ["language_of", "query"]

# KQL begins with a table's name or `let`, and SQL with one of these, behind comments.
_SQL = re.compile(r"(\s|--[^\n]*(\n|$)|/\*.*?\*/)*\(?\s*(select|with|from|values)\b", re.IGNORECASE | re.DOTALL)


def query(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="KQL or SQL; @FILE reads it from a file, - from standard input.")
    ],
    kql: Annotated[bool, typer.Option("--kql", help="It is KQL, however it looks.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="It is SQL, however it looks.")] = False,
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Ask the ledger a question, read only: tokenweir query 'calls | summarize count() by caller'"""
    from .books_access import open_books
    from .hints import say_if_empty
    from .output import print_rows

    if kql and sql:
        raise typer.BadParameter("a query is one or the other", param_hint="--kql / --sql")
    question = _asked(text)
    language = "kql" if kql else "sql" if sql else language_of(question)
    with open_books(load_config(file, checked=False).config) as books:
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

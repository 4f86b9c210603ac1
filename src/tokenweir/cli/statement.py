"""``tokenweir statement``: what each team is charged for a month."""

import csv
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import TokenweirError
from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..statements import Statement

__all__ = ["statement"]

StatementFormat = Literal["table", "csv", "json", "html", "pdf", "focus"]


def statement(
    month: Annotated[
        str, typer.Option(metavar="MONTH", help="this, last, one like 2026-10, or a fiscal period like FY2027-P01.")
    ] = "last",
    by: Annotated[
        str, typer.Option(metavar="NAMES", help="Who is charged: caller, cost_centre, tag:team, model, deployment…")
    ] = "cost_centre",
    currency: Annotated[
        str | None, typer.Option(metavar="CODE", help="Convert amounts by the rates of [[statements.rates]].")
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="In a table: every line, with quantity and rate.")] = False,
    format: Annotated[
        StatementFormat, typer.Option("--format", help="How to print it; focus is CSV of FOCUS 1.0, line by line.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it; needed for PDF.")
    ] = None,
    font: Annotated[
        Path | None, typer.Option(metavar="FILE", help="In a PDF: a TrueType font for letters beyond Western Europe.")
    ] = None,
    file: ConfigOption = None,
) -> None:
    """The statement of a month, to the cent. A closed month stays as it is; an open one says as of when."""
    import msgspec

    from ..statements.focus import FOCUS_COLUMNS, focus_rows, left_out
    from ..statements.html import as_html
    from ..statements.pdf import as_pdf
    from ..statements.tables import LINE_COLUMNS, line_rows
    from .books_access import open_books

    if output is None and format == "pdf":
        raise typer.BadParameter("a PDF is no text; give --output FILE", param_hint="--format")
    config = load_config(file, checked=False).config
    with open_books(config) as books:
        made = books.statement(month, by, currency)
    match format:
        case "table":
            with _written(output) as out:
                _print(made, out, lines=lines)
        case "csv":
            with _written(output) as out:
                _write_csv([*made.by, *LINE_COLUMNS], line_rows(made), out)
        case "focus":
            with _written(output) as out:
                _write_csv(FOCUS_COLUMNS, focus_rows(made, config.statements.billing_account), out)
            if missing := left_out(made):
                _say(
                    f"{missing:,} lines have no price and are in no row: FOCUS wants a cost in each; see --format table"
                )
        case "json":
            with _written(output) as out:
                encode = msgspec.json.Encoder(decimal_format="string").encode
                out.write(msgspec.json.format(encode(msgspec.to_builtins(made))).decode() + "\n")
        case "html":
            with _written(output) as out:
                out.write(as_html(made))
        case "pdf":
            content = as_pdf(made, font)
            assert output is not None
            try:
                output.write_bytes(content)
            except OSError as error:
                raise TokenweirError(f"{output} cannot be written: {error.strerror}") from error


def _print(made: "Statement", out: IO[str], *, lines: bool) -> None:
    from contextlib import redirect_stdout

    from ..statements.html import facts_of
    from ..statements.tables import GROUP_COLUMNS, LINE_COLUMNS, group_rows, line_rows
    from .output import print_rows

    with redirect_stdout(out):
        print(f"Statement {made.period}, {'closed' if made.is_closed else 'open'}")
        for name, what in facts_of(made):
            print(f"{name}: {what}")
        print()
        if lines:
            print_rows([*made.by, *LINE_COLUMNS], list(line_rows(made)), "table")
        else:
            rows = [[*(cell or "(none)" for cell in cells), *_sums(group)] for cells, group in group_rows(made)]
            blank = [""] * len(made.by)
            print_rows([*made.by, *GROUP_COLUMNS], rows, "table", [[*blank, *_sums(total)] for total in made.totals])
        print()
        for note in made.notes:
            print(note)
        print(f'Check: tokenweir query "{made.check}"')


def _sums(of: Any) -> list[Any]:
    from ..statements.tables import money_text, quantity_text, share_text

    estimated, unpriced = share_text(of)
    return [
        of.calls,
        quantity_text(of.tokens),
        estimated,
        unpriced,
        money_text(of.adjustments) if of.adjustments else "",
        money_text(of.amount, is_floor=of.is_floor),
        of.currency,
    ]


def _write_csv(columns: "Sequence[str]", rows: "Iterable[Sequence[Any]]", out: IO[str]) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)


@contextmanager
def _written(output: Path | None) -> "Iterator[IO[str]]":
    if output is None:
        yield sys.stdout
        return
    try:
        with open(output, "w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise TokenweirError(f"{output} cannot be written: {error.strerror}") from error


def _say(text: str) -> None:
    print(f"tokenweir: {text}", file=sys.stderr)

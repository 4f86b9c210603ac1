"""``tokenweir import``: fills the ledger with records that are somewhere else already."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from ..delivery.importing import ImportSource
    from .books_access import OpenBooks

__all__ = ["import_records"]

_MOST_TOLD = 5


def import_records(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PLACE]...",
            help="A directory of segments or JSON lines, such a file, blob storage, or the address of another ledger. "
            "Without one: journal.archive.",
        ),
    ] = None,
    file: ConfigOption = None,
) -> None:
    """Fill the ledger from segments, from files that a sink wrote, or from another ledger: each call once, by its id.
    Exit code 1 if something could not be read."""
    from ..delivery.importing import open_import
    from .books_access import open_books

    config = load_config(file, checked=False).config
    wanted = places or ([config.journal.archive] if config.journal.archive else [])
    if not wanted:
        raise ConfigError(
            "say what to import: a directory, a file or the address of a ledger; no journal.archive is set"
        )
    unreadable = 0
    with open_books(config) as books:
        for place in wanted:
            unreadable += _import(books, open_import(place, config.ledger.url))
    if unreadable:
        raise typer.Exit(1)


def _import(books: "OpenBooks", source: "ImportSource") -> int:
    """How many could not be read."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    read = new = unreadable = 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(source.unit))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("import", total=source.total)
        try:
            for batch in source.batches():
                new += books.bring(batch.records)
                read += len(batch.records)
                for why in batch.unreadable[: max(0, _MOST_TOLD - unreadable)]:
                    progress.console.print(f"tokenweir: {why}", markup=False, highlight=False, soft_wrap=True)
                unreadable += len(batch.unreadable)
                progress.advance(task, batch.done)
        finally:
            progress.stop()
            left_out = f", {unreadable:,} could not be read" if unreadable else ""
            print(f"{source.what}: {read:,} records read, {new:,} new, {read - new:,} were there{left_out}")
    return unreadable

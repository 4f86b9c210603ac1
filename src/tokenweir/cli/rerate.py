"""``tokenweir rerate``: what calls cost by today's price list for their day, and booking the difference."""

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError, QueryError
from .params import ConfigOption, FormatOption, load_config

if TYPE_CHECKING:
    from ..statements import Rated, WantedCalls
    from .books_access import OpenBooks
    from .params import Format

__all__ = ["rerate"]

_GROUPS = ("caller", "model", "deployment", "cost_centre")


def rerate(
    since: Annotated[str, typer.Option(metavar="WHEN", help="From when on: a date, a time, or 7d ago.")],
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="As --since; not included.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of this model or deployment.")] = None,
    caller: Annotated[str | None, typer.Option(metavar="NAME", help="Only this caller's calls.")] = None,
    by: Annotated[
        str, typer.Option(metavar="NAMES", help="By what the difference is shown: caller, model, tag:cost_centre…")
    ] = "caller",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Book the difference without asking.")] = False,
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Rate calls anew, each at the price of its day, and book what differs as correcting entries. Nothing is changed
    before the difference is shown and agreed to; a second time finds nothing."""
    from ..ledger import TAG, parse_moment, unknown_name
    from ..records import SystemClock
    from ..statements import WantedCalls
    from .books_access import open_books

    config = load_config(file, checked=False).config
    if not config.prices and config.pricing.list is None and not config.pricing.files:
        raise ConfigError("there are no [[prices]] to rate calls by; give the configuration that has them")
    names = [name.strip() for name in by.split(",") if name.strip()]
    for name in names:
        if name not in _GROUPS and not name.startswith(TAG):
            raise QueryError(unknown_name("a difference by", name, [*_GROUPS, f"{TAG}<name>"]))
    now = SystemClock().now()
    wanted = WantedCalls(
        since=parse_moment(since, now),
        until=parse_moment(until, now) if until else None,
        model=model,
        caller=caller,
        by=names,
    )
    with open_books(config) as books:
        rated = _rate(books, wanted, is_kept=not dry_run)
        _show(rated, format)
        if dry_run or not rated.corrected:
            _say(format, "nothing was booked" if rated.corrected else "nothing is to be booked")
            return
        is_agreed = False
        try:
            is_agreed = yes or _asked(rated)
        finally:
            if not is_agreed:
                books.discard(rated, getpass.getuser())
        if not is_agreed:
            _say(format, "nothing was booked")
            raise typer.Exit(1)
        run = books.book(rated, getpass.getuser())
    _say(format, f"booked as run {run.number}: {run.calls:,} correcting entries, which usage and statements have now")


def _rate(books: "OpenBooks", wanted: "WantedCalls", *, is_kept: bool) -> "Rated":
    from rich.console import Console

    console = Console(stderr=True)
    if not sys.stderr.isatty():
        return books.rate(wanted, lambda calls: None, is_kept=is_kept)
    with console.status("rating calls") as status:
        return books.rate(wanted, lambda calls: status.update(f"{calls:,} calls rated"), is_kept=is_kept)


def _show(rated: "Rated", format: "Format") -> None:
    from .output import print_rows

    columns = [*(rated.differences[0].group if rated.differences else ()), *_SUMS]
    rows = [
        [*one.group.values(), one.calls, f"{one.before:f}", f"{one.after:f}", f"{one.difference:+f}", one.currency]
        for one in rated.differences
    ]
    print_rows(columns, rows, format)
    _say(format, f"{rated.calls:,} calls were rated, {rated.corrected:,} cost something else now")
    if rated.unpriced:
        _say(format, f"{rated.unpriced:,} calls keep their cost: for all or a part of them there is no price any more")
    if rated.foreign:
        _say(format, f"{rated.foreign:,} calls came with a cost of their own and keep it")
    for month, calls in rated.of_closed.items():
        _say(format, f"{calls:,} of them are of {month}, which is closed: adjustments of the first month that is open")


_SUMS = ["calls", "before", "after", "difference", "currency"]


def _asked(rated: "Rated") -> bool:
    if not sys.stdin.isatty():
        raise QueryError("nobody is there to ask; nothing was booked: give --yes, or --dry-run to look only")
    return typer.confirm(f"Book {rated.corrected:,} correcting entries?", err=True)


def _say(format: "Format", line: str) -> None:
    print(line, file=sys.stdout if format == "table" else sys.stderr)

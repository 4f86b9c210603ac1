"""``tokenweir usage``: who used what, and what it cost."""

import re
from typing import Annotated, Any

import typer

from .params import ConfigOption, FormatOption, load_config

__all__ = ["usage"]


def usage(
    by: Annotated[
        str, typer.Option(metavar="NAMES", help="What to sum by, like caller,model or day,tag:cost_centre.")
    ] = "caller,model",
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="7d ago, a date, or a time. Included.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="As --since; not included.")] = None,
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Only one month: last, this, or 2026-10.")] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose days, hours and months are meant, like Europe/Berlin.")
    ] = "UTC",
    caller: Annotated[str | None, typer.Option(metavar="NAME", help="Only this caller's calls.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only calls with this tag; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only calls of this model, sku, region…; repeatable.")
    ] = None,
    unmetered: Annotated[
        bool, typer.Option("--unmetered", help="Only calls whose usage is not known at all, by path.")
    ] = False,
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Sum calls, tokens and cost; the same answer whether or not a gateway is running."""
    import msgspec

    from ..ledger import SUMS, TAG
    from ..records import QUANTITIES, SystemClock
    from .books_access import chosen_among, open_books
    from .hints import NO_CALLS, say_as_of, say_corrections, say_estimates, say_if_empty, say_refusals
    from .output import print_rows
    from .totals import shown_cost, total_rows

    config = load_config(file, checked=False).config
    names = list(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    chosen = _pairs("--only", only) | {f"{TAG}{name}": value for name, value in _pairs("--tag", tag).items()}
    if caller is not None:
        chosen["caller"] = caller
    among = chosen_among(since, until, month, timezone, chosen)
    if unmetered:
        among = msgspec.structs.replace(among, only=among.only | {"usage_source": "none"})
    with open_books(config) as books:
        if unmetered:
            rows = _by_path(books.usage(["path", "usage_reason"], among))
            print_rows(_UNMETERED, [[row[name] for name in _UNMETERED] for row in rows], format)
            say_if_empty(rows, format, "every call whose usage was due is metered")
            return
        rows = books.usage(names, among)
        used = [name for name in QUANTITIES if any(name in row["quantities"] for row in rows)]
        columns = [*names, *SUMS, *used]
        cells = [_cells(row, columns, shown_cost(row, format)) for row in rows]
        totals = total_rows(rows) if format == "table" and names and len(rows) > 1 else []
        print_rows(columns, cells, format, [_cells(row, columns, shown_cost(row, format)) for row in totals])
        if among.since or among.until or chosen:
            say_if_empty(rows, format, "there are no such calls; without filters and times all are summed")
        else:
            say_if_empty(rows, format, NO_CALLS)
        say_as_of(rows, SystemClock().now(), format)
        say_refusals(books, among, format)
        say_estimates(books, among, format)
        say_corrections(books, among, format)


_UNMETERED = ["path", "usage_reason", "calls", "unmetered_bytes"]
_ID = re.compile(r"/(?:[A-Za-z]+[_-])?(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{12,}(?=/|$)")


def _by_path(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls of which nobody knows what they used, most first; ids in paths are one and the same."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["usage_reason"] not in (None, "later"):
            of = sums.setdefault((_ID.sub("/{id}", row["path"]), row["usage_reason"]), [0, 0])
            of[0] += row["calls"]
            of[1] += int(row["quantities"].get("unmetered_bytes", 0))
    most = sorted(sums.items(), key=lambda one: (-one[1][0], one[0]))
    return [dict(zip(_UNMETERED, [*names, calls, size or None], strict=True)) for names, (calls, size) in most]


def _cells(row: dict[str, Any], columns: list[str], cost: Any) -> list[Any]:
    values = row | row["quantities"] | {"cost": cost}
    return [values.get(column) for column in columns]


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """``NAME=VALUE``, each name once."""
    pairs: dict[str, str] = {}
    for text in given or []:
        name, separator, value = text.partition("=")
        if not separator or name in pairs:
            wrong = "is given twice" if separator else "has no `=`; write NAME=VALUE"
            raise typer.BadParameter(f"{text} {wrong}", param_hint=option)
        pairs[name] = value
    return pairs

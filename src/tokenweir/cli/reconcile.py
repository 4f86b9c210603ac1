"""``tokenweir reconcile``: the ledger beside Azure's bill, its metrics, or API Management's log."""

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError, QueryError
from .params import ConfigOption, FormatOption, load_config

__all__ = ["reconcile"]

_GROUPS = ("day", "deployment", "model")


def reconcile(
    bill: Annotated[Path, typer.Argument(metavar="FILE", help="A cost export (CSV), metrics or an LLM log (JSON).")],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="cost, metrics or llm-log; default: as the file looks.")
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAMES", help="Among day, deployment and model.")] = "deployment,model",
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="Default: the file's first day.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Not included; default: after its last day.")
    ] = None,
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Only one month: last, this, or 2026-10.")] = None,
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Whose days the file has; Azure's are UTC.")] = "UTC",
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Compare what Azure has counted with what the ledger has, by deployment, model, meter and day, and say why they
    differ as far as it can be known. Exit code 1 if something differs by more than rounding."""
    from ..ledger import parse_timezone
    from ..reconciling import FILE_KINDS, OWN_GROUPS, compare, own_amounts, read_file, summed
    from .books_access import chosen_among, open_books
    from .output import print_rows

    names = [name.strip() for name in by.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _GROUPS]:
        raise QueryError(f"--by knows {', '.join(_GROUPS)}, and not {unknown[0]}")
    wanted = next((one for one in FILE_KINDS if one == kind), None)
    if kind is not None and wanted is None:
        raise ConfigError(f"--kind is one of {', '.join(FILE_KINDS)}, and not {kind}")
    config = load_config(file, checked=False).config
    found, told = read_file(bill, wanted)
    if not told:
        raise ConfigError(f"{bill}: nothing of a model is in it; is it of the right subscription, resource and time?")
    zone = parse_timezone(timezone)
    if month is None:
        first, last = min(one.day for one in told), max(one.day for one in told) + timedelta(days=1)
        since = since or datetime.combine(first, time(), zone).isoformat()
        until = until or datetime.combine(last, time(), zone).isoformat()
    among = chosen_among(since, until, month, timezone, {})
    start, end = (moment.astimezone(zone).date() if moment else None for moment in (among.since, among.until))
    told = [one for one in told if (start is None or one.day >= start) and (end is None or one.day < end)]
    with open_books(config) as books:
        kept = own_amounts(books.usage(OWN_GROUPS, among))
    rows = summed(compare(told, kept), names)
    columns = [*names, "meter", "currency", "theirs", "ours", "difference", "why"]
    if not any(row.currency for row in rows):
        columns.remove("currency")
    cells = [
        {
            "day": row.day and row.day.isoformat(),
            "deployment": row.deployment,
            "model": row.model,
            "meter": row.meter,
            "currency": row.currency,
            "theirs": f"{row.theirs.normalize():f}",
            "ours": f"{row.ours.normalize():f}",
            "difference": f"{row.difference.normalize():f}",
            "why": "; ".join(row.reasons),
        }
        for row in rows
    ]
    print_rows(columns, [[cell[name] for name in columns] for cell in cells], format)
    differs = [row for row in rows if row.difference and row.reasons != ("rounding",)]
    if format == "table":
        span = f"{start or 'the beginning'} to {end or 'now'} (not included), days of {timezone}"
        typer.echo(
            f"{found}: {len(rows)} amounts from {span}; "
            + (f"{len(differs)} differ by more than rounding" if differs else "all agree"),
            err=True,
        )
    if differs:
        raise typer.Exit(1)

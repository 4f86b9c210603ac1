"""``tokenweir prices``: which prices there are, what is wrong with them, what changed, and which made a call's cost."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .app import new_group
from .params import ConfigOption, Format, FormatOption, load_config

if TYPE_CHECKING:
    from ..pricing import ListedPrice
    from ..records import CallRecord

__all__ = ["prices"]

prices = new_group("Show and check prices, explain a call's cost, and share out what is paid as a whole.")

_COLUMNS = [
    *("price_id", "model", "deployment_type", "region", "service_tier", "input_above", "since", "until"),
    *("meter", "price", "per", "unit", "currency", "confidence", "source"),
]
_Month = Annotated[str, typer.Option("--month", metavar="MONTH", help="Of which month (UTC): last, this, or 2026-10.")]
_By = Annotated[str, typer.Option(metavar="NAMES", help="Whose parts, like caller or caller,tag:cost_centre.")]


@prices.command("list")
def list_prices(
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Only of models that begin so.")] = None,
    azure: Annotated[
        bool, typer.Option("--azure", help="Also what Azure lists, where `pricing.list` does not say it.")
    ] = False,
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """List every price, those of the configuration first."""
    from ..pricing import listed_prices
    from .output import print_rows

    config = load_config(file, checked=False).config
    found = listed_prices(config.prices, with_azure=azure or config.pricing.list == "azure")
    rows = [_shown(one, format) for one in found if model is None or one.row.model.startswith(model)]
    print_rows(_COLUMNS, rows, format)
    if not rows and format == "table":
        print("tokenweir: there are no such prices; --azure shows what Azure lists", file=sys.stderr)


def _shown(one: "ListedPrice", format: Format) -> list[Any]:
    row, region = one.row, one.row.region
    if format == "table" and region is not None and " " in region:
        first, *others = region.split()
        region = f"{first} and {len(others)} more"
    since, until = (None if moment is None else f"{moment:%Y-%m-%d %H:%M}" for moment in (row.since, row.until))
    tier = row.service_tier or "default"
    return [
        *(row.name, row.model, row.deployment_type, region, tier, row.input_above or None, since, until),
        *(one.meter, f"{one.price:f}", one.per, one.unit, row.currency, one.confidence, one.source),
    ]


@prices.command()
def check(file: ConfigOption = None) -> None:
    """Say what is wrong with prices, and what may surprise. Exit code 1 where something is wrong."""
    import os

    from ..config import examine
    from ..pricing import METERS, azure_list, mixed_rows

    loaded = examine(file, os.environ)
    tables = ("[[prices]]", "[pricing]", "[[exchange_rates]]", "[[adjustments]]")
    problems = [one for one in loaded.problems if any(table in one for table in tables)]
    for problem in problems:
        print(problem)
    config = loaded.config
    for mixed in mixed_rows(config.prices):
        print(f"[[prices]] #{mixed.number} model: {mixed}")
    count = sum(getattr(row, meter) is not None for row in config.prices for meter in METERS)
    print(f"{len(config.prices)} rows of [[prices]] with {count} prices, {len(problems)} problems")
    if config.pricing.list == "azure":
        days = sorted(listed.row.since for listed in azure_list() if listed.row.since is not None)
        print(f"below them {len(azure_list())} rows that Azure lists, the last from {days[-1]:%Y-%m-%d} on")
    if problems:
        raise typer.Exit(1)


@prices.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A configuration, or a table like azure_prices.tsv.")],
    new: Annotated[
        Path, typer.Argument(metavar="NEW", help="Another; `azure`: the list that comes with this program.")
    ],
    format: FormatOption = "table",
) -> None:
    """Compare two lists, price by price. Exit code 1 where the new one goes backwards: a price that begins earlier."""
    from ..pricing import compared
    from .output import print_rows

    changes = compared(_read_list(old), _read_list(new))
    columns = ["what", "price_id", "meter", "old", "new", "percent", "currency"]
    print_rows(columns, [[getattr(change, column) for column in columns] for change in changes], format)
    backwards = sum(change.what == "backwards" for change in changes)
    if backwards:
        print(f"tokenweir: {backwards} prices begin earlier than those that they replace", file=sys.stderr)
        raise typer.Exit(1)
    if not changes and format == "table":
        print("tokenweir: both say the same", file=sys.stderr)


def _read_list(path: Path) -> "list[ListedPrice]":
    import os

    from ..config import load
    from ..pricing import azure_list, listed_prices, read_table

    if str(path) == "azure":
        return listed_prices((), listed=azure_list())
    if path.suffix == ".tsv":
        try:
            return listed_prices((), listed=read_table(path.read_text("utf-8")))
        except (OSError, ValueError, KeyError, StopIteration) as error:
            raise ConfigError(f"{path} is no table of prices as scripts/prices.py makes it: {error}") from error
    return listed_prices(load(path, os.environ, checked=False).config.prices)


@prices.command()
def explain(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="The answer's x-tokenweir-call-id.")],
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Show which price made each line of a call's cost, and what today's prices make of it. Exit code 1 if there is no
    such call."""
    from ..config import pricer_of
    from ..pricing import azure_list
    from .books_access import open_books
    from .output import print_json, print_rows

    config = load_config(file, checked=False).config
    with open_books(config) as books:
        found = books.call(call_id)
    if found is None:
        print(f"tokenweir: there is no call {call_id}", file=sys.stderr)
        raise typer.Exit(1)
    record = _record(found)
    today = pricer_of(config)(_without_cost(record))
    listed = {one.row.name: one for one in azure_list()}
    columns = ["meter", "quantity", "unit", "rate", "per", "amount", "currency", "price_id", "reason", "source"]
    told = [
        [
            *(line.meter, line.quantity, line.unit, line.rate, line.per, line.amount, line.currency),
            *(line.price_id, line.reason),
            listed[line.price_id].meters.get(line.meter) if line.price_id in listed else None,
        ]
        for line in record.charges
    ]
    if format == "json":
        both = {"charges": record.charges, "cost": record.cost, "currency": record.currency}
        now = {"charges": today.charges, "cost": today.cost, "currency": today.currency}
        print_json({"call_id": call_id, "recorded": both, "today": now})
        return
    print_rows(
        columns,
        [["unpriced" if cell is None and n == 5 else cell for n, cell in enumerate(row)] for row in told],
        format,
    )
    if format == "table":
        for text in _explained(record, today):
            print(f"tokenweir: {text}", file=sys.stderr)


def _explained(record: "CallRecord", today: "CallRecord") -> list[str]:
    served = f"sku {record.sku}, region {record.region}, tier {record.service_tier or 'default'}"
    model = record.response_model or record.requested_model
    said = [f"model {model}, {served}, began {record.started_at:%Y-%m-%d %H:%M:%S}Z"]
    if record.usage.source == "none":
        return [*said, "it used nothing that anybody knows of, so it has no cost"]
    said.append(f"recorded: {_cost(record)}")
    if _cost(today) != _cost(record):
        said.append(f"by the prices of this configuration it would be: {_cost(today)}")
    if not record.charges and record.cost is not None:
        said.append("its record has no lines: it came with its cost, or is of an older version")
    return said


def _cost(record: "CallRecord") -> str:
    if record.cost is None:
        return f"unpriced ({record.cost_reason or 'there were no prices'})"
    amount = f"{record.cost:f} {record.currency or ''}".rstrip()
    return amount if record.cost_reason is None else f"at least {amount} ({record.cost_reason})"


def _record(found: dict[str, Any]) -> "CallRecord":
    import msgspec

    from ..records import FlatRecord, from_flat

    plain = msgspec.json.encode({name: value for name, value in found.items() if value is not None})
    return from_flat(msgspec.json.decode(plain, type=FlatRecord))


def _without_cost(record: "CallRecord") -> "CallRecord":
    import msgspec

    nothing: dict[str, Any] = {"cost": None, "currency": None, "price_id": None, "cost_reason": None, "charges": []}
    return msgspec.structs.replace(record, **nothing)


@prices.command()
def ptu(
    month: _Month = "last",
    by: _By = "caller",
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Share out the hours of `[[reservations]]` by what each has used of them; what was idle is a line of its own."""
    from ..pricing import share_month
    from .books_access import Among, open_books
    from .output import print_rows

    config = load_config(file, checked=False).config
    if not config.reservations:
        raise ConfigError("there are no [[reservations]]; say which deployments have how many units")
    since, until = _month(month)
    names = _names(by)
    with open_books(config) as books:
        used = books.usage([*names, "deployment", "sku", "model", "spillover_from"], Among(since, until, {}))
    rows = share_month(config.reservations, used, names, since, until)
    columns = ["deployment", *names, "what", "tokens", "hours", "hourly", "amount", "currency", "note"]
    print_rows(columns, rows, format)


@prices.command()
def split(
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="What the line of the invoice says, like 1234.56.")],
    currency: Annotated[str, typer.Option(metavar="CURRENCY", help="Of the amount.")] = "USD",
    model: Annotated[str, typer.Option(metavar="NAME", help="Which models it is of: those that begin so.")] = "claude",
    month: _Month = "last",
    by: _By = "caller,model",
    format: FormatOption = "table",
    file: ConfigOption = None,
) -> None:
    """Share out one line of an invoice, like that of Claude Consumption Units, by what calls cost by their prices."""
    from ..pricing import share_out
    from .books_access import Among, open_books
    from .output import print_rows

    total, names = _amount(amount), _names(by)
    since, until = _month(month)
    with open_books(load_config(file, checked=False).config) as books:
        used = books.usage(list(dict.fromkeys([*names, "model"])), Among(since, until, {}))
    of_it = [row for row in used if (row["model"] or "").startswith(model)]
    costs: dict[tuple[Any, ...], Decimal] = {}
    for row in of_it:
        key = tuple(row[name] for name in names)
        costs[key] = costs.get(key, Decimal(0)) + Decimal(row["cost"] or 0)
    if len({row["currency"] for row in of_it if row["cost"] is not None}) > 1:
        raise ConfigError("their prices are in several currencies; set pricing.currency and [[exchange_rates]]")
    try:
        parts = share_out(total, list(costs.values()))
    except ValueError:
        raise ConfigError(f"no calls of models that begin with {model} have a cost in that month") from None
    rows = [[*key, f"{costs[key]:f}", f"{part:f}", currency] for key, part in zip(costs, parts, strict=True)]
    print_rows(
        [*names, "by_prices", "amount", "currency"],
        rows,
        format,
        [[*[None] * len(names), None, f"{total:f}", currency]],
    )
    if unpriced := sum(row["unpriced"] for row in of_it):
        print(f"tokenweir: {unpriced} calls have parts without a price, which take no part of it", file=sys.stderr)


def _amount(text: str) -> Decimal:
    from ..pricing import Price

    try:
        return Decimal(Price.parse(text))
    except ValueError:
        raise typer.BadParameter(f"{text} is no amount; write it like 1234.56", param_hint="AMOUNT") from None


def _names(by: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))


def _month(text: str) -> tuple[Any, Any]:
    from ..ledger import parse_month
    from ..records import SystemClock

    now = SystemClock().now()
    since, until = parse_month(text, now)
    return since, min(until, now)

"""Checks of prices: no call may have two prices, or one in a currency without a rate."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from ..pricing import METERS, PriceSettings, known_as
from .model import Config
from .problems import Problems
from .setting_path import Path

__all__ = ["prices", "pricing", "reservations"]

_CURRENCY = re.compile("[A-Z]{3}")
_DIFFER = (
    "let them differ in `since`, `sku`, `deployment`, `deployment_type`, `region`, `input_above` or `service_tier`"
)
_IS_CURRENCY = "is three capital letters, like EUR or USD"


def prices(config: Config, environ: Mapping[str, str]) -> Problems:
    alike: dict[tuple[object, ...], int] = {}
    names: dict[str, int] = {}
    for number, row in enumerate(config.prices, start=1):
        path: Path = ("prices", f"#{number}")
        if not row.model.strip() or "*" in row.model[:-1]:
            yield (
                (*path, "model"),
                'is a whole name like "gpt-4o-2024-11-20", or a beginning and a star: "gpt-4o-2024*"',
            )
        if not _CURRENCY.fullmatch(row.currency):
            yield (*path, "currency"), _IS_CURRENCY
        if row.id is not None and (not row.id.strip() or row.id.startswith("azure:")):
            yield (*path, "id"), "is empty, or begins like those of listed prices; leave it out, or give it a name"
        if all(getattr(row, meter) is None for meter in METERS):
            yield path, "has no price; give it `input` and `output`, or another of docs/reference/meters.md"
        for given, missing in (("input", "output"), ("output", "input")):
            if getattr(row, given) is not None and getattr(row, missing) is None:
                yield (*path, missing), f'is missing beside `{given}`; "0" where there is no {missing}'
        yield from _times(path, row.since, row.until)
        same = next((other for one in _calls_of(row) if (other := alike.setdefault(one, number)) != number), number)
        if same != number:
            yield path, f"is for the same calls as #{same}; {_DIFFER}"
        elif (owner := names.setdefault(row.name, number)) != number:
            yield (*path, "id"), f'is "{row.name}", and so is that of #{owner}; give each its own'


def _calls_of(row: PriceSettings) -> Iterator[tuple[object, ...]]:
    """What rows for the same calls have alike, once for each region."""
    tier = known_as(row.service_tier or "")
    for region in row.region.split() if row.region else [None]:
        yield row.model, row.sku, row.deployment, row.deployment_type, region, row.input_above, row.since, tier


def pricing(config: Config, environ: Mapping[str, str]) -> Problems:
    settings, path = config.pricing, ("pricing",)
    if settings.currency is not None and not _CURRENCY.fullmatch(settings.currency):
        yield (*path, "currency"), _IS_CURRENCY
    if settings.currency is None and config.exchange_rates:
        yield ("exchange_rates",), "say nothing without `pricing.currency`, to which they convert"
    begun: dict[tuple[str, datetime | None], int] = {}
    for number, rate in enumerate(config.exchange_rates, start=1):
        of_it: Path = ("exchange_rates", f"#{number}")
        if not _CURRENCY.fullmatch(rate.currency) or rate.currency == settings.currency:
            yield (*of_it, "currency"), "is three capital letters, and another one than `pricing.currency`"
        if (other := begun.setdefault((rate.currency, rate.since), number)) != number:
            yield of_it, f"begins when #{other} does; let them differ in `since`"
    for number, one in enumerate(config.adjustments, start=1):
        of_it = ("adjustments", f"#{number}")
        if one.discount > 100:
            yield (*of_it, "discount"), "is more than 100 percent"
        if not one.discount and not one.markup:
            yield of_it, "changes nothing; give it a `discount` or a `markup`"
        yield from _times(of_it, one.since, one.until)
    if settings.currency is not None:
        rates = {settings.currency, *(rate.currency for rate in config.exchange_rates)}
        for number, row in enumerate(config.prices, start=1):
            if row.currency not in rates:
                yield ("prices", f"#{number}", "currency"), f"is {row.currency}, {_no_rate(settings.currency)}"
        if settings.list is not None and "USD" not in rates:
            yield (*path, "list"), f"has prices in USD, {_no_rate(settings.currency)}"


def reservations(config: Config, environ: Mapping[str, str]) -> Problems:
    names = [deployment.name for deployment in config.deployments]
    for number, one in enumerate(config.reservations, start=1):
        path: Path = ("reservations", f"#{number}")
        if names and one.deployment not in names:
            yield (*path, "deployment"), f"is none of the [[deployments]]: {', '.join(names)}"
        if one.units < 1:
            yield (*path, "units"), "is a number of units, from 1 on"
        if not _CURRENCY.fullmatch(one.currency):
            yield (*path, "currency"), _IS_CURRENCY
        yield from _times(path, one.since, one.until)


def _no_rate(currency: str) -> str:
    return f"and `[[exchange_rates]]` have no rate from it to {currency}; add one"


def _times(path: Path, since: datetime | None, until: datetime | None) -> Problems:
    if since is not None and until is not None and until <= since:
        yield (*path, "until"), "is not after `since`"

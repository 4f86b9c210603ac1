"""Prices one by one, and what changed between two lists of them."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from .azure_list import ListedRow, azure_list
from .meters import METERS
from .settings import PriceSettings
from .tiers import known_as

__all__ = ["ListedPrice", "PriceChange", "compared", "listed_prices"]


class ListedPrice(NamedTuple):
    """One price of a row."""

    row: PriceSettings
    meter: str
    price: Decimal
    per: int
    unit: str
    confidence: str | None = None
    source: str | None = None
    """The name of Azure's meter, or of the field that tells it; nothing for a price of the configuration."""


class PriceChange(NamedTuple):
    """A difference between two lists. Percent and amounts are texts; of what is only in one, the other is absent."""

    what: Literal["added", "removed", "changed", "backwards"]
    """``backwards``: it begins earlier than the one that it replaces."""
    price_id: str
    meter: str
    old: str | None
    new: str | None
    percent: str | None
    currency: str


def listed_prices(
    rows: Sequence[PriceSettings], *, with_azure: bool = False, listed: Sequence[ListedRow] | None = None
) -> list[ListedPrice]:
    """Those of a configuration, then those that are ``listed`` or, ``with_azure``, those that Azure lists."""
    prices = [ListedPrice(row, *one) for row in rows for one in _prices(row)]
    for known in listed if listed is not None else azure_list() if with_azure else ():
        prices += [ListedPrice(known.row, *one, known.confidence, known.meters[one[0]]) for one in _prices(known.row)]
    return prices


def _prices(row: PriceSettings) -> Iterator[tuple[str, Decimal, int, str]]:
    for name, meter in METERS.items():
        if (price := getattr(row, name)) is not None:
            yield name, price, meter.per, meter.unit


def compared(old: Sequence[ListedPrice], new: Sequence[ListedPrice]) -> list[PriceChange]:
    """What differs, in the order of the new list; what is gone comes last. Of rows that differ in nothing but when they
    begin, the last one counts."""
    before, after = _newest(old), _newest(new)
    changes = [change for key, price in after.items() if (change := _change(before.get(key), price)) is not None]
    return changes + [
        PriceChange("removed", price.row.name, price.meter, f"{price.price:f}", None, None, price.row.currency)
        for key, price in before.items()
        if key not in after
    ]


_Key = tuple[object, ...]


def _newest(prices: Sequence[ListedPrice]) -> dict[_Key, ListedPrice]:
    newest: dict[_Key, ListedPrice] = {}
    for price in prices:
        row = price.row
        key = (
            *(row.model, row.deployment, row.sku, row.deployment_type, row.region, row.input_above),
            *(known_as(row.service_tier or ""), row.currency, price.meter),
        )
        known = newest.get(key)
        if known is None or _begins(known) <= _begins(price):
            newest[key] = price
    return newest


def _begins(price: ListedPrice) -> str:
    return "" if price.row.since is None else price.row.since.isoformat()


def _change(old: ListedPrice | None, new: ListedPrice) -> PriceChange | None:
    told = new.row.name, new.meter
    if old is None:
        return PriceChange("added", *told, None, f"{new.price:f}", None, new.row.currency)
    if old.price == new.price and _begins(old) <= _begins(new):
        return None
    percent = f"{(new.price / old.price - 1) * 100:+.1f}" if old.price else None
    what: Literal["changed", "backwards"] = "backwards" if _begins(new) < _begins(old) else "changed"
    return PriceChange(what, *told, f"{old.price:f}", f"{new.price:f}", percent, new.row.currency)

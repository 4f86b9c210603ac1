"""Azure's cost and usage details, as exports of Cost Management and downloads of the portal are: CSV, actual cost or
amortised.

Source: Microsoft's schemas of Enterprise Agreement, Microsoft Customer Agreement and pay-as-you-go files; they differ
in names and in their case. A file says a resource and a meter and no deployment: only tags of resources and projects
can.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Final

from ..errors import ConfigError, quoted
from ..pricing import METERS, azure_list
from .amounts import MeterName, Told

__all__ = ["read_cost_export"]

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "day": ("date", "usagedatetime"),
    "category": ("metercategory",),
    "subcategory": ("metersubcategory",),
    "meter": ("metername",),
    "quantity": ("quantity", "usagequantity", "consumedquantity"),
    "unit": ("unitofmeasure",),
    "cost": ("costinbillingcurrency", "pretaxcost", "cost"),
    "currency": ("billingcurrencycode", "billingcurrency", "currency", "currencycode"),
    "charge": ("chargetype",),
}
_NEEDED: Final = ("day", "meter", "quantity", "cost")
_OURS: Final = re.compile(r"openai|foundry|cognitive|ai services|machine learning", re.IGNORECASE)

_UNIT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KM]?)\b", re.IGNORECASE)
_TIMES: Final = {"": 1, "k": 1_000, "m": 1_000_000}
_DATES: Final = ("%m/%d/%Y", "%Y-%m-%d", "%Y%m%d")

# Words of a meter's name, which begins with the model's: `gpt 4o 0806 cached Inp glbl Tokens`.
_PARTS: Final[dict[str, MeterName]] = {
    **dict.fromkeys((*METERS["input"].azure, "prompt"), "input"),
    **dict.fromkeys((*METERS["output"].azure, "completion"), "output"),
}
_TOKEN_METERS: Final[dict[str, MeterName]] = {"input": "input", "cached_input": "cached_input", "output": "output"}
_CACHED: Final = ("cached", "cchd", "cched", "cache", "cd")
_BEFORE_MODEL: Final = ("az", "azure", "openai")
_AFTER_MODEL: Final = (
    *_PARTS, *_CACHED, "glbl", "global", "gl", "dzone", "dz", "regnl", "rgnl", "regional", "batch", "pp", "prty",
    "priority", "flex", "tokens", "data", "zone", "aud", "txt", "img", "audio", "text", "image", "ft", "inference",
    "std", "standard", "1", "unit", "1m", "1k", "mg",
)  # fmt: skip


def read_cost_export(content: bytes) -> Iterator[Told]:
    """The lines of models; of each its cost, and of tokens how many. Raises ConfigError for what is no such file, or
    was cut off."""
    text = content.decode("utf-8-sig", "replace")
    if text and not text.endswith("\n"):
        last = text.rsplit("\n", 1)[-1]
        if last.count(",") < text.split("\n", 1)[0].count(","):
            raise ConfigError("the file ends in the middle of a line: it is cut off; download it again")
    rows = csv.reader(io.StringIO(text))
    places = _places(next(rows, []))
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) <= max(places.values()):
            raise ConfigError(
                f"line {number} has {len(row)} columns of {max(places.values()) + 1}: is the file cut off?"
            )
        cells = {name: row[place].strip() for name, place in places.items()}
        if _OURS.search(f"{cells.get('category', 'openai')} {cells.get('subcategory', '')} {cells['meter']}"):
            yield from _told(cells, number)


def _places(head: Sequence[str]) -> dict[str, int]:
    names = [re.sub(r"[^a-z]", "", name.lower()) for name in head]
    places = {
        ours: next(names.index(name) for name in theirs if name in names)
        for ours, theirs in _COLUMNS.items()
        if any(name in names for name in theirs)
    }
    if missing := [_COLUMNS[name][0] for name in _NEEDED if name not in places]:
        raise ConfigError(
            f"this is no cost export: it has no column {' or '.join(missing)} (its first line begins "
            f"{quoted(','.join(head)[:60])}); export `Cost and usage details` as CSV, uncompressed"
        )
    return places


def _told(cells: Mapping[str, str], number: int) -> Iterator[Told]:
    day, quantity, cost = _day(cells["day"], number), _number(cells, "quantity", number), _number(cells, "cost", number)
    meter, model = _listed_meters().get(cells["meter"].lower()) or meter_of(cells["meter"])
    charge = cells.get("charge", "Usage") or "Usage"
    note = None if charge.lower() == "usage" else f"{charge}: {cells['meter']}"
    yield Told(day, "cost", cost, model=model, currency=cells.get("currency") or None, step=_step(cost), note=note)
    if note is None and meter != "other":
        times, step = _units(cells.get("unit", "")), _step(quantity)
        yield Told(day, meter, quantity * times, model=model, step=step * times)


@cache
def _listed_meters() -> dict[str, tuple[MeterName, str]]:
    """Azure's own names in lower case, as the price list has them, with the part of a call and the model."""
    return {
        name.lower(): (_TOKEN_METERS.get(meter, "other"), row.row.model)
        for row in azure_list()
        for meter, name in row.meters.items()
        if row.row.model != "*"
    }


def meter_of(name: str) -> tuple[MeterName, str]:
    """Which part of a call a meter is of that is not listed, by its words, and those for its model:
    ``("cached_input", "gpt 4o 0806")``."""
    words = re.findall(r"[a-z0-9.]+", name.lower())
    while words and words[0] in _BEFORE_MODEL:
        words = words[1:]
    end = next((place for place, word in enumerate(words) if place and word in _AFTER_MODEL), len(words))
    rest = words[end:]
    meter: MeterName = next((_PARTS[word] for word in rest if word in _PARTS), "other")
    if any(word in ("aud", "audio", "img", "image") for word in rest):
        meter = "other"
    elif meter == "input" and any(word in _CACHED for word in rest):
        meter = "cached_input"
    return meter, " ".join(words[:end])


def _units(text: str) -> Decimal:
    """What one of the unit is: ``1K`` is a thousand, ``1M`` a million, ``1 Hour`` one."""
    found = _UNIT.match(text.strip())
    return Decimal(found[1]) * _TIMES[found[2].lower()] if found else Decimal(1)


def _step(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return Decimal(1).scaleb(exponent) if isinstance(exponent, int) and exponent < 0 else Decimal(1)


def _number(cells: Mapping[str, str], name: str, number: int) -> Decimal:
    try:
        value = Decimal(cells[name] or "0")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ConfigError(f"line {number}: {quoted(cells[name][:40])} is no {name}; is a decimal comma in it?")
    return value


def _day(text: str, number: int) -> date:
    for form in _DATES:
        try:
            return datetime.strptime(text[:10], form).date()
        except ValueError:
            pass
    raise ConfigError(f"line {number}: {quoted(text[:40])} is no date like 10/31/2026 or 2026-10-31")

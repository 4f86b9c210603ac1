"""An amount of one meter on one day, as somebody else has counted it or as the ledger has it."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec

__all__ = ["OWN_GROUPS", "Kept", "Key", "MeterName", "Told", "own_amounts"]

MeterName = Literal["calls", "input", "prompt", "cached_input", "output", "cost", "other"]
"""What is compared: ``prompt`` is all input with what was cached, ``input`` the part that was not, ``other`` are meters
that are no tokens."""

OWN_GROUPS: Final = ("day", "deployment", "model", "usage_source", "usage_reason")
"""What usage is to be asked by for `own_amounts`."""

_METERS: Final[tuple[MeterName, ...]] = ("calls", "prompt", "input", "cached_input", "output", "cost")


class Told(NamedTuple):
    """What a file says."""

    day: date
    meter: MeterName
    amount: Decimal
    deployment: str | None = None
    model: str | None = None
    """As it is called there."""
    currency: str | None = None
    """Of a cost."""
    step: Decimal = Decimal(1)
    """The last digit that the file gives: what is smaller is rounding."""
    note: str | None = None
    """What is known of it: that it is no usage, for example."""


class Kept(msgspec.Struct):
    """What the ledger has of one meter, deployment, model and day."""

    amount: Decimal = Decimal(0)
    estimated: Decimal = Decimal(0)
    """The part that nobody reported."""
    unmetered_calls: int = 0
    """Calls of which nobody here knows what they used."""
    unpriced_calls: int = 0


Key = tuple[date, str | None, str | None, MeterName, str | None]


def own_amounts(rows: Iterable[Mapping[str, Any]]) -> dict[Key, Kept]:
    """By day, deployment, model, meter and currency, from usage by `OWN_GROUPS`."""
    kept: dict[Key, Kept] = {}
    for row in rows:
        prompt, cached = Decimal(row["input_tokens"]), Decimal(row["cached_input_tokens"])
        amounts: dict[MeterName, Decimal] = {
            "calls": Decimal(row["calls"]),
            "prompt": prompt,
            "input": prompt - cached,
            "cached_input": cached,
            "output": Decimal(row["output_tokens"]),
            "cost": Decimal(row["cost"] or 0),
        }
        is_unmetered = row["usage_source"] == "none" and row["usage_reason"] not in (None, "later")
        for meter in _METERS:
            currency = row["currency"] if meter == "cost" else None
            key = date.fromisoformat(row["day"]), row["deployment"], row["model"], meter, currency
            one = kept.setdefault(key, Kept())
            one.amount += amounts[meter]
            if row["usage_source"] == "estimated":
                one.estimated += amounts[meter]
            if is_unmetered:
                one.unmetered_calls += row["calls"]
            one.unpriced_calls += row["unpriced"]
    return kept

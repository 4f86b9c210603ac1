"""The rows of the price list, the one that fits a call, and what the call cost by it.

1. The names a call goes by are tried in order: the model that answered, the one asked for, the deployment.
2. Of the rows that fit a name, and whose tier, SKU, deployment and time fit the call, the best is taken: the exact
   name before the longest beginning, the narrower before the wider, the newer before the older.
3. Every token is charged once, as the part that it is of (``parts.py``). A call with a part that has no price has no
   cost, and the record says why: no other tier's and no other part's price is taken instead.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache

import msgspec

from ..records import CallRecord
from .parts import NoRate, charges
from .settings import PLACES, Price, PriceSettings
from .tiers import STANDARD, known_as, tier_of

__all__ = ["PriceList", "fits", "rank"]

_FIRST = datetime.min.replace(tzinfo=UTC)

# A price has whole units of 1e-6 for a million tokens, so what a call costs is a whole number of 1e-12.
_UNITS = 10**PLACES
_EXPONENT = -2 * PLACES
_EXACT = Context(prec=100)

_MOST_KEPT = 4_096


class PriceList:
    """Rows in no order; any number of threads may ask."""

    def __init__(self, rows: Sequence[PriceSettings]) -> None:
        self._rows = tuple(rows)
        self._tiers = {_tier(row) for row in rows}
        self._ranked: dict[tuple[str | None, ...], tuple[PriceSettings, ...]] = {}

    def __repr__(self) -> str:
        return f"<PriceList of {len(self._rows)} rows>"

    def __bool__(self) -> bool:
        return bool(self._rows)

    def priced(self, record: CallRecord) -> CallRecord:
        """The record with what it cost, or with why that is not known (``cost_reason``); the very same where it has a
        cost or used nothing, or where there are no prices at all."""
        if record.cost is not None or record.usage.source == "none" or not self._rows:
            return record
        tier = tier_of(record)
        if tier is None:
            return msgspec.structs.replace(record, cost_reason="tier_unknown")
        row = self.row_for(record, tier)
        if row is None:
            has_other = any(self.row_for(record, other) for other in self._tiers - {tier})
            return msgspec.structs.replace(record, cost_reason="no_price_for_tier" if has_other else "no_price")
        try:
            amount = cost(record, row)
        except NoRate as missing:
            return msgspec.structs.replace(record, cost_reason=missing.reason, price_id=row.name)
        return msgspec.structs.replace(record, cost=amount, currency=row.currency, price_id=row.name)

    def row_for(self, record: CallRecord, tier: str = STANDARD) -> PriceSettings | None:
        """Which row a call is charged by that was served by this tier."""
        for row in self._ranked_for(record, tier):
            if row.since is None or row.since <= record.started_at:
                return row
        return None

    def _ranked_for(self, record: CallRecord, tier: str) -> tuple[PriceSettings, ...]:
        """All rows that fit a call at some time, the best first. Calls go by few names, so this is kept."""
        # What was spilled over was served, and is billed, by another deployment than the target that the SKU is of.
        is_spilled = record.spillover_from is not None
        sku, deployment = (None, record.served_deployment) if is_spilled else (record.sku, record.deployment)
        names = (record.response_model, record.requested_model, record.deployment)
        key = (tier, sku, deployment, *names)
        ranked = self._ranked.get(key)
        if ranked is None:
            rows = [
                row
                for row in self._rows
                if _tier(row) == tier and row.sku in (None, sku) and row.deployment in (None, deployment)
            ]
            ranked = tuple(
                row
                for name in names
                if name
                for row in sorted((row for row in rows if fits(row.model, name)), key=rank, reverse=True)
            )
            if len(self._ranked) >= _MOST_KEPT:  # names come from callers, so there is no end to them
                self._ranked.clear()
            self._ranked[key] = ranked
        return ranked


def cost(record: CallRecord, row: PriceSettings) -> Decimal:
    """Exact. `NoRate` where the row lacks the price of a part."""
    units = sum(tokens * _units(price) for tokens, price in charges(record.usage, row))
    digits = str(units)
    zeros = min(len(digits) - len(digits.rstrip("0")), -_EXPONENT)
    return Decimal(units // 10**zeros).scaleb(_EXPONENT + zeros, _EXACT) if units else Decimal(0)


@lru_cache(_MOST_KEPT)
def _units(price: Price) -> int:
    return int(_EXACT.multiply(price, Decimal(_UNITS)))


def _tier(row: PriceSettings) -> str:
    return STANDARD if row.service_tier is None else known_as(row.service_tier)


def fits(pattern: str, name: str) -> bool:
    """Whether a row's ``model`` is this name, or the beginning of it."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def rank(row: PriceSettings) -> tuple[bool, int, bool, bool, datetime]:
    """The larger, the better of those that fit a name: how exact it is, then how narrow, then how new."""
    return (
        not row.model.endswith("*"),
        len(row.model),
        row.deployment is not None,
        row.sku is not None,
        row.since or _FIRST,
    )

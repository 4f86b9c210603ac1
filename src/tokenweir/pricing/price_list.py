"""The rows of the price list, those that fit a call, and what the call cost by them, line by line.

1. The names a call goes by are tried in order: the model that answered, the one asked for, the deployment.
2. Of the rows that fit a name, and whose tier, SKU, deployment and time fit the call, the best is taken: the exact
   name before the longest beginning, the narrower before the wider, the newer before the older.
3. Every token is charged once, as the part that it is of (``parts.py``). A part that has no price is a line without an
   amount, which says why: no other tier's and no other part's price is taken instead, and the cost is a floor.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from ..records import CallRecord, ChargeLine
from .parts import UNKNOWN, parts_of
from .rates import EXACT, Rates, money
from .settings import PriceSettings
from .tiers import STANDARD, known_as, tier_of

__all__ = ["PriceList", "fits", "rank"]

_FIRST = datetime.min.replace(tzinfo=UTC)

_MOST_KEPT = 4_096


class PriceList:
    """Rows in no order; any number of threads may ask."""

    def __init__(self, rows: Sequence[PriceSettings]) -> None:
        self._rows = tuple(rows)
        self._tiers = {_tier(row) for row in rows}
        self._ranked: dict[tuple[str | None, ...], tuple[PriceSettings, ...]] = {}
        self._rates: dict[tuple[int, ...] | str, Rates] = {}

    def __repr__(self) -> str:
        return f"<PriceList of {len(self._rows)} rows>"

    def __bool__(self) -> bool:
        return bool(self._rows)

    def priced(self, record: CallRecord) -> CallRecord:
        """The record with what it cost, line by line, and with why that is not all (``cost_reason``); the very same
        where it has a cost or used nothing, or where there are no prices at all."""
        if record.cost is not None or record.usage.source == "none" or not self._rows:
            return record
        rates = self._rates_for(record)
        cost: Decimal | None = None
        currency: str | None = None
        price_id: str | None = None
        reason: str | None = None
        charges: list[ChargeLine] = []
        for name, quantity in parts_of(record.usage, rates.priced):
            if name == UNKNOWN:
                reason = reason or "unknown_quantity"
                continue
            line = rates.line(name, quantity)
            if line.amount is not None and currency not in (None, line.currency):
                line = msgspec.structs.replace(line, amount=None, reason="other_currency")
            if line.amount is None:
                reason = reason or line.reason
            else:
                cost, currency = line.amount if cost is None else EXACT.add(cost, line.amount), line.currency
            price_id = price_id or line.price_id
            charges.append(line)
        if not charges and reason is None:
            if rates.row is None:
                reason = rates.reason
            elif _is_of_seconds(record):
                reason, price_id = "not_in_tokens", rates.row.name
            else:
                cost, currency, price_id = Decimal(0), rates.row.currency, rates.row.name
        return msgspec.structs.replace(
            record,
            cost=None if cost is None else money(cost),
            currency=currency,
            price_id=price_id,
            cost_reason=reason,
            charges=charges,
        )

    def row_for(self, record: CallRecord, tier: str = STANDARD) -> PriceSettings | None:
        """Which row a call's tokens are charged by that was served by this tier."""
        return Rates(self._begun(record, tier), "").row

    def _rates_for(self, record: CallRecord) -> Rates:
        tier = tier_of(record)
        rows = () if tier is None else self._begun(record, tier)
        reason = "tier_unknown"
        if tier is not None:
            has_other = not rows and any(self._begun(record, other) for other in self._tiers - {tier})
            reason = "no_price_for_tier" if has_other else "no_price"
        key = tuple(map(id, rows)) or reason
        rates = self._rates.get(key)
        if rates is None:
            rates = self._rates[key] = Rates(rows, reason)
        return rates

    def _begun(self, record: CallRecord, tier: str) -> tuple[PriceSettings, ...]:
        rows = self._ranked_for(record, tier)
        return tuple(row for row in rows if row.since is None or row.since <= record.started_at)

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


def _is_of_seconds(record: CallRecord) -> bool:
    """Whether a record of a version that did not keep seconds apart was billed by them."""
    return record.usage.source == "reported" and (record.usage.raw or {}).get("seconds") is not None


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

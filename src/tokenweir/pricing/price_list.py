"""The prices, those that fit a call, and what the call cost by them, line by line.

1. The names a call goes by are tried in order: the model that answered or, where none is named, the deployment's; the
   one asked for; the deployment.
2. Of the rows that fit a name, and whose tier, kind of deployment, region, length and time fit the call, the best is
   taken: the exact name before the longest beginning, the narrower before the wider, the newer before the older. What
   the configuration says comes before what is listed.
3. Every token is charged once, as the part that it is of (``parts.py``). A part that has no price is a line without an
   amount, which says why: no other tier's and no other part's price is taken instead, and the cost is a floor.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from ..records import CallRecord, ChargeLine
from .adjusting import Adjusting
from .azure_list import azure_rows
from .deployment_types import type_of_sku
from .parts import UNKNOWN, parts_of
from .rates import EXACT, Rates, money
from .settings import PriceSettings, PricingSettings
from .tiers import STANDARD, known_as, tier_of

__all__ = ["VERSION", "PriceList", "fits", "rank"]

_FIRST = datetime.min.replace(tzinfo=UTC)
_MOST_KEPT = 1_024
VERSION = re.compile(r"-20\d\d-\d\d-\d\d$")
"""How the name of a version ends."""


class _Key(NamedTuple):
    """What decides which rows fit. Calls have few different ones."""

    tier: str | None
    names: tuple[str | None, ...]
    sku: str | None
    type: str | None
    deployment: str | None
    region: str | None
    above: int
    adjustments: tuple[int, ...]


class _Plan(NamedTuple):
    """The rows of a key, and what they come to between two moments at which one of them begins or ends."""

    moments: list[datetime]
    rates: list[Rates]


class PriceList:
    """Rows in no order, above what ``pricing`` says is listed; any number of threads may ask."""

    def __init__(
        self,
        rows: Sequence[PriceSettings],
        pricing: PricingSettings | None = None,
        adjusting: Adjusting | None = None,
        skus: Mapping[str, str] | None = None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        """``skus`` are those of deployments by their names upstream, for what was spilled over to them, and ``models``
        those of deployments by the names that callers use, for answers that name none."""
        pricing = pricing or PricingSettings()
        listed = azure_rows() if pricing.list == "azure" else ()
        self._rows = tuple(rows)
        self._listed: dict[str, list[PriceSettings]] = defaultdict(list)
        for row in listed:
            self._listed[row.model].append(row)
        every = (*self._rows, *listed)
        self._count = len(every)
        self._tiers = {_tier(row) for row in every}
        self._bounds = sorted({row.input_above for row in every if row.input_above})
        self._skus = skus or {}
        self._models = models or {}
        self._default_type = pricing.deployment_type
        self._adjusting = adjusting or Adjusting()
        self._plans: dict[tuple[object, ...], _Plan] = {}

    def __repr__(self) -> str:
        return f"<PriceList of {self._count} rows>"

    def __bool__(self) -> bool:
        return bool(self._count)

    def priced(self, record: CallRecord) -> CallRecord:
        """The record with what it cost, line by line, and with why that is not all (``cost_reason``); the very same
        where it has a cost or used nothing, or where there are no prices at all."""
        if record.cost is not None or record.usage.source == "none" or not self._count:
            return record
        rates = self.rates_for(record)
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
                cost, currency, price_id = Decimal(0), rates.currency, rates.row.name
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
        plan = self._planned(self._key(record, tier))
        return plan.rates[bisect_right(plan.moments, record.started_at)].row

    def rates_for(self, record: CallRecord) -> Rates:
        """What the meters of a call cost."""
        # As the record says it: what that means is only asked for the first such call.
        said = (
            record.response_model,
            record.requested_model,
            record.deployment,
            record.sku,
            record.region,
            record.service_tier,
            record.requested_service_tier,
            record.spillover_from and (record.served_deployment or ""),
            bisect_left(self._bounds, record.usage.input_tokens) if self._bounds else 0,
            self._adjusting.fitting(record),
        )
        plan = self._plans.get(said)
        if plan is None:
            if len(self._plans) >= _MOST_KEPT:  # names come from callers, so there is no end to them
                self._plans.clear()
            plan = self._plans[said] = self._planned(self._key(record, tier_of(record)))
        return plan.rates[bisect_right(plan.moments, record.started_at)]

    def _key(self, record: CallRecord, tier: str | None) -> _Key:
        sku, deployment = record.sku, record.deployment
        # What was spilled over was served, and is billed, by another deployment than the target that the SKU is of.
        if record.spillover_from is not None:
            deployment = record.served_deployment
            sku = None if deployment is None else self._skus.get(deployment)
        bound = bisect_left(self._bounds, record.usage.input_tokens) if self._bounds else 0
        return _Key(
            tier,
            (
                record.response_model or self._models.get(record.deployment or ""),
                record.requested_model,
                record.deployment,
            ),
            sku,
            type_of_sku(sku) or self._default_type,
            deployment,
            None if record.region is None else record.region.replace(" ", "").lower(),
            self._bounds[bound - 1] if bound else 0,
            self._adjusting.fitting(record),
        )

    def _planned(self, key: _Key) -> _Plan:
        rows = [] if key.tier is None else self._ranked(key, key.tier)
        others = [] if rows else [row for tier in self._tiers - {key.tier} for row in self._ranked(key, tier)]
        of_rows = {moment for row in [*rows, *others] for moment in (row.since, row.until) if moment is not None}
        begins: list[datetime] = sorted({*of_rows, *self._adjusting.moments})
        rates = []
        for moment in [_FIRST, *begins]:
            fitting = [row for row in rows if _holds(row, moment)]
            has_other = any(_holds(row, moment) for row in others)
            rates.append(Rates(fitting, _reason(key, has_other), self._adjusting.at(moment, key.adjustments)))
        return _Plan(begins, rates)

    def _ranked(self, key: _Key, tier: str) -> list[PriceSettings]:
        """All rows that fit at some time, the best first."""
        return [
            *_best_first(self._rows, key, tier, key.names),
            *(row for name in key.names if name for row in self._of_list(name, key, tier)),
            *_best_first(self._listed["*"] if self._listed else (), key, tier, ("*",)),
        ]

    def _of_list(self, name: str, key: _Key, tier: str) -> Iterable[PriceSettings]:
        """Listed models have exact names, most without the date of their version."""
        found = self._listed.get(name) or self._listed.get(VERSION.sub("", name)) or ()
        return _best_first(found, key, tier, tuple({row.model for row in found}))


def _best_first(
    rows: Iterable[PriceSettings], key: _Key, tier: str, names: Iterable[str | None]
) -> list[PriceSettings]:
    fitting = [row for row in rows if _fits_key(row, key, tier)]
    return [
        row
        for name in names
        if name
        for row in sorted((row for row in fitting if fits(row.model, name)), key=rank, reverse=True)
    ]


def _fits_key(row: PriceSettings, key: _Key, tier: str) -> bool:
    return (
        (_tier(row) == tier)
        and row.sku in (None, key.sku)
        and row.deployment in (None, key.deployment)
        and row.deployment_type in (None, key.type)
        and (row.region is None or key.region in row.region.lower().split())
        and row.input_above <= key.above
    )


def _reason(key: _Key, has_other_tier: bool) -> str:
    """Why no row fits."""
    if key.tier is None:
        return "tier_unknown"
    if key.type == "ptu":
        return "reserved"
    return "no_price_for_tier" if has_other_tier else "no_price"


def _holds(row: PriceSettings, moment: datetime) -> bool:
    return (row.since is None or row.since <= moment) and (row.until is None or moment < row.until)


def _is_of_seconds(record: CallRecord) -> bool:
    """Whether a record of a version that did not keep seconds apart was billed by them."""
    return record.usage.source == "reported" and (record.usage.raw or {}).get("seconds") is not None


def _tier(row: PriceSettings) -> str:
    return STANDARD if row.service_tier is None else known_as(row.service_tier)


def fits(pattern: str, name: str) -> bool:
    """Whether a row's ``model`` is this name, or the beginning of it."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def rank(row: PriceSettings) -> tuple[bool, int, bool, bool, bool, bool, int, datetime]:
    """The larger, the better of those that fit a name: how exact it is, then how narrow, then how new."""
    return (
        not row.model.endswith("*"),
        len(row.model),
        row.deployment is not None,
        row.sku is not None,
        row.deployment_type is not None,
        row.region is not None,
        row.input_above,
        row.since or _FIRST,
    )

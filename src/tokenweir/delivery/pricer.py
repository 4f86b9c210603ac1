"""Gives records what they cost, and says once of each model why it has no price."""

import logging
from collections.abc import Mapping, Sequence

from ..errors import quoted
from ..ledger import Ledger
from ..pricing import Adjusting, PriceList, PriceSettings, PricingSettings
from ..records import CallRecord

__all__ = ["FREE", "Pricer", "bring"]

_log = logging.getLogger(__name__)

# Names come from callers, so there is no end to them.
_MOST_NAMES = 1_000


class Pricer:
    """Called with a record, gives it back with its cost. For any number of threads."""

    def __init__(
        self,
        rows: Sequence[PriceSettings] = (),
        pricing: PricingSettings | None = None,
        adjusting: Adjusting | None = None,
        skus: Mapping[str, str] | None = None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        """As `PriceList`."""
        self._prices = PriceList(rows, pricing, adjusting, skus, models)
        self._unpriced: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return f"<Pricer {self._prices!r}, {len(self._unpriced)} models without a price>"

    def __call__(self, record: CallRecord) -> CallRecord:
        if not self._prices:
            return record
        priced = self._prices.priced(record)
        if priced.cost_reason is not None and priced is not record:
            self._note(priced)
        return priced

    def _note(self, record: CallRecord) -> None:
        model = record.response_model or record.requested_model or record.deployment or "?"
        reason = record.cost_reason or "no_price"
        if (model, reason) in self._unpriced or len(self._unpriced) >= _MOST_NAMES:
            return
        self._unpriced.add((model, reason))
        what = "its calls have no cost" if record.cost is None else "its calls cost more than their records say"
        _log.warning("%s: %s", _explained(model[:100], reason, record), what)


def _explained(name: str, reason: str, record: CallRecord) -> str:
    model = quoted(name)
    tier = quoted((record.service_tier or record.requested_service_tier or "default")[:100])
    match reason:
        case "no_price":
            return f"no [[prices]] fit model {model}"
        case "no_price_for_tier":
            return f"no [[prices]] fit model {model} as served by the tier {tier} (`service_tier`)"
        case "reserved":
            return f"model {model} was served by provisioned throughput, which is paid by the hour"
        case "tier_unknown":
            return f"model {model} was asked for the tier {tier} and did not say which one served"
        case "not_in_tokens":
            return f"model {model} reports seconds, for which [[prices]] have no price"
        case "no_exchange_rate":
            return f"[[exchange_rates]] have none for the currency of the row {quoted(record.price_id or '')}"
        case "other_currency":
            return f"the [[prices]] that fit model {model} are in two currencies"
        case "unknown_quantity":
            return f"model {model} did not say all that it used"
    return f"the [[prices]] row {quoted(record.price_id or '')} has no `{reason.removeprefix('no_')}` for model {model}"


FREE = Pricer()
"""Knows no prices."""


def bring(ledger: Ledger, records: Sequence[CallRecord], price: Pricer) -> int:
    """Posts calls that did not come from a journal of this gateway, each once; how many were new. What has a cost, or a
    reason why not, keeps it. What is older than the ledger keeps calls is left out: it is in the sums of its days."""
    expired = ledger.expired()
    if expired is not None:
        records = [one for one in records if one.started_at >= expired]
    priced = [one if one.cost is not None or one.cost_reason is not None else price(one) for one in records]
    return ledger.post(priced, "import", None)

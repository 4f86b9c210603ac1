"""Gives records what they cost on their way out of the journal, and says once of each model that it has no price."""

import logging
from collections.abc import Sequence

from ..errors import quoted
from ..pricing import PriceList, PriceSettings
from ..records import CallRecord
from ..sinks import Source
from ..sinks.shipper import Batch

__all__ = ["FREE", "PricedSource", "Pricer"]

_log = logging.getLogger(__name__)

# Names come from callers, so there is no end to them.
_MOST_NAMES = 1_000


class Pricer:
    """Called with a record, gives it back with its cost. For any number of threads."""

    def __init__(self, rows: Sequence[PriceSettings] = ()) -> None:
        self._prices = PriceList(rows)
        self._unpriced: set[str] = set()

    def __repr__(self) -> str:
        return f"<Pricer {self._prices!r}, {len(self._unpriced)} models without a price>"

    def __call__(self, record: CallRecord) -> CallRecord:
        if not self._prices:
            return record
        priced = self._prices.priced(record)
        if priced.cost is None and priced.usage_source != "none":
            self._note(priced.response_model or priced.requested_model or priced.deployment or "?")
        return priced

    def _note(self, model: str) -> None:
        if model not in self._unpriced and len(self._unpriced) < _MOST_NAMES:
            self._unpriced.add(model)
            _log.warning("no [[prices]] fit model %s: its calls have tokens and no cost", quoted(model[:100]))


FREE = Pricer()
"""Knows no prices."""


class _Priced:
    def __init__(self, records: list[CallRecord], position: str) -> None:
        self.records = records
        self.position = position


class PricedSource:
    """A `Source` whose records have their cost."""

    def __init__(self, source: Source, price: Pricer) -> None:
        self._source = source
        self._price = price

    def read(self, limit: int) -> Batch:
        batch = self._source.read(limit)
        return _Priced([self._price(record) for record in batch.records], batch.position)

    def done(self, position: str) -> None:
        self._source.done(position)

"""Re-rating: what calls would cost by the prices of today's list for the day of each call, and what that changes.

A run reads the calls, rates each as if it had no cost, and writes correcting entries for those that come out otherwise.
Nobody sees them until the run is booked (`Ledger.book_run`); a run that ends before that has changed nothing. The same
run again finds nothing to correct.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..errors import TokenweirError
from ..ledger import TAG, Correction, Ledger, RatingRun
from ..records import CallRecord, Clock, new_call_id

__all__ = ["CostDifference", "Rated", "ReRating", "WantedCalls"]

_ZERO: Final = Decimal(0)


class CostDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What a group's corrected calls had cost, and cost now, in one currency."""

    group: dict[str, str | None]
    currency: str | None
    calls: int
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return self.after - self.before


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has found. It counts when it is booked."""

    run_id: str
    number: int
    calls: int
    """That were looked at."""
    corrected: int
    """That cost something else now."""
    unpriced: int
    """That have a cost, and would have none, or less of it: they keep it, because a price that is missing now is no
    other price."""
    foreign: int
    """That came with a cost of their own, from outside this gateway, and keep it."""
    of_closed: dict[str, int]
    """Corrected calls of closed months, whose adjustments are of the first month that is open."""
    differences: list[CostDifference]
    what: str
    """Which calls were looked at, for a person."""


class WantedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls to rate."""

    since: datetime
    until: datetime | None = None
    model: str | None = None
    caller: str | None = None
    by: list[str] = msgspec.field(default_factory=lambda: ["caller"])

    def has(self, record: CallRecord) -> bool:
        return self.model in (None, record.response_model, record.requested_model, record.deployment) and (
            self.caller in (None, record.caller)
        )

    def __str__(self) -> str:
        until = "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M}"
        only = [f"{name} {value}" for name, value in (("model", self.model), ("caller", self.caller)) if value]
        return f"calls since {self.since:%Y-%m-%d %H:%M}{until}{', ' if only else ''}{', '.join(only)} (UTC)"


class ReRating:
    """Over an open ledger. Blocks. ``price`` gives a record what it costs."""

    def __init__(self, ledger: Ledger, price: Callable[[CallRecord], CallRecord], clock: Clock) -> None:
        self._ledger = ledger
        self._price = price
        self._clock = clock

    def rate(
        self, wanted: WantedCalls, progress: Callable[[int], object] = lambda calls: None, *, is_kept: bool = True
    ) -> Rated:
        """Looks at all calls that are wanted, and writes what differs unless it is only to be told. ``progress`` is
        told how many calls were looked at."""
        self._ledger.discard()
        runs = self._ledger.rating_runs()
        run_id, number = new_call_id(), (runs[-1].number if runs else 0) + 1
        tally = _Tally(wanted, self._ledger)
        for records in self._ledger.records_to_rate(wanted.since, wanted.until):
            corrections = tally.correct(records, self._price)
            if is_kept:
                self._ledger.stage(run_id, corrections)
            progress(tally.calls)
        return Rated(
            run_id=run_id,
            number=number,
            calls=tally.calls,
            corrected=tally.corrected,
            unpriced=tally.unpriced,
            foreign=tally.foreign,
            of_closed=tally.of_closed,
            differences=tally.differences(),
            what=str(wanted),
        )

    def book(self, rated: Rated, who: str) -> RatingRun:
        """Makes a run count. `LedgerError` if another one was booked meanwhile; nothing was changed then."""
        if not rated.corrected:
            raise TokenweirError("there is nothing to book: no call costs anything else")
        run = RatingRun(
            number=rated.number,
            run_id=rated.run_id,
            booked_at=self._clock.now(),
            booked_by=who,
            calls=rated.corrected,
            what=rated.what,
        )
        try:
            self._ledger.book_run(run)
        except BaseException:
            self._ledger.discard(rated.run_id)
            raise
        return run

    def discard(self, rated: Rated) -> None:
        """Takes back what was written of a run that is not to be booked."""
        self._ledger.discard(rated.run_id)


class _Tally:
    """What a run has seen until now."""

    def __init__(self, wanted: WantedCalls, ledger: Ledger) -> None:
        self._wanted = wanted
        self._months = [(month.month, month.since, month.until) for month in ledger.closed_months()]
        self._sums: dict[tuple[str | None, ...], list[Any]] = {}
        self.calls = self.corrected = self.unpriced = self.foreign = 0
        self.of_closed: dict[str, int] = {}

    def correct(self, records: Sequence[CallRecord], price: Callable[[CallRecord], CallRecord]) -> list[Correction]:
        corrections = []
        for record in records:
            if not self._wanted.has(record):
                continue
            self.calls += 1
            if record.cost is not None and record.price_id is None:
                self.foreign += 1
                continue
            after = price(msgspec.structs.replace(record, **_UNRATED))
            if _same(record, after):
                continue
            if _loses_a_price(record, after):
                self.unpriced += 1
                continue
            corrections.append(Correction(record, after))
            self._add(record, after)
        return corrections

    def _add(self, before: CallRecord, after: CallRecord) -> None:
        self.corrected += 1
        for name, since, until in self._months:
            if since <= after.started_at < until:
                self.of_closed[name] = self.of_closed.get(name, 0) + 1
        group = tuple(_group_of(after, name) for name in self._wanted.by)
        currencies = {before.currency, after.currency} - {None} or {None}
        for currency in currencies:
            sums = self._sums.setdefault((*group, currency), [0, _ZERO, _ZERO])
            sums[0] += 1
            if before.cost is not None and before.currency == currency:
                sums[1] += before.cost
            if after.cost is not None and after.currency == currency:
                sums[2] += after.cost

    def differences(self) -> list[CostDifference]:
        ordered = sorted(self._sums.items(), key=lambda item: [(part is None, part or "") for part in item[0]])
        return [
            CostDifference(
                group=dict(zip(self._wanted.by, group[:-1], strict=True)),
                currency=group[-1],
                calls=calls,
                before=before,
                after=after,
            )
            for group, (calls, before, after) in ordered
        ]


_UNRATED: Final[Mapping[str, Any]] = {
    "cost": None,
    "currency": None,
    "price_id": None,
    "cost_reason": None,
    "charges": [],
}


def _same(before: CallRecord, after: CallRecord) -> bool:
    """Whether it is the same money for the same things. A row of prices that has another name now corrects nothing, nor
    do lines of calls from before there were any."""
    if (before.cost, before.currency, before.cost_reason) != (after.cost, after.currency, after.cost_reason):
        return False
    return not before.charges or _amounts(before) == _amounts(after)


def _amounts(record: CallRecord) -> list[tuple[object, ...]]:
    return [(line.meter, line.quantity, line.rate, line.per, line.amount) for line in record.charges]


def _loses_a_price(before: CallRecord, after: CallRecord) -> bool:
    """Whether all of a call had a price, and not all of it has one now."""
    return before.cost is not None and (after.cost is None or (before.cost_reason is None and bool(after.cost_reason)))


def _group_of(record: CallRecord, name: str) -> str | None:
    match name:
        case "caller":
            return record.caller
        case "model":
            return record.response_model or record.requested_model
        case "deployment":
            return record.deployment
    return record.tags.get(name.removeprefix(TAG))

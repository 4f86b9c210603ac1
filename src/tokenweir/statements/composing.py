"""From sums of charge lines to a statement: grouped, converted, rounded, and with all that is not known said."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..errors import QueryError
from ..ledger import NOT_ITEMISED, NOTHING, TAG, UNMETERED, ChargeSum, KeptSum, unknown_name
from .rounding import minor_unit, rounded, shared_out
from .statement import LineKind, RateUsed, StatementGroup, StatementLine, Total

__all__ = ["GROUPS", "Composed", "compose", "group_names"]

GROUPS: Final[dict[str, Callable[[ChargeSum], str | None]]] = {
    "caller": lambda one: one.caller,
    "model": lambda one: one.model,
    "deployment": lambda one: one.deployment,
    "api": lambda one: one.api,
    "region": lambda one: one.region,
    "sku": lambda one: one.sku,
    "tier": lambda one: one.service_tier,
    "meter": lambda one: one.meter,
    "price_id": lambda one: one.price_id,
    "usage_source": lambda one: one.usage_source,
}
"""What a statement can be grouped by; tags come on top, as ``tag:<name>`` or, for the one that everybody has,
``cost_centre``."""

_TAGS: Final = ("cost_centre",)
_ZERO: Final = Decimal(0)

Convert = Callable[[str, str], Decimal]
"""The rate of a currency in a period."""


class Composed(msgspec.Struct, frozen=True):
    """The parts of a statement that come from sums."""

    groups: list[StatementGroup]
    totals: list[Total]
    rates: list[RateUsed]


def group_names(text: str) -> list[str]:
    """The names of ``--by``. `QueryError` names those that there are."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in GROUPS and name not in _TAGS and not name.startswith(TAG):
            known = [*GROUPS, *_TAGS, f"{TAG}<name>"]
            raise QueryError(unknown_name("a statement by", name, known))
    return names


def compose(
    rows: Iterable[KeptSum],
    by: Sequence[str],
    period: str,
    into: str | None,
    rate: Convert,
    renamed: Mapping[str, str],
) -> Composed:
    """The groups of a period with their lines, and the totals. ``into`` is the currency to convert amounts into;
    callers that have another name now go by that."""
    read = [_reader(name, renamed) for name in by]
    used: dict[tuple[str, str], Decimal] = {}
    gathered: dict[tuple[Any, ...], dict[tuple[Any, ...], _Sum]] = defaultdict(dict)
    rows = list(rows)
    # What has no price has no currency. Where there is only one, it stands there, and makes that total a floor.
    currencies = {into} if into is not None else {row.sums.currency for row in rows} - {None}
    only = currencies.pop() if len(currencies) == 1 else None
    for row in rows:
        one = row.sums
        factor = Decimal(1)
        currency = one.currency or only
        if into is not None and one.currency is not None:
            if one.currency != into:
                key = (one.currency, row.of_month)
                factor = used[key] = used.get(key) or rate(*key)
            currency = into
        group = (*(of(one) for of in read), currency)
        kind: LineKind = "charge" if row.of_month == period else "late" if one.entry == "call" else "re-rated"
        line = (
            kind,
            row.of_month,
            one.meter,
            one.unit,
            one.rate,
            one.per,
            one.currency,
            one.model,
            one.service_tier,
            one.sku,
            one.region,
            one.price_id,
            one.reason,
        )
        gathered[group].setdefault(line, _Sum()).add(one, factor)
    rates = [RateUsed(currency, into or "", value, month) for (currency, month), value in sorted(used.items())]
    groups: list[StatementGroup] = []
    totals: list[Total] = []
    of_currency: dict[str | None, list[tuple[Any, ...]]] = defaultdict(list)
    for group in sorted(gathered, key=_order):
        of_currency[group[-1]].append(group)
    for currency in sorted(of_currency, key=lambda one: (one is None, one)):
        made = _of_currency(currency, {group: gathered[group] for group in of_currency[currency]}, by)
        groups += made
        totals.append(_total(currency, made))
    groups.sort(key=lambda one: _order((*one.group.values(), one.currency)))
    return Composed(groups, totals, rates)


class _Sum:
    """What lines of the same kind add up to."""

    __slots__ = ("amount", "calls", "estimated", "quantity")

    def __init__(self) -> None:
        self.amount: Decimal | None = None
        self.estimated = self.quantity = _ZERO
        self.calls = 0

    def add(self, one: ChargeSum, factor: Decimal) -> None:
        self.calls += one.calls
        self.quantity += one.quantity
        if one.amount is not None:
            amount = one.amount * factor
            self.amount = amount + (self.amount or _ZERO)
            if one.usage_source == "estimated":
                self.estimated += amount

    @property
    def is_empty(self) -> bool:
        """Whether it was taken away whole."""
        return not (self.calls or self.quantity or self.amount)


def _reader(name: str, renamed: Mapping[str, str]) -> Callable[[ChargeSum], str | None]:
    if name == "caller" and renamed:
        return lambda one: None if one.caller is None else renamed.get(one.caller, one.caller)
    if name in GROUPS:
        return GROUPS[name]
    tag = name.removeprefix(TAG)
    return lambda one: one.tags.get(tag)


def _order(group: tuple[Any, ...]) -> list[tuple[bool, str]]:
    """Those that have no name come last."""
    return [(part is None, str(part or "")) for part in group]


def _of_currency(
    currency: str | None, groups: Mapping[tuple[Any, ...], Mapping[tuple[Any, ...], _Sum]], by: Sequence[str]
) -> list[StatementGroup]:
    """All groups of one currency. Cents are shared out among groups, and those of each among its lines."""
    unit = minor_unit(currency)
    kept = {
        group: {line: sums for line, sums in sorted(lines.items(), key=_line_order) if not sums.is_empty}
        for group, lines in groups.items()
    }
    kept = {group: lines for group, lines in kept.items() if lines}
    exact = [sum((sums.amount or _ZERO for sums in lines.values()), _ZERO) for lines in kept.values()]
    amounts = shared_out(rounded(sum(exact, _ZERO), unit), exact, unit)
    return [
        _group(dict(zip(by, group[:-1], strict=True)), currency, lines, whole, amount, unit)
        for (group, lines), whole, amount in zip(kept.items(), exact, amounts, strict=True)
    ]


def _line_order(item: tuple[tuple[Any, ...], _Sum]) -> tuple[Any, ...]:
    kind, of_month, meter, unit, rate, per, currency, *rest, reason = item[0]
    return (kind != "charge", of_month, _order(tuple(rest)), reason is not None, _order((meter, rate, per, reason)))


def _group(
    group: dict[str, str | None],
    currency: str | None,
    sums: Mapping[tuple[Any, ...], _Sum],
    exact: Decimal,
    amount: Decimal,
    unit: Decimal,
) -> StatementGroup:
    priced = [one.amount for one in sums.values() if one.amount is not None]
    shares = iter(shared_out(amount, priced, unit))
    lines = [
        StatementLine(
            kind=kind,
            of_period=of_period,
            meter=meter,
            unit=of_unit,
            quantity=one.quantity,
            rate=rate,
            per=per,
            price_currency=price_currency,
            model=model,
            tier=tier,
            sku=sku,
            region=region,
            price_id=price_id,
            calls=one.calls,
            amount=None if one.amount is None else next(shares),
            exact=one.amount,
            estimated=one.estimated,
            reason=reason,
        )
        for (
            kind,
            of_period,
            meter,
            of_unit,
            rate,
            per,
            price_currency,
            model,
            tier,
            sku,
            region,
            price_id,
            reason,
        ), one in sums.items()
    ]
    unpriced = [line for line in lines if line.amount is None and line.meter != NOTHING]
    return StatementGroup(
        group=group,
        currency=currency,
        amount=amount if priced else None,
        exact=exact if priced else None,
        adjustments=sum((line.amount or _ZERO for line in lines if line.kind != "charge"), _ZERO),
        calls=sum(line.calls for line in lines),
        estimated=sum((line.estimated for line in lines), _ZERO),
        tokens=sum((line.quantity for line in lines if line.unit == "tokens"), _ZERO),
        unpriced_tokens=sum((line.quantity for line in unpriced if line.unit == "tokens"), _ZERO),
        unpriced_calls=sum(line.calls for line in unpriced if line.meter in (NOT_ITEMISED, UNMETERED)),
        is_floor=any(line.quantity > 0 for line in unpriced),
        lines=lines,
    )


def _total(currency: str | None, groups: Sequence[StatementGroup]) -> Total:
    has_any = any(group.amount is not None for group in groups)

    def whole(name: str) -> Decimal:
        told = (getattr(group, name) for group in groups)
        return sum((one for one in told if one is not None), _ZERO)  # not "or": 0.00 is to stay to the cent

    return Total(
        currency=currency,
        amount=whole("amount") if has_any else None,
        exact=whole("exact") if has_any else None,
        adjustments=whole("adjustments"),
        calls=sum(group.calls for group in groups),
        estimated=whole("estimated"),
        tokens=whole("tokens"),
        unpriced_tokens=whole("unpriced_tokens"),
        unpriced_calls=sum(group.unpriced_calls for group in groups),
        is_floor=any(group.is_floor for group in groups),
    )

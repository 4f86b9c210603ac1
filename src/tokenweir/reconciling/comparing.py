"""What somebody else has counted beside what the ledger has, with what is known of the differences."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from .amounts import Kept, Key, MeterName, Told

__all__ = ["Compared", "compare", "summed"]

_DAY: Final = timedelta(days=1)
_DATED: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Compared(msgspec.Struct, frozen=True):
    """One meter of one model and deployment on one day, or on all of them."""

    day: date | None
    deployment: str | None
    model: str | None
    meter: MeterName
    currency: str | None
    theirs: Decimal
    ours: Decimal
    reasons: tuple[str, ...] = ()
    """Why they differ, as far as it can be known; empty where they do not."""

    @property
    def difference(self) -> Decimal:
        """What they have more than we."""
        return self.theirs - self.ours


class _Their(msgspec.Struct):
    amount: Decimal = Decimal(0)
    rounding: Decimal = Decimal(0)
    notes: list[str] = []


def compare(told: Iterable[Told], kept: Mapping[Key, Kept]) -> list[Compared]:
    """Day by day. What a file does not tell apart, like deployments in a bill, is added up on our side, too; meters
    that it does not have at all are left out."""
    theirs = _by_our_names(told, {key[2] for key in kept if key[2]})
    meters = {(key[3], key[4]) for key in theirs}
    has_deployments, has_models = (any(key[place] for key in theirs) for place in (1, 2))
    ours: dict[Key, Kept] = defaultdict(Kept)
    for (day, deployment, model, meter, currency), one in kept.items():
        if any(meter == theirs_meter for theirs_meter, _ in meters):
            where = deployment if has_deployments else None, _undated(model) if has_models else None
            into = ours[day, *where, meter, currency]
            into.amount += one.amount
            into.estimated += one.estimated
            into.unmetered_calls += one.unmetered_calls
            into.unpriced_calls += one.unpriced_calls
    days = {key[0] for key in theirs}
    rows = []
    for key in sorted({*theirs, *ours}, key=str):
        their, our = theirs.get(key, _Their()), ours.get(key, Kept())
        if their.amount or our.amount:
            rows.append(Compared(*key, their.amount, our.amount, tuple(_reasons(key, their, our, theirs, ours, days))))
    return rows


def summed(rows: Iterable[Compared], names: Iterable[str]) -> list[Compared]:
    """Added up by some of ``day``, ``deployment`` and ``model``; meters and currencies always stay apart."""
    by = set(names)
    sums: dict[tuple[date | None, str | None, str | None, MeterName, str | None], list[Compared]] = defaultdict(list)
    for row in rows:
        day = row.day if "day" in by else None
        deployment, model = (value if name in by else None for name, value in _names(row))
        sums[day, deployment, model, row.meter, row.currency].append(row)
    return [
        Compared(
            *key,
            theirs=sum((row.theirs for row in of_it), Decimal(0)),
            ours=sum((row.ours for row in of_it), Decimal(0)),
            reasons=tuple(dict.fromkeys(reason for row in of_it for reason in row.reasons)),
        )
        for key, of_it in sums.items()
    ]


def _names(row: Compared) -> tuple[tuple[str, str | None], ...]:
    return ("deployment", row.deployment), ("model", row.model)


def _by_our_names(told: Iterable[Told], models: set[str]) -> dict[Key, _Their]:
    known = {_squeezed(_undated(model) or ""): _undated(model) for model in models}
    theirs: dict[Key, _Their] = {}
    for one in told:
        model = None
        if one.model is not None:
            model = known.get(_squeezed(_undated(one.model) or "")) or known.get(_squeezed(_no_version(one.model)))
            model = model or one.model
        into = theirs.setdefault((one.day, one.deployment, model, one.meter, one.currency), _Their(notes=[]))
        into.amount += one.amount
        into.rounding += one.step / 2
        if one.note is not None:
            into.notes.append(one.note)
    return theirs


def _undated(model: str | None) -> str | None:
    """Bills and metrics call a model by its name, answers with its version."""
    return None if model is None else _DATED.sub("", model)


def _no_version(words: str) -> str:
    """``gpt 4o 0806`` without the month and day of its version."""
    return re.sub(r"\s\d{4}$", "", words.strip())


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _reasons(
    key: Key,
    their: _Their,
    our: Kept,
    theirs: Mapping[Key, _Their],
    ours: Mapping[Key, Kept],
    days: set[date],
) -> list[str]:
    difference = their.amount - our.amount
    if abs(difference) <= their.rounding:
        return ["rounding"] if difference else []
    reasons = list(dict.fromkeys(their.notes))
    day, *rest = key
    for other in (day - _DAY, day + _DAY):
        beside: Key = other, *rest  # type: ignore[assignment]  # a key with another day
        if beside in theirs or beside in ours:
            moved = theirs.get(beside, _Their()).amount - ours.get(beside, Kept()).amount
            if moved and moved * difference < 0 and abs(moved + difference) <= abs(difference) / 10:
                reasons.append(f"time zone or late usage: {other} has the opposite difference")
    if not their.amount and day not in days:
        reasons.append("the file does not have this day")
    elif not their.amount:
        reasons.append("not in the file: another resource, or not billed")
    if not our.amount and not our.unmetered_calls:
        reasons.append("no calls here: they went past the gateway, or are in another ledger")
    if our.estimated and abs(difference) <= our.estimated:
        reasons.append(f"{our.estimated:,} of ours are estimated")
    if our.unmetered_calls and difference > 0:
        reasons.append(f"{our.unmetered_calls:,} calls here are unmetered")
    if key[3] == "cost" and our.unpriced_calls and difference > 0:
        reasons.append(f"{our.unpriced_calls:,} calls here are unpriced")
    if not reasons:
        reasons.append(
            "not explained: perhaps calls past the gateway"
            if difference > 0
            else "not explained: perhaps usage that is billed later, a tier, or failed calls that are not billed"
        )
    return reasons

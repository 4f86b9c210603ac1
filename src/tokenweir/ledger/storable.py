"""What an engine cannot hold, made into what it can: a record must not hold up those behind it.

Whole numbers end at 64 bits, money has 26 digits before the point, and PostgreSQL's texts cannot hold the character
U+0000. An upstream that reports such a thing is broken, yet its call was made and is counted.
"""

import logging
from decimal import Decimal
from typing import Any

from msgspec.structs import astuple

from ..records import CallRecord, ChargeLine, Quantity, flat_fields, from_fields

__all__ = ["INT64", "MONEY_END", "storable"]

_log = logging.getLogger(__name__)

INT64 = range(-(2**63), 2**63)
MONEY_END = Decimal(10) ** 26


def storable(record: CallRecord, engine: str, *, supports_nul: bool) -> CallRecord:
    """The record without numbers that are too large, and if need be with U+FFFD for U+0000.

    The same one if all of it fits. What is changed is logged under the engine's name.
    """
    fields = flat_fields(record)
    kept = {name: value if supports_nul else _without_zeros(value) for name, value in fields.items() if _fits(value)}
    changed = [name for name, value in fields.items() if kept.get(name, _ABSENT) != value]
    if not changed:
        return record
    _log.error("record %s: %s cannot hold its %s as it is", record.call_id, engine, ", ".join(changed))
    return from_fields(**kept)


_ABSENT = object()


def _fits(value: Any) -> bool:
    match value:
        case int():
            return value in INT64
        case Decimal():
            return value.is_finite() and abs(value) < MONEY_END
        case Quantity():
            return _fits(value.amount)
        case ChargeLine():
            return all(_fits(inner) for inner in astuple(value))
        case dict():
            return all(_fits(inner) for inner in value.values() if isinstance(inner, Quantity))
        case list():
            return all(_fits(inner) for inner in value if isinstance(inner, ChargeLine))
    return True


def _without_zeros(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case dict():
            return {_without_zeros(name): _without_zeros(inner) for name, inner in value.items()}
        case list():
            return [_without_zeros(inner) for inner in value]
        case ChargeLine():
            return ChargeLine(*map(_without_zeros, astuple(value)))
    return value

"""What PostgreSQL cannot hold, made into what it can: a record must not hold up those behind it.

Its texts cannot hold the character U+0000, its whole numbers end at 64 bits, and money has 26 digits before the
point. An upstream that reports such a thing is broken, yet its call was made and is counted.
"""

import logging
from decimal import Decimal
from typing import Any

import msgspec

from ...records import CallRecord

__all__ = ["storable"]

_log = logging.getLogger(__name__)

_INT64 = range(-(2**63), 2**63)
_MONEY_END = Decimal(10) ** 26


def storable(record: CallRecord) -> CallRecord:
    """The record, with U+FFFD for U+0000, and without numbers that are too large; the same one if all of it fits."""
    fields = msgspec.structs.asdict(record)
    kept = {name: _mended(value) for name, value in fields.items() if _fits(value)}
    changed = [name for name, value in fields.items() if kept.get(name, _ABSENT) != value]
    if not changed:
        return record
    _log.error("record %s: PostgreSQL cannot hold its %s as it is", record.call_id, ", ".join(changed))
    return CallRecord(**kept)


_ABSENT = object()


def _fits(value: Any) -> bool:
    match value:
        case int():
            return value in _INT64
        case Decimal():
            return value.is_finite() and abs(value) < _MONEY_END
    return True


def _mended(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case dict():
            return {_mended(name): _mended(inner) for name, inner in value.items()}
        case list():
            return [_mended(inner) for inner in value]
    return value

"""The rows of the price list, the one that fits a call, and what the call cost by it.

1. The names a call goes by are tried in order: the model that answered, the one asked for, the deployment.
2. Of the rows that fit a name, and whose SKU, deployment and time fit the call, the best is taken: the exact name
   before the longest beginning, the narrower before the wider, the newer before the older.
3. Every token is charged once: as cached, as audio, or as what is left.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal

import msgspec

from ..records import CallRecord
from .settings import PLACES, Price, PriceSettings

__all__ = ["PriceList"]

_FIRST = datetime.min.replace(tzinfo=UTC)

# A price has whole units of 1e-6 for a million tokens, so what a call costs is a whole number of 1e-12.
_UNITS = 10**PLACES
_EXPONENT = -2 * PLACES
_EXACT = Context(prec=100)


class PriceList:
    """Rows in no order; any number of threads may ask."""

    def __init__(self, rows: Sequence[PriceSettings]) -> None:
        self._rows = tuple(rows)

    def __repr__(self) -> str:
        return f"<PriceList of {len(self._rows)} rows>"

    def __bool__(self) -> bool:
        return bool(self._rows)

    def priced(self, record: CallRecord) -> CallRecord:
        """The record with what it cost; the very same where it has a cost, used nothing, or no row fits it."""
        if record.cost is not None or record.usage_source == "none":
            return record
        row = self.row_for(record)
        if row is None:
            return record
        return msgspec.structs.replace(record, cost=cost(record, row), currency=row.currency, price_id=row.name)

    def row_for(self, record: CallRecord) -> PriceSettings | None:
        """Which row a call is charged by."""
        open_to_it = [row for row in self._rows if _is_open_to(row, record)]
        for name in (record.response_model, record.requested_model, record.deployment):
            fitting = [row for row in open_to_it if name and _fits(row.model, name)]
            if fitting:
                return max(fitting, key=_rank)
        return None


def cost(record: CallRecord, row: PriceSettings) -> Decimal:
    """Exact. Parts that an upstream reports as larger than the whole are cut to it."""
    cached, audio, text = _shares(record.input_tokens, record.cached_input_tokens, record.input_audio_tokens)
    _, spoken, written = _shares(record.output_tokens, 0, record.output_audio_tokens)
    units = (
        text * _units(row.input)
        + cached * _units(row.cached_input, row.input)
        + audio * _units(row.input_audio, row.input)
        + written * _units(row.output)
        + spoken * _units(row.output_audio, row.output)
    )
    exponent = _EXPONENT
    while exponent and units % 10 == 0:
        units, exponent = units // 10, exponent + 1
    return Decimal(units).scaleb(exponent, _EXACT)


def _shares(whole: int, cached: int, audio: int) -> tuple[int, int, int]:
    """How many tokens are charged as cached, as audio and as text; together they are the whole."""
    whole = max(0, whole)
    cached = min(max(0, cached), whole)
    audio = min(max(0, audio), whole - cached)
    return cached, audio, whole - cached - audio


def _units(price: Price | None, otherwise: Price | None = None) -> int:
    chosen = price if price is not None else otherwise
    assert chosen is not None
    return int(_EXACT.multiply(chosen, Decimal(_UNITS)))


def _is_open_to(row: PriceSettings, record: CallRecord) -> bool:
    return (
        row.sku in (None, record.sku)
        and row.deployment in (None, record.deployment)
        and (row.since is None or row.since <= record.started_at)
    )


def _fits(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _rank(row: PriceSettings) -> tuple[bool, int, bool, bool, datetime]:
    return (
        not row.model.endswith("*"),
        len(row.model),
        row.deployment is not None,
        row.sku is not None,
        row.since or _FIRST,
    )

"""Which service tier a call was served by. A price of one tier says nothing about another: they differ by a factor."""

from ..records import CallRecord
from .deployment_types import is_batch

__all__ = ["STANDARD", "known_as", "tier_of"]

STANDARD = "default"
_SAME_AS_STANDARD = ("", "auto", "standard")


def known_as(tier: str) -> str:
    """The tier under the name that answers give it."""
    plain = tier.strip().lower()
    return STANDARD if plain in _SAME_AS_STANDARD else plain


def tier_of(record: CallRecord) -> str | None:
    """The tier as the answer says. An answer that names none was served by the standard tier, unless another one had
    been asked for: then nobody knows."""
    if record.service_tier:
        return known_as(record.service_tier)
    if is_batch(record.sku):
        return "batch"
    return STANDARD if known_as(record.requested_service_tier or "") == STANDARD else None

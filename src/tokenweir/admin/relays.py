"""How a relay is, as the books see it from its journal's directory."""

import msgspec

from ..journal import JournalStatus

__all__ = ["RelayStatus"]


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One relay. ``age`` is how long ago it last wrote its status, in seconds; ``None``: it never did."""

    name: str
    fresh: bool
    age: float | None
    gauges: dict[str, float | int] = {}
    journal: JournalStatus | None = None
    lag_bytes: int | None = None
    """How much of its journal is not in the ledger yet; ``None``: nobody has looked."""
    records_missing: int = 0
    """How many records its journal should hold and does not; after a kill, how many at most."""
    segments_cut: int = 0
    """How many of its journal's segments were found empty, short or gone."""

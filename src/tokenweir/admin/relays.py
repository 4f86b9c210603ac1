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

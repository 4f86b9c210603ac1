"""What is known about one caller."""

from typing import Literal

import msgspec

__all__ = ["CallerSettings"]


class CallerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[callers]]`` table."""

    name: str
    """What records and reports call it."""
    key_sha256: str | None = None
    """Hex SHA-256 of the key; further keys of the same caller live in the keys file."""
    tags: dict[str, str] = {}
    """Written into each record of the caller, to group by: ``{ cost_centre = "4711" }``."""
    on_client_gone: Literal["cancel", "drain"] | None = None
    """As in ``[server]``, for calls of this caller."""

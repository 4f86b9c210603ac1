"""What is known about one caller."""

from typing import Literal

import msgspec

__all__ = ["CallerSettings"]


class CallerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[callers]]`` table."""

    name: str
    key_sha256: str | None = None
    """Hex SHA-256 of the key; further keys of the same caller live in the keys file."""
    tags: dict[str, str] = {}
    on_client_gone: Literal["cancel", "drain"] | None = None

"""Call identifiers: UUID version 7 (RFC 9562), so that sorting by id is sorting by time."""

import os
import time
import uuid

__all__ = ["new_call_id", "time_of"]


def new_call_id() -> str:
    """A fresh UUIDv7 in its usual text form: 48 bits of milliseconds, 74 bits of chance."""
    millis = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    high = (millis << 16) | 0x7000 | (chance >> 68)
    low = (0b10 << 62) | (chance & 0x3FFF_FFFF_FFFF_FFFF)
    text = f"{(high << 64) | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_of(call_id: str) -> float:
    """Seconds since the epoch at which an id was made."""
    return (uuid.UUID(call_id).int >> 80) / 1000

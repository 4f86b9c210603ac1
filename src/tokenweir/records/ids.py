"""Call identifiers: UUID version 7 (RFC 9562), so that sorting by id is sorting by time."""

import random
import time
import uuid

__all__ = ["new_call_id", "time_of"]

# Seeded from the operating system's entropy. An id has to be unique, not secret: it opens nothing.
_chance = random.Random().getrandbits


def new_call_id() -> str:
    """A fresh UUIDv7 in its usual text form: 48 bits of milliseconds, 74 bits of chance."""
    millis = time.time_ns() // 1_000_000
    bits = _chance(74)
    return "%08x-%04x-7%03x-%04x-%012x" % (
        millis >> 16,
        millis & 0xFFFF,
        bits & 0xFFF,
        0x8000 | bits >> 12 & 0x3FFF,
        bits >> 26,
    )


def time_of(call_id: str) -> float:
    """Seconds since the epoch at which an id was made."""
    return (uuid.UUID(call_id).int >> 80) / 1000

"""Call identifiers: UUID version 7 (RFC 9562), so that sorting by id is sorting by time."""

import itertools
import random
import time
import uuid

__all__ = ["new_call_id", "time_of"]

# Seeded from the operating system's entropy. An id has to be unique, not secret: it opens nothing.
_chance = random.Random()
# RFC 9562, 6.2, method 1: after the milliseconds come 26 bits that name this process, and a counter that
# begins anywhere in the lower half of its 48 bits.
_process = f"7{_chance.getrandbits(12):03x}-{0x8000 | _chance.getrandbits(14):04x}"
_counter = itertools.count(_chance.getrandbits(47))


def new_call_id() -> str:
    """A fresh UUIDv7 in its usual text form; ids of one process ascend."""
    millis = f"{time.time_ns() // 1_000_000:012x}"
    return f"{millis[:8]}-{millis[8:]}-{_process}-{next(_counter):012x}"


def time_of(call_id: str) -> float:
    """Seconds since the epoch at which an id was made."""
    return (uuid.UUID(call_id).int >> 80) / 1000

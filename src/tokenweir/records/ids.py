"""Call identifiers: UUID version 7 (RFC 9562), so that sorting by id is sorting by time."""

import itertools
import random
import time

__all__ = ["new_call_id"]

# Seeded from the operating system's entropy. An id has to be unique, not secret: it opens nothing.
_chance = random.Random()
# RFC 9562, 6.2, method 1: after the milliseconds come 26 bits that name this process, and a counter that
# begins anywhere in the lower half of its 48 bits.
_process = f"7{_chance.getrandbits(12):03x}-{0x8000 | _chance.getrandbits(14):04x}"
_counter = itertools.count(_chance.getrandbits(47))


# The part of an id that all those of one millisecond share.
_moment = -1
_beginning = ""


def new_call_id() -> str:
    """A fresh UUIDv7 in its usual text form; ids of one process ascend."""
    global _moment, _beginning
    moment = time.time_ns() // 1_000_000
    if moment != _moment:
        millis = f"{moment:012x}"
        _moment, _beginning = moment, f"{millis[:8]}-{millis[8:]}-{_process}-"
    return f"{_beginning}{next(_counter):012x}"

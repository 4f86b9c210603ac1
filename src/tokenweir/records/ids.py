"""Call identifiers: UUID version 7 (RFC 9562), so that sorting by id is sorting by time."""

import itertools
import os
import random
import time

__all__ = ["new_call_id"]

# RFC 9562, 6.2, method 1: after the milliseconds come 26 bits that name this process, and a counter that
# begins anywhere in the lower half of its 48 bits.
_process: str
_counter: "itertools.count[int]"
# The millisecond of the latest id, and what all those of it begin with.
_moment: int
_beginning = ""


def _begin_process() -> None:
    global _process, _counter, _moment
    # Seeded from the operating system's entropy. An id has to be unique, not secret: it opens nothing.
    chance = random.Random()
    _process = f"7{chance.getrandbits(12):03x}-{0x8000 | chance.getrandbits(14):04x}"
    _counter = itertools.count(chance.getrandbits(47))
    _moment = -1


_begin_process()
os.register_at_fork(after_in_child=_begin_process)  # a relay's ids are not those of the process it was forked from


def new_call_id() -> str:
    """A fresh UUIDv7 in its usual text form; ids of one process ascend."""
    global _moment, _beginning
    moment = time.time_ns() // 1_000_000
    if moment != _moment:
        millis = f"{moment:012x}"
        _moment, _beginning = moment, f"{millis[:8]}-{millis[8:]}-{_process}-"
    return f"{_beginning}{next(_counter):012x}"

"""Call identifiers: UUID version 7 (RFC 9562), so that sorting by id is sorting by time."""

import hashlib
import itertools
import os
import random
import time
from collections.abc import Sequence

import msgspec

__all__ = ["derived_call_id", "new_call_id"]

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


def derived_call_id(names: Sequence[str], moment: float | None = None) -> str:
    """A UUID (version 8, RFC 9562, 5.8) that is the same wherever it is made of these names, so that what several
    write down is kept once. It begins with ``moment``, seconds since 1970, so that ids go on to ascend with time."""
    digest = hashlib.sha256(msgspec.json.encode(names)).digest()
    millis = 0 if moment is None else int(moment) * 1000
    number = millis << 80 | 8 << 76 | int.from_bytes(digest[:2]) >> 4 << 64 | 2 << 62
    number |= int.from_bytes(digest[2:10]) >> 2
    text = f"{number:032x}"
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])

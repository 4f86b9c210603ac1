"""Which target a call belongs to, so that calls which share a prompt's beginning find it in that target's cache. Pure.

Rendezvous hashing with weights: each target has a number for each key, and the highest one is the call's. A target that
comes or goes moves only the keys that are its own, and every relay comes to the same answer without asking another.
Source: Thaler and Ravishankar 1998; weights: Schindelhauer and Schomaker 2005.
"""

import re
from collections.abc import Sequence
from math import log
from typing import Final
from zlib import crc32

from ..wire import Fields

__all__ = ["NO_KEY", "AffinityRule", "hashed", "preference"]

NO_KEY: Final = 0

# As much as OpenAI's own routing looks at, some 256 tokens; caches hold prompts of 1,024 tokens and more.
_PROMPT_BYTES: Final = 1024
_PROMPTS: Final = (b'"messages"', b'"input"', b'"prompt"')
_CACHE_KEY = re.compile(rb'(?<!\\)"prompt_cache_key"\s*:\s*("(?:[^"\\]|\\.)*")')
_MASK: Final = 0x3FFFFFFF


class AffinityRule:
    """Reads a call's key from the first of its sources that the call has."""

    def __init__(self, sources: Sequence[str]) -> None:
        """``header:NAME``, ``prompt_cache_key`` and ``prompt``."""
        self._sources = [
            (source, source.removeprefix("header:").lower().encode("ascii") if source.startswith("header:") else b"")
            for source in sources
        ]

    def key(self, fields: Fields, body: bytes) -> int:
        """``body`` may be the beginning of one. ``NO_KEY`` where the call has none of the sources."""
        for source, header in self._sources:
            found: bytes | None = None
            if header:
                found = fields.get(header)
            elif source == "prompt":
                found = _beginning(body)
            elif body.find(b'"prompt_cache_key"') >= 0:
                told = _CACHE_KEY.search(body)
                found = told[1] if told is not None else None
            if found:
                return hashed(found)
        return NO_KEY


def _beginning(body: bytes) -> bytes | None:
    for name in _PROMPTS:
        start = body.find(name)
        if start >= 0:
            return body[start : start + _PROMPT_BYTES]
    return None


def hashed(text: bytes) -> int:
    """30 bits, and never ``NO_KEY``; the same in every process."""
    return (crc32(text) & _MASK) or 1


def preference(key: int, seed: int, weight: float) -> float:
    """How much a key prefers the target whose name was hashed to ``seed``; more than 0."""
    mixed = ((key ^ seed) * 0x2C1B3C6D) & _MASK  # products stay below 2**60, which is one machine word when compiled
    mixed = ((mixed ^ (mixed >> 15)) * 0x297A2D39) & _MASK
    mixed ^= mixed >> 15
    return -weight / log((mixed + 0.5) / (_MASK + 1.0))

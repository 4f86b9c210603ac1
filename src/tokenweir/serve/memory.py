"""Memory that many calls have left behind, given back to the system.

What is freed here and there lies in pages that hold something else too, so it stays with the process: some 10 KB of
each stream, and the 40 KB of each connection with TLS. Whoever has had many calls, and has few now, looks for all of
it once.
"""

import ctypes
import gc
from collections.abc import Callable

__all__ = ["SpareMemory", "give_back"]

# Of fewer than these it is not worth the look, which takes milliseconds for each ten thousand objects that are in use.
_MANY = 500
_FEW = 1 / 4


class SpareMemory:
    """Sees when there is some."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._most = 0

    def look(self, held: int) -> None:
        """To be told about once a second how many calls and connections there are."""
        if held > self._most:
            self._most = held
        elif self._most >= _MANY and held <= self._most * _FEW:
            self._most = held
            self._give_back()


def give_back() -> None:
    """The interpreter lets go of what it keeps for later, and glibc of the free pages between those in use."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

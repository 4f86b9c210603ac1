"""A process that has had many calls does not keep their memory."""

import ctypes
import subprocess
import sys

import pytest

from tokenweir.serve.memory import SpareMemory

# Blocks of glibc's, of which one in a hundred stays. A process of its own has no other holes to fill.
_HOLES = """
from tokenweir.serve.memory import give_back

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

blocks = [bytearray(2_000) for _ in range(20_000)]
full = resident()
kept = blocks[::100]
del blocks
before = resident()
give_back()
print(full - before < 4_000_000, before - resident() > 20_000_000, len(kept))
"""


def test_it_is_given_back_when_most_calls_are_over() -> None:
    given: list[int] = []
    spare = SpareMemory(lambda: given.append(held))
    for held in (10, 400, 90, 3000, 2000, 751, 750, 700, 188, 187, 40, 0):
        spare.look(held)
    assert given == [750, 187]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can")
def test_pages_between_those_in_use_go_back_to_the_system() -> None:
    ran = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True)
    assert ran.stdout == "True True 200\n"

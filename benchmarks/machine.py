"""Where and when a run was made: what a reader needs to compare it with another."""

import os
import platform
import re
from array import array
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from tokenweir.build import python_is_optimized, running_build

__all__ = ["describe_machine"]


def describe_machine() -> dict[str, str]:
    """One line each. The last two are measured on the spot: a busy host slows down wide memory and large
    programs long before its load shows in the guest.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_version()}, {'with' if python_is_optimized() else 'without'} PGO",
        "core": f"{running_build()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "a turn of a Python loop": f"{_loop_turn():.0f} ns",
        "a random read in 256 MB": f"{_random_read():.0f} ns",
    }


def _loop_turn() -> float:
    turns = 1_000_000
    total, started = 0, perf_counter()
    for number in range(turns):
        total += number
    return (perf_counter() - started) / turns * 1e9


def _random_read() -> float:
    """Nanoseconds, with the loop and the arithmetic around it."""
    reads, mask = 300_000, 2**25 - 1
    memory = array("Q", bytes(8 * (mask + 1)))
    place, started = 1, perf_counter()
    for _ in range(reads):
        place = (place * 1103515245 + 12345 + memory[place]) & mask
    return (perf_counter() - started) / reads * 1e9


def _first(path: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", Path(path).read_text(), re.MULTILINE)
    return found[1] if found else "?"

"""What a process costs: CPU time and resident memory, from the kernel's own books."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["cpu_seconds", "descendants", "resident_bytes", "serving"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LISTEN = "0A"


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, all their threads included, to the nanosecond.

    ``utime + stime`` of ``/proc/PID/stat`` is the same sum, rounded to 10 ms.
    """
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += time.clock_gettime_ns(_cpu_clock(pid))
    return total / 1e9


def resident_bytes(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def descendants(root: int) -> list[int]:
    """``root`` and every process below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def serving(root: int, port: int) -> list[int]:
    """The processes of ``root``'s tree that serve ``port``; not a parent that only handed its socket on."""
    inodes = _listening_inodes(port)
    holders = [pid for pid in descendants(root) if _sockets(pid) & inodes]
    return [pid for pid in holders if pid != root] or holders


def _cpu_clock(pid: int) -> int:
    # As clock_getcpuclockid(3) computes it: ~pid from bit 3 on, and 2 for the time of all threads.
    return ~pid << 3 | 2


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            found.add(f"socket:[{fields[9]}]")
    return found


def _sockets(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found

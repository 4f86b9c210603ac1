#!/usr/bin/env python3
"""Runs Tokenweir in a place of its own on a volume that its replicas share. Where every replica has a volume that comes
back to it, as in Kubernetes, nobody needs this.

    tokenweir-in-a-place serve        in the first place that is free, which becomes the working directory
    tokenweir-in-a-place leftovers    sends on what replicas that are gone have left, place by place, and ends

TOKENWEIR_PLACES is the directory that holds the places, one directory each: 0, 1, 2 and so on. Who is in a place holds
a lock on its file `taken`, which goes with the process, however it ends. The next one in a place goes on with the
journal that it finds there. Settings that name a path must be left to their defaults, save those for what all share.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from tokenweir.journal import bytes_behind, cursor_names, journal_directories

_TOKENWEIR = (sys.executable, "-m", "tokenweir", "serve")
_MOST_PLACES = 256
_JOURNAL = "tokenweir-data/journal"
# What one place's records may take before the others have their turn. What is left then waits for the next time.
_PATIENCE_SECONDS = 120.0
_STOP_SECONDS = 60.0


def serve(places: Path) -> int:
    for number in range(_MOST_PLACES):
        place = places / str(number)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _take(place)
        if lock is not None:
            print(f"in place {number} of {places}", file=sys.stderr, flush=True)
            os.set_inheritable(lock, True)
            os.chdir(place)
            os.execv(_TOKENWEIR[0], _TOKENWEIR)
    print(f"all {_MOST_PLACES} places in {places} are taken", file=sys.stderr)
    return 1


def leftovers(places: Path) -> int:
    """1 if something is left all the same."""
    left = 0
    for place in sorted(path for path in places.glob("*") if path.name.isdecimal()):
        lock = _take(place)
        if lock is None:
            continue
        if _left_in(place):
            _send_on(place)
        left += _left_in(place)
        os.close(lock)
    return 1 if left else 0


def _take(place: Path) -> int | None:
    """The lock, or None if somebody is in the place."""
    lock = os.open(place / "taken", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _left_in(place: Path) -> int:
    """How many bytes of its journals somebody still waits for. Before anybody has read them it is all they hold."""
    return sum(
        max(bytes_behind(journal, cursor) for cursor in ("ledger", *cursor_names(journal)))
        for journal in journal_directories(place / _JOURNAL)
    )


def _send_on(place: Path) -> None:
    """A gateway that nobody can reach does what the one before it did not come to."""
    print(f"place {place.name}: {_left_in(place)} bytes of the journal are to be sent on", file=sys.stderr, flush=True)
    unreachable = {"TOKENWEIR_SERVER__DATA": "127.0.0.1:0", "TOKENWEIR_SERVER__ADMIN": "127.0.0.1:0"}
    gateway = subprocess.Popen(_TOKENWEIR, cwd=place, env={**os.environ, **unreachable})
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while gateway.poll() is None and _left_in(place) and time.monotonic() < deadline:
            time.sleep(0.2)
        gateway.terminate()
        gateway.wait(_STOP_SECONDS)
    finally:
        if gateway.poll() is None:
            gateway.kill()
            gateway.wait()
    print(f"place {place.name}: {_left_in(place)} bytes are left", file=sys.stderr, flush=True)


def main() -> int:
    directory = os.environ.get("TOKENWEIR_PLACES")
    what = {"serve": serve, "leftovers": leftovers}.get(" ".join(sys.argv[1:]))
    if directory is None or what is None:
        print(f"TOKENWEIR_PLACES=DIRECTORY {Path(sys.argv[0]).name} serve | leftovers", file=sys.stderr)
        return 2
    return what(Path(directory).absolute())


if __name__ == "__main__":
    sys.exit(main())

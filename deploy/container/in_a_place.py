#!/usr/bin/env python3
"""Runs Tokenweir in a place of its own on a volume that its replicas share. Where every replica has a volume that comes
back to it, as in Kubernetes, nobody needs this.

    tokenweir-in-a-place serve PLACES        in the first place that is free, which becomes the working directory
    tokenweir-in-a-place leftovers PLACES    sends on what replicas that are gone have left, place by place, and ends

PLACES is a directory that holds one for each place: 0, 1, 2 and so on. Who is in a place holds
a lock on its file `taken`, which goes with the process, however it ends. The next one in a place goes on with the
journal that it finds there. Settings that name a path must be left to their defaults, save those for what all share.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from tokenweir.journal import JournalReader, cursor_names, journal_directories, load_cursor

_TOKENWEIR = (sys.executable, "-m", "tokenweir", "serve")
_MOST_PLACES = 256
_HOME = "TOKENWEIR_HOME"  # where the relative paths of a file start, wherever that lies
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
            os.environ[_HOME] = os.curdir
            os.execv(_TOKENWEIR[0], _TOKENWEIR)
    print(f"all {_MOST_PLACES} places in {places} are taken", file=sys.stderr)
    return 1


def leftovers(places: Path) -> int:
    """1 if something is left all the same."""
    is_left = False
    for place in sorted(path for path in places.glob("*") if path.name.isdecimal()):
        lock = _take(place)
        if lock is None:
            continue
        if _is_left_in(place):
            _send_on(place)
            is_left |= _is_left_in(place)
        os.close(lock)
    return 1 if is_left else 0


def _take(place: Path) -> int | None:
    """The lock, or None if somebody is in the place."""
    lock = os.open(place / "taken", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _is_left_in(place: Path) -> bool:
    """Whether somebody still waits for a record of its journals. Before anybody has read them, the books do."""
    return any(
        JournalReader(journal, load_cursor(journal, cursor)).read(1).records
        for journal in journal_directories(place / _JOURNAL)
        for cursor in {"ledger", *cursor_names(journal)}
    )


def _send_on(place: Path) -> None:
    """A gateway that nobody can reach does what the one before it did not come to."""
    print(f"place {place.name}: records that were left are sent on", file=sys.stderr, flush=True)
    unreachable = {_HOME: os.curdir, "TOKENWEIR_SERVER__DATA": "127.0.0.1:0", "TOKENWEIR_SERVER__ADMIN": "127.0.0.1:0"}
    gateway = subprocess.Popen(_TOKENWEIR, cwd=place, env={**os.environ, **unreachable})
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while gateway.poll() is None and _is_left_in(place) and time.monotonic() < deadline:
            time.sleep(0.2)
        gateway.terminate()
        gateway.wait(_STOP_SECONDS)
    finally:
        if gateway.poll() is None:
            gateway.kill()
            gateway.wait()
    print(f"place {place.name}: {'some' if _is_left_in(place) else 'none'} are left", file=sys.stderr, flush=True)


def main() -> int:
    program, *arguments = sys.argv
    match arguments:
        case ["serve", places]:
            return serve(Path(places).absolute())
        case ["leftovers", places]:
            return leftovers(Path(places).absolute())
    print(f"{Path(program).name} serve PLACES | leftovers PLACES", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

"""A ledger that is older than the journal beside it, as one is that was restored from a backup: what the journal still
holds is posted again, and what it does not hold any more is an alarm until it was brought back.

The journal remembers how far its records were posted (the cursor), and which records its removed segments held.
"""

import logging
from pathlib import Path

import msgspec

from ..journal import LedgerGap, gap_behind, load_cursor, read_gap, save_cursor, write_gap
from ..journal.cursors import START, is_behind, is_there
from ..ledger import Ledger
from ..records import Clock

__all__ = ["CURSOR", "look_again", "look_back"]

_log = logging.getLogger(__name__)

CURSOR = "ledger"
"""The cursor of the ledger in each journal."""


def look_back(directory: Path, ledger: Ledger, position: str | None, clock: Clock) -> str | None:
    """Where posting goes on in a journal, given the ledger's position there: at the position, or with the oldest
    segment that there is. What is missing before is noted and logged."""
    cursor = load_cursor(directory, CURSOR)
    if cursor is None or not is_behind(position, cursor):
        return position
    gap = _filled(gap_behind(directory, position, clock, ledger.expired()), ledger)
    # First, so that no segment goes meanwhile that the ledger has not.
    save_cursor(directory, CURSOR, position or START.text())
    if gap is None:
        _log.warning(
            "the ledger stands before the place in the journal %s up to which it was posted, as one does that was "
            "restored; the journal holds all that it misses, which is posted again",
            directory,
        )
        return position if is_there(directory, position) else None
    write_gap(directory, gap)
    _log.error("the journal %s: %s", directory, gap)
    return None


def look_again(directory: Path, ledger: Ledger) -> None:
    """Whether what was noted is still missing."""
    before = read_gap(directory)
    if before is None:
        return
    gap = _filled(before, ledger)
    if gap is None:
        _log.info("the journal %s: the ledger has the records again that it missed", directory)
    if gap != before:
        write_gap(directory, gap)


def _filled(gap: LedgerGap | None, ledger: Ledger) -> LedgerGap | None:
    """What of a gap the ledger does not have; None if nothing."""
    if gap is None:
        return None
    counts = [(run, run.records - ledger.count_of_run(run.replica, run.first, run.last)) for run in gap.runs]
    missing = sum(count for _, count in counts)
    if missing == 0:
        return None
    return msgspec.structs.replace(gap, runs=[run for run, count in counts if count], missing=missing)

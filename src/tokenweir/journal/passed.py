"""What has left a journal: which records its removed segments held. By that it is known what a ledger should have that
stands further back than the journal remembers, as one does that was restored from a backup.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..records import Clock
from .cursors import START, cursor_segments, parse_position
from .directory import append_line, segment_numbers, segment_path, unusable
from .missing import records_at_ends

__all__ = ["LedgerGap", "Run", "gap_behind", "read_gap", "remove_passed_segments", "write_gap"]

PASSED_NAME = "passed.jsonl"
GAP_NAME = "ledger-gap.json"

_encode = msgspec.json.Encoder().encode


class _Passed(msgspec.Struct, frozen=True):
    """A segment that was removed, and the records in it: a segment is of one run."""

    segment: int
    replica: str
    first: int
    last: int


class Run(msgspec.Struct, frozen=True):
    """Records ``first`` to ``last`` of a run."""

    replica: str
    first: int
    last: int

    @property
    def records(self) -> int:
        return self.last - self.first + 1


class LedgerGap(msgspec.Struct, frozen=True):
    """Records that were posted once, are not in the ledger, and not in the journal any more."""

    found_at: datetime
    runs: list[Run]
    missing: int
    """How many of them; fewer than the runs have where the ledger knows some."""
    since: datetime
    """When the first of their segments was begun."""

    def __str__(self) -> str:
        return (
            f"the ledger is older than the journal: {self.missing:,} records that were posted since "
            f"{self.since:%Y-%m-%d %H:%M} UTC are not in it; bring them back with `tokenweir import`"
        )


_decode_passed = msgspec.json.Decoder(_Passed).decode
_decode_gap = msgspec.json.Decoder(LedgerGap).decode


def remove_passed_segments(
    directory: Path, keep: Callable[[Path], None] | None = None, *, has_ledger: bool = True
) -> list[Path]:
    """Removes the segments that every cursor has passed, and returns them. The newest always stays, and where there is
    no cursor, everything does: nobody has said yet that they have read it. ``keep`` is called with each before; what it
    raises ends the removal there. What they held is noted, unless there is no ledger that should have it."""
    try:
        numbers, cursors = segment_numbers(directory), cursor_segments(directory)
        if not cursors:
            return []
        passed = []
        for number in numbers[:-1]:
            if number >= min(cursors):
                break
            path = segment_path(directory, number)
            if keep is not None:
                keep(path)
            if has_ledger:
                _note(directory, number)
            path.unlink(missing_ok=True)
            passed.append(path)
        return passed
    except OSError as error:
        raise unusable(directory, error) from error


def gap_behind(
    directory: Path, position: str | None, clock: Clock, keeps_since: datetime | None = None
) -> LedgerGap | None:
    """What a consumer misses that goes on at ``position``: records of segments that were removed and are not before it.
    None if nothing. What was begun before ``keeps_since`` is not missed."""
    place = parse_position(position) if position is not None else START
    least = int(keeps_since.timestamp() * 1_000_000) if keeps_since is not None else 0
    runs: dict[str, Run] = {}
    since = None
    for one in _read_passed(directory):
        if one.segment < place.segment or one.segment < least:
            continue
        since = since or datetime.fromtimestamp(one.segment / 1_000_000, UTC)
        before = runs.get(one.replica)
        first, last = (min(before.first, one.first), max(before.last, one.last)) if before else (one.first, one.last)
        runs[one.replica] = Run(one.replica, first, last)
    if since is None:
        return None
    return LedgerGap(clock.now(), list(runs.values()), sum(run.records for run in runs.values()), since)


def read_gap(directory: Path) -> LedgerGap | None:
    """What was noted; None if nothing that can be read."""
    try:
        return _decode_gap((directory / GAP_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def write_gap(directory: Path, gap: LedgerGap | None) -> None:
    """Notes it in the journal's directory, or that there is none any more. `JournalError` if the disk refuses."""
    path = directory / GAP_NAME
    try:
        if gap is None:
            path.unlink(missing_ok=True)
            return
        new = path.with_suffix(".new")
        new.write_bytes(_encode(gap))
        new.replace(path)
    except OSError as error:
        raise unusable(directory, error) from error


def _note(directory: Path, number: int) -> None:
    ends = records_at_ends(segment_path(directory, number))
    if ends is None or any(one.segment == number for one in _read_passed(directory)):
        return
    first, last = ends
    append_line(directory / PASSED_NAME, _encode(_Passed(number, first.replica, first.seq, last.seq)))


def _read_passed(directory: Path) -> list[_Passed]:
    try:
        lines = (directory / PASSED_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(directory, error) from error
    found = []
    for line in lines:
        with suppress(msgspec.DecodeError):
            found.append(_decode_passed(line))
    return found

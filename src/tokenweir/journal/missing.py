"""Records that got a number and are not in the journal: found by reading on, and noted once in its directory."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from ..records import CallRecord, Clock
from .cursors import START, parse_position
from .directory import append_line, segment_numbers, segment_path
from .payload import decode
from .segment import payloads_in
from .seq_limit import read_limit

__all__ = ["Missing", "SeqWatch", "last_record", "note_missing", "read_missing", "records_at_ends", "try_to_note"]

_log = logging.getLogger(__name__)

MISSING_NAME = "missing.jsonl"

_encode = msgspec.json.Encoder().encode


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Records ``first`` to ``last`` of a run; or, without a replica, the segment with the number ``first``."""

    found_at: datetime
    replica: str | None = None
    first: int
    last: int
    reason: str

    @property
    def records(self) -> int:
        """How many at most; of a segment that was cut, seq tells it by itself."""
        return self.last - self.first + 1 if self.replica is not None else 0

    def __str__(self) -> str:
        if self.replica is None:
            return f"segment {self.first:020d} {self.reason}"
        return f"records {self.first} to {self.last} of {self.replica} are missing: {self.reason}"


_decode = msgspec.json.Decoder(Missing).decode


def read_missing(directory: Path) -> list[Missing]:
    """What was noted, each once; a line that cannot be read is left out. Whoever has seen to it deletes the file."""
    try:
        lines = (directory / MISSING_NAME).read_bytes().splitlines()
    except OSError:
        return []
    found: dict[tuple[str | None, int, int], Missing] = {}
    for line in lines:
        with suppress(msgspec.DecodeError):
            one = _decode(line)
            found.setdefault((one.replica, one.first, one.last), one)
    return list(found.values())


def note_missing(directory: Path, missing: Missing) -> bool:
    """Logs and notes it, unless that was done before. A disk that refuses the note does not stop anybody: then it can
    be tried again. Whether it is noted."""
    key = (missing.replica, missing.first, missing.last)
    if any(key == (one.replica, one.first, one.last) for one in read_missing(directory)):
        return True
    _log.error("the journal in %s: %s", directory, missing)
    return try_to_note(directory, missing)


def try_to_note(directory: Path, missing: Missing) -> bool:
    """As `note_missing`, without a word."""
    try:
        append_line(directory / MISSING_NAME, _encode(missing))
    except OSError:
        return False
    return True


def last_record(directory: Path, segment: int | None = None, offset: int | None = None) -> CallRecord | None:
    """The last one before a place in the journal, or of all. OSError if the directory cannot be read."""
    for number in reversed(segment_numbers(directory)):
        if segment is not None and number > segment:
            continue
        try:
            with open(segment_path(directory, number), "rb") as file:
                data = file.read(offset if number == segment else None)
        except FileNotFoundError:
            continue  # passed and removed since the directory was listed
        record = _last_of(data)
        if record is not None:
            return record
    return None


def records_at_ends(segment: Path) -> tuple[CallRecord, CallRecord] | None:
    """The first and the last record of a segment; None if there is none that can be read. OSError if it cannot."""
    data = segment.read_bytes()
    payloads = list(payloads_in(data))
    try:
        return (decode(payloads[0]), decode(payloads[-1])) if payloads else None
    except msgspec.DecodeError:
        return None


def _last_of(data: bytes) -> CallRecord | None:
    last: bytes | None = None
    for payload in payloads_in(data):
        last = payload
    if last is None:
        return None
    try:
        return decode(last)
    except msgspec.DecodeError:
        return None


class SeqWatch:
    """Follows the numbers of one journal's records as a consumer takes them, and notes those that are left out.

    Numbers ascend by one within a run, and the next run knows what the last number on disk was before it began.
    """

    def __init__(self, directory: Path, position: str | None, clock: Clock) -> None:
        self.position = position
        self._directory = directory
        self._clock = clock
        place = parse_position(position) if position is not None else START
        # What was read before this process began; nothing is known before a journal's first record.
        record = last_record(directory, place.segment, place.offset) if place != START else None
        self._replica = record.replica if record is not None and record.seq > 0 else None
        self._seq = record.seq if record is not None else 0
        self._cut: set[int] = set()

    def see(self, records: Iterable[CallRecord], position: str) -> None:
        """To be told of everything, in order."""
        for record in records:
            if record.seq <= 0:
                continue  # nobody numbered it
            if self._replica is None:
                self._replica, self._seq = record.replica, record.seq  # what was before it may have been passed
            elif record.replica != self._replica:
                self._begin(record.replica)
            if record.seq > self._seq + 1:
                self._note(record.replica, self._seq + 1, record.seq - 1, "the records around them are there")
            self._seq = max(self._seq, record.seq)
        self.position = position

    def see_cut(self, segments: dict[int, str]) -> None:
        """Segments that a reader found cut or gone, each with what it found."""
        for number in segments.keys() - self._cut:
            self._cut.add(number)
            found_at = self._clock.now()
            missing = Missing(found_at=found_at, first=number, last=number, reason=segments[number])
            note_missing(self._directory, missing)

    def _begin(self, replica: str) -> None:
        limit = read_limit(self._directory)
        if limit is not None and limit.replica == replica:
            seen = self._seq if self._replica == limit.previous else 0
            if seen < limit.previous_last:
                self._note(limit.previous, seen + 1, limit.previous_last, "they were on disk when the next run began")
        self._replica, self._seq = replica, 0

    def _note(self, replica: str, first: int, last: int, reason: str) -> None:
        found_at = self._clock.now()
        note_missing(
            self._directory, Missing(found_at=found_at, replica=replica, first=first, last=last, reason=reason)
        )

"""Journals to ship from: written as relays write them, on a real disk."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import CallRecord, Size

from .clocks import JumpingClock

__all__ = ["NOW", "write_journal"]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def write_journal(directory: Path, records: Iterable[CallRecord], segment_size: int = 1 << 26) -> None:
    """One run of a relay that writes these and ends."""
    journal = Journal.open(directory, JournalSettings(segment_size=Size(segment_size)), JumpingClock(NOW))
    for record in records:
        journal.append(record)
    assert journal.close() == 0

"""What becomes of segments that the ledger and all sinks have taken: they go, or into the archive for a while.

It may take long, as an archive may be behind a network, so it is done beside the posting; an archive that takes nothing
holds up the removal only.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from ..delivery.segment_blobs import open_archive
from ..errors import TokenweirError
from ..journal import (
    Archive,
    JournalSettings,
    Trouble,
    archived_name,
    journal_directories,
    journal_name,
    remove_passed_segments,
)
from ..records import Clock

__all__ = ["PassedSegments"]

_log = logging.getLogger(__name__)

# The term is in days; looking through an archive in blob storage costs a request for each 5,000 segments.
_PRUNE_SECONDS = 3600.0


class PassedSegments:
    """For any thread. ``settings`` gives what is in force."""

    def __init__(self, root: Path, settings: Callable[[], JournalSettings], clock: Clock, *, has_ledger: bool) -> None:
        self._root = root
        self._settings = settings
        self._clock = clock
        self._has_ledger = has_ledger
        self._archive: Archive | None = None
        self._place: str | None = None
        self._prune_at = clock.monotonic()
        self._one_at_a_time = threading.Lock()
        self.trouble: Trouble | None = None
        """Why the archive takes nothing."""

    def tidy(self) -> None:
        """Archives and removes what may go, and now and then what has been in the archive for its term."""
        with self._one_at_a_time:
            try:
                self._open()
                for directory in journal_directories(self._root):
                    remove_passed_segments(directory, self._keep, has_ledger=self._has_ledger)
                self._prune()
            except TokenweirError as error:
                self._say(str(error))
            else:
                self._say(None)

    def _open(self) -> None:
        place = self._settings().archive
        if place != self._place:
            self._archive = open_archive(place) if place is not None else None
            self._place, self._prune_at = place, self._clock.monotonic()

    def _keep(self, segment: Path) -> None:
        if self._archive is not None:
            self._archive.keep(segment, archived_name(journal_name(self._root), segment))

    def _prune(self) -> None:
        if self._archive is None or self._clock.monotonic() < self._prune_at:
            return
        self._prune_at = self._clock.monotonic() + _PRUNE_SECONDS
        removed = self._archive.prune(self._before())
        if removed:
            _log.info("%d segments have been in the archive for their term and are removed", removed)

    def _before(self) -> datetime:
        return self._clock.now() - timedelta(seconds=self._settings().archive_for)

    def _say(self, why: str | None) -> None:
        before = self.trouble
        if why is None:
            self.trouble = None
            if before is not None:
                _log.info("segments are archived and removed again")
            return
        if before is None or before.message != why:
            _log.error("segments that everybody has taken stay in the journal: %s", why)
        self.trouble = Trouble(before.since if before is not None else self._clock.now(), why)

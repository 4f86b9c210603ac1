"""``journal.durability = "shipped"`` for a relay: a record counts as durable when every sink has its event, because the
disk it is on may go with the machine.

The books ship, in a process of their own; what they have shipped stands in the journal's cursors, which are looked at
as long as an answer waits.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from ..delivery.held_ends import HeldEnds
from ..delivery.shipping import cursor_of
from ..delivery.sinks import SinkSettings
from ..errors import JournalError
from ..journal import Journal, JournalSettings, passed_by_all
from ..records import CallRecord

__all__ = ["ShippedLog"]

# One look costs some 20 µs a sink.
_LOOK_SECONDS = 0.010


class ShippedLog:
    """A `RecordLog` over a relay's journal."""

    def __init__(self, journal: Journal, settings: JournalSettings, sinks: Sequence[SinkSettings]) -> None:
        self.replica = journal.replica
        self._journal = journal
        self._refuses = settings.on_outage == "refuse"
        self._ends = HeldEnds[tuple[int, int]](settings.ship_timeout)
        self._is_looking = False
        self.configure(sinks)

    def configure(self, sinks: Sequence[SinkSettings]) -> None:
        """From now on these are the sinks, some of which must have an event."""
        self._cursors = [cursor_of(sink) for sink in sinks if sink.holds_ends]

    @property
    def accepts_calls(self) -> bool:
        return self._journal.accepts_calls and not (self._refuses and self._ends.is_late)

    def next_seq(self) -> int:
        return self._journal.next_seq()

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        """As `Journal.append`; ``on_durable`` is called when every sink has the event, or has let the deadline pass."""
        self._journal.append(record, partial(self._on_disk, on_durable) if on_durable is not None else None)

    def _on_disk(self, on_shipped: Callable[[], None]) -> None:
        # Behind this record, and perhaps behind others that came with it.
        self._ends.hold(self._journal.committed, on_shipped)
        if not self._is_looking:
            self._look()

    def _look(self) -> None:
        with suppress(JournalError):  # a disk that cannot be read has told nothing
            self._ends.passed(self._shipped())
        self._is_looking = self._ends.is_waiting or self._ends.is_late
        if self._is_looking:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _shipped(self) -> tuple[int, int]:
        """How far all of them have come; everything, where a reload has left none."""
        return passed_by_all(self._journal.directory, self._cursors) if self._cursors else self._journal.committed

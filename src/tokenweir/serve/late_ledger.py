"""A ledger that may not be there yet: broken, locked, or behind a server that is away.

Calls do not need it and their records wait in the journal, so nothing else waits for it either. It is opened when
somebody asks, but for a pause after it failed; until then whoever asks is told why.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

from ..errors import TokenweirError
from ..ledger import (
    ChargeSum,
    ClosedMonth,
    Correction,
    KeptSum,
    Ledger,
    LedgerError,
    Person,
    Piece,
    RatingRun,
    Table,
    Verification,
)
from ..records import CallRecord, Clock

__all__ = ["LateLedger"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
# A person who has put it right wants to see it.
_LONGEST_PAUSE_SECONDS = 15.0

_MEANWHILE = "calls are relayed and their records wait in the journal; it is tried again by itself"


class LateLedger:
    """A `Ledger` that opens itself. Until it could, every method raises `LedgerError` with the reason."""

    def __init__(self, open_ledger: Callable[[], Ledger], clock: Clock) -> None:
        self._open_ledger = open_ledger
        self._clock = clock
        self._opening = Lock()
        self._ledger: Ledger | None = None
        self._renamed: Mapping[str, str] = {}
        self._reason = ""
        self._pause = 0.0
        self._try_at = clock.monotonic()

    def _opened(self) -> Ledger:
        if self._ledger is None:
            # Connecting may take seconds, for which one waits and not everybody.
            if not self._opening.acquire(blocking=not self._reason):
                raise LedgerError(self._reason)
            try:
                if self._ledger is None:
                    self._ledger = self._try_to_open()
            finally:
                self._opening.release()
        return self._ledger

    def _try_to_open(self) -> Ledger:
        now = self._clock.monotonic()
        if now < self._try_at:
            raise LedgerError(self._reason)
        try:
            ledger = self._open_ledger()
        except TokenweirError as error:
            self._reason = f"{error}; {_MEANWHILE}"
            self._pause = min(2 * self._pause or _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            self._try_at = self._clock.monotonic() + self._pause
            raise LedgerError(self._reason) from error
        ledger.rename(self._renamed)
        if self._reason:
            _log.info("the ledger is open now; what waits in the journals is posted")
        return ledger

    def post(self, records: Sequence[CallRecord], source: str, position: str | None) -> int:
        return self._opened().post(records, source, position)

    def position(self, source: str) -> str | None:
        return self._opened().position(source)

    def calls(
        self,
        limit: int = 50,
        *,
        caller: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[dict[str, Any]]:
        return self._opened().calls(limit, caller=caller, since=since, until=until)

    def call(self, call_id: str) -> dict[str, Any] | None:
        return self._opened().call(call_id)

    def records_after(self, call_id: str, limit: int) -> list[CallRecord]:
        return self._opened().records_after(call_id, limit)

    def count_of_run(self, replica: str, first: int, last: int) -> int:
        return self._opened().count_of_run(replica, first, last)

    def expire(
        self,
        contents_before: datetime | None,
        traces_before: datetime | None,
        calls_before: datetime | None = None,
    ) -> int:
        return self._opened().expire(contents_before, traces_before, calls_before)

    def expired(self) -> datetime | None:
        return self._opened().expired()

    def verify(
        self, since: datetime | None = None, until: datetime | None = None, head: str | None = None
    ) -> Verification:
        return self._opened().verify(since, until, head)

    def erase(self, person: Person) -> int:
        return self._opened().erase(person)

    def usage(
        self,
        by: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        only: Mapping[str, str] | None = None,
        timezone: str = "UTC",
    ) -> list[dict[str, Any]]:
        return self._opened().usage(by, since, until, only=only, timezone=timezone)

    def charge_sums(self, since: datetime, until: datetime) -> list[ChargeSum]:
        return self._opened().charge_sums(since, until)

    def closed_months(self) -> list[ClosedMonth]:
        return self._opened().closed_months()

    def close_month(self, month: ClosedMonth, rows: Sequence[KeptSum]) -> None:
        self._opened().close_month(month, rows)

    def statement_rows(self, month: str) -> list[KeptSum]:
        return self._opened().statement_rows(month)

    def stated_of(self, month: str) -> list[KeptSum]:
        return self._opened().stated_of(month)

    def rating_runs(self) -> list[RatingRun]:
        return self._opened().rating_runs()

    def lines_between(self, since: datetime, until: datetime) -> int:
        return self._opened().lines_between(since, until)

    def corrections_between(self, since: datetime, until: datetime) -> int:
        return self._opened().corrections_between(since, until)

    def records_to_rate(self, since: datetime | None, until: datetime | None) -> Iterator[list[CallRecord]]:
        return self._opened().records_to_rate(since, until)

    def stage(self, run_id: str, corrections: Sequence[Correction]) -> None:
        self._opened().stage(run_id, corrections)

    def book_run(self, run: RatingRun) -> None:
        self._opened().book_run(run)

    def discard(self, run_id: str | None = None) -> None:
        self._opened().discard(run_id)

    def rename(self, callers: Mapping[str, str]) -> None:
        self._renamed = callers
        if self._ledger is not None:
            self._ledger.rename(callers)

    def query_sql(self, text: str) -> Table:
        return self._opened().query_sql(text)

    def query_kql(self, text: str) -> Table:
        return self._opened().query_kql(text)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        return self._opened().all_rows(language, text)

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

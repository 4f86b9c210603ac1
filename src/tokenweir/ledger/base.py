"""What a ledger promises, whichever engine keeps it. The engines live beside this file."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from ..errors import TokenweirError
from ..records import CallRecord
from .person import Person
from .verifying import Verification

if TYPE_CHECKING:
    from .charge_lines import ChargeSum
    from .corrections import Correction, RatingRun
    from .months import ClosedMonth, KeptSum

__all__ = ["PIECE_ROWS", "CellKind", "Ledger", "LedgerError", "LedgerLocked", "Piece", "Table"]


class LedgerError(TokenweirError):
    """The ledger could not be read or written. A batch being posted did not move the position; post it again."""


class LedgerLocked(LedgerError):
    """Another process has this ledger open. Whoever wants to read can ask that process's admin port."""

    def __init__(self, place: str, holder: str) -> None:
        super().__init__(f"the ledger {place} is open in {holder}; ask that gateway's admin port, or stop it first")
        self.holder = holder


class Table(msgspec.Struct, frozen=True):
    """The answer to a query. Cells are JSON values: times ISO 8601 in UTC, decimals as text."""

    columns: list[str]
    rows: list[list[Any]]
    note: str | None = None
    """What a person must know about these rows: that there were more of them."""


PIECE_ROWS = 10_000
"""Rows of a piece, at most: a few megabytes, of which nobody holds more than two."""

CellKind = Literal["moment", "decimal", "plain"]
"""What the cells of a column are that are text in JSON: times, decimals, or just that."""


class Piece(msgspec.Struct, frozen=True):
    """Some rows of an answer, cells as in a `Table`. The first piece is there also where there are no rows."""

    columns: list[str]
    kinds: list[CellKind]
    rows: list[list[Any]]


class Ledger(Protocol):
    """Every call once, and how far each journal has been read.

    All methods may be called from any thread, and block it: an event loop calls them in a worker. Reading
    never waits for posting, nor posting for reading. Moments are aware; ``since`` is included, ``until`` is
    not. Everything raises `LedgerError` when the engine fails.
    """

    def post(self, records: Sequence[CallRecord], source: str, position: str | None) -> int:
        """Write down a batch and how far ``source`` has been read; how many calls were new.

        When this returns, the batch is on disk. The position never gets ahead of the rows; an engine with
        transactions writes both or neither. A call whose id is already there is left as it is, so a batch may be
        posted any number of times, and by several posters at once: no query ever sees a call twice. Positions are
        opaque and replace each other; with ``None`` the old one stays.
        """
        ...

    def position(self, source: str) -> str | None:
        """The position last posted for this source; ``None`` if there is none yet."""
        ...

    def calls(
        self,
        limit: int = 50,
        *,
        caller: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[dict[str, Any]]:
        """The newest calls first, with the field names and types of `CallRecord`, without bodies; what they cost as
        they are rated now, and ``corrected`` where that was otherwise before."""
        ...

    def call(self, call_id: str) -> dict[str, Any] | None:
        """One call with its bodies, ``None`` where they were not kept; ``None`` if there is no such call."""
        ...

    def usage(
        self,
        by: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        only: Mapping[str, str] | None = None,
        timezone: str = "UTC",
    ) -> list[dict[str, Any]]:
        """Sums of calls, tokens and money, one row per group and currency, sorted by the groups.

        Each row has the names in ``by``, then the `SUMS`: calls, tokens, how many are unpriced or estimated, cost
        and currency; ``cost`` is ``None`` where no price was known, and a floor where calls are unpriced or estimated.
        Behind them ``quantities`` are the sums of whatever else was used, by the names of `QUANTITIES`.
        ``only`` chooses calls by groups (``{"caller": "team-a"}``; an empty text: those that have none). Days,
        hours and months are those of the time zone; an hour that comes twice there, as clocks are put back, is one row.
        `QueryError` if one of ``by`` or ``only`` is none of the groupings, or the zone is unknown.
        """
        ...

    def records_after(self, call_id: str, limit: int) -> list[CallRecord]:
        """Up to ``limit`` whole records, contents included, by ascending id, from behind ``call_id`` on; "" is the
        beginning."""
        ...

    def count_of_run(self, replica: str, first: int, last: int) -> int:
        """How many of the records ``first`` to ``last`` of a run are there."""
        ...

    def verify(
        self, since: datetime | None = None, until: datetime | None = None, head: str | None = None
    ) -> Verification:
        """Whether it holds what it was given, of calls that began from ``since`` until before ``until``. Each of them
        is read. ``head`` is the digest of a seal that has to be there."""
        ...

    def expire(
        self,
        contents_before: datetime | None,
        traces_before: datetime | None,
        calls_before: datetime | None = None,
    ) -> int:
        """Removes the bodies, and the traces, of calls that began before these moments, and the calls of days that have
        sums of their own; how many."""
        ...

    def expired(self) -> datetime | None:
        """The moment before which calls were removed; what is older is not to be brought again."""
        ...

    def erase(self, person: Person) -> int:
        """Removes the contents of somebody's calls and what says who it was; how many calls there were. All amounts
        stay."""
        ...

    def rename(self, callers: Mapping[str, str]) -> None:
        """From now on, calls under these names of callers are summed, and found, under those that they have now."""
        ...

    def charge_sums(self, since: datetime, until: datetime) -> "list[ChargeSum]":
        """All that calls of this time cost, line by line, added up by everything that a statement tells, in no order.
        Amounts add up to the costs of `usage`, corrections included, and calls to its calls."""
        ...

    def closed_months(self) -> "list[ClosedMonth]":
        """Those that were closed, the earliest first."""
        ...

    def close_month(self, month: "ClosedMonth", rows: "Sequence[KeptSum]") -> None:
        """Keeps the rows of a month for good; they are seen together with the month, or not at all. `LedgerError` where
        it was closed before."""
        ...

    def statement_rows(self, month: str) -> "list[KeptSum]":
        """The rows that were kept when this month was closed, in no order."""
        ...

    def stated_of(self, month: str) -> "list[KeptSum]":
        """The rows about calls of this month, of whatever month's statement they are."""
        ...

    def rating_runs(self) -> "list[RatingRun]":
        """The re-ratings that were booked, the first first."""
        ...

    def lines_between(self, since: datetime, until: datetime) -> int:
        """A number that grows with every call of this time that comes, and with nothing else: that of their lines."""
        ...

    def corrections_between(self, since: datetime, until: datetime) -> int:
        """How many correcting entries there are of calls of this time."""
        ...

    def records_to_rate(self, since: datetime | None, until: datetime | None) -> Iterator[list[CallRecord]]:
        """All calls of this time as they are rated now, without contents, some thousands at once."""
        ...

    def stage(self, run_id: str, corrections: "Sequence[Correction]") -> None:
        """Writes correcting entries of a run, which nobody sees until it is booked."""
        ...

    def book_run(self, run: "RatingRun") -> None:
        """From now on the run's entries count, all of them at once. `LedgerError` if another run was booked since the
        one before it; nothing counts then."""
        ...

    def discard(self, run_id: str | None = None) -> None:
        """Removes what was staged by a run that was not booked, or by all such runs."""
        ...

    def query_sql(self, text: str) -> Table:
        """Run one SELECT that somebody typed, read only, within limits. `QueryError` says what is wrong."""
        ...

    def query_kql(self, text: str) -> Table:
        """Run one KQL query over ``calls`` and ``customEvents``; otherwise as `query_sql`."""
        ...

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        """The whole answer to a query in ``sql`` or ``kql``, piece by piece, each as `query_sql` gives rows.
        `QueryError` and `LedgerError` may also come in between. It takes a query's place until it is closed."""
        ...

    def close(self) -> None:
        """Let go of the file. Nothing else may be called afterwards."""
        ...

"""The books, whether or not a gateway is running: the ledger itself, or the admin port of who holds it.

Either way the answers are the same plain JSON values: times as ISO 8601, money as text.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from ..config import Config, pricer_of
from ..delivery.pricer import Pricer, bring
from ..errors import ConfigError, QueryError, TokenweirError
from ..journal import journal_directories
from ..ledger import (
    UTC_ZONE,
    ClosedMonth,
    Ledger,
    LedgerLocked,
    Piece,
    RatingRun,
    Table,
    Verification,
    ledger_file,
    open_ledger,
    parse_moment,
    parse_month,
    parse_timezone,
)
from ..policy import former_names
from ..records import CallRecord, SystemClock, flat, has_contents
from ..statements import MonthStatus, Rated, ReRating, Statement, StatementBooks, WantedCalls
from .admin_client import AdminClient, NoAnswer

__all__ = ["Among", "OpenBooks", "Row", "chosen_among", "open_books"]

Row = dict[str, Any]

# Every call is read: some 40 seconds for a million.
_VERIFYING_SECONDS = 3600.0
# Of a kilobyte each.
_MOST_SENT = 1_000


class Among(msgspec.Struct, frozen=True):
    """Which calls are summed, and whose days are meant."""

    since: datetime | None = None
    until: datetime | None = None
    only: dict[str, str] = {}
    timezone: str = UTC_ZONE


def chosen_among(since: str | None, until: str | None, month: str | None, timezone: str, only: dict[str, str]) -> Among:
    """As a person has typed it. QueryError says what cannot be."""
    now, zone = SystemClock().now(), parse_timezone(timezone)
    if month is None:
        first, end = (parse_moment(text, now, zone) if text else None for text in (since, until))
        return Among(first, end, only, timezone)
    if since or until:
        raise QueryError("a month has its own beginning and end; leave out --since and --until")
    return Among(*parse_month(month, now, zone), only, timezone)


class OpenBooks(Protocol):
    """What can be asked. QueryError says what was wrong with a question."""

    def usage(self, by: Sequence[str], among: Among) -> list[Row]: ...

    def calls(self, limit: int, caller: str | None, since: datetime | None) -> list[Row]: ...

    def call(self, call_id: str) -> Row | None: ...

    def query(self, language: str, text: str) -> Table: ...

    def bring(self, records: Sequence[CallRecord]) -> int:
        """Writes down calls that came another way, each once; how many were new. Who has no cost gets one."""
        ...

    def all_rows(self, language: str, text: str) -> Generator[Piece]: ...

    def verify(self, among: Among, head: str | None) -> Verification:
        """Whether the ledger holds what it was given; of ``among`` only the times are meant."""
        ...

    def statement(self, month: str, by: str, currency: str | None) -> Statement: ...

    def months(self) -> list[MonthStatus]: ...

    def close_month(self, month: str, who: str) -> ClosedMonth: ...

    def verify_month(self, month: str) -> str | None:
        """Why the rows of a closed month are not those that were kept."""
        ...

    def rate(self, wanted: WantedCalls, progress: Callable[[int], object], *, is_kept: bool) -> Rated: ...

    def book(self, rated: Rated, who: str) -> RatingRun: ...

    def discard(self, rated: Rated, who: str) -> None: ...


@contextmanager
def open_books(config: Config) -> Iterator[OpenBooks]:
    """The books with every call that is in the journals now. Raises ConfigError where there are none."""
    _refuse_the_wrong_place(config)
    try:
        ledger = open_ledger(config.ledger.url)
    except LedgerLocked as locked:
        try:
            yield _Gateway(AdminClient(config))
        except NoAnswer as error:
            raise TokenweirError(f"{locked}, but {error}") from error
        return
    try:
        from ..serve.books import catch_up

        catch_up(config, ledger)
        ledger.rename(former_names(config.callers))
        books = _Offline(ledger, pricer_of(config), config)
        yield books
        if books.has_brought:
            catch_up(config, ledger)
    finally:
        ledger.close()


def _refuse_the_wrong_place(config: Config) -> None:
    """Opening a ledger file makes it; an empty one in the wrong directory would only mislead."""
    file, journal = ledger_file(config.ledger.url), Path(config.journal.directory)
    if file is not None and not Path(file).exists() and not journal_directories(journal):
        raise ConfigError(
            f"there are no books here: neither the ledger {file} nor a journal in {journal}; "
            "run this where the gateway runs, or give its --config; the first call through a gateway makes them"
        )


class _Offline:
    """The ledger, opened by us."""

    def __init__(self, ledger: Ledger, price: Pricer, config: Config) -> None:
        self._ledger = ledger
        self._price = price
        self._statements = StatementBooks(ledger, config.statements, SystemClock(), former_names(config.callers))
        self._rating = ReRating(ledger, price, SystemClock())
        self.has_brought = False

    def bring(self, records: Sequence[CallRecord]) -> int:
        self.has_brought = True
        return bring(self._ledger, records, self._price)

    def usage(self, by: Sequence[str], among: Among) -> list[Row]:
        rows = self._ledger.usage(by, among.since, among.until, only=among.only, timezone=among.timezone)
        return [_plain(row) for row in rows]

    def calls(self, limit: int, caller: str | None, since: datetime | None) -> list[Row]:
        return [_plain(row) for row in self._ledger.calls(limit, caller=caller, since=since)]

    def call(self, call_id: str) -> Row | None:
        record = self._ledger.call(call_id)
        return None if record is None else _plain(record)

    def query(self, language: str, text: str) -> Table:
        return self._ledger.query_sql(text) if language == "sql" else self._ledger.query_kql(text)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        return self._ledger.all_rows(language, text)

    def verify(self, among: Among, head: str | None) -> Verification:
        return self._ledger.verify(among.since, among.until, head)

    def statement(self, month: str, by: str, currency: str | None) -> Statement:
        return self._statements.statement(month, by, currency)

    def months(self) -> list[MonthStatus]:
        return self._statements.months()

    def close_month(self, month: str, who: str) -> ClosedMonth:
        return self._statements.close(month, who)

    def verify_month(self, month: str) -> str | None:
        return self._statements.verify(month)

    def rate(self, wanted: WantedCalls, progress: Callable[[int], object], *, is_kept: bool) -> Rated:
        return self._rating.rate(wanted, progress, is_kept=is_kept)

    def book(self, rated: Rated, who: str) -> RatingRun:
        return self._rating.book(rated, who)

    def discard(self, rated: Rated, who: str) -> None:
        self._rating.discard(rated)


class _Gateway:
    """A running gateway's admin port."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    def usage(self, by: Sequence[str], among: Among) -> list[Row]:
        asked = {"by": ",".join(by), "since": _moment(among.since), "until": _moment(among.until), **among.only}
        if among.timezone != UTC_ZONE:  # which a gateway of an older version does not know
            asked["timezone"] = among.timezone
        return [_plain(row) for row in self._client.get("/api/usage", asked)]

    def calls(self, limit: int, caller: str | None, since: datetime | None) -> list[Row]:
        asked = {"limit": limit, "caller": caller, "since": _moment(since)}
        return [_plain(row) for row in self._client.get("/api/calls", asked)]

    def call(self, call_id: str) -> Row | None:
        record = self._client.get(f"/api/calls/{quote(call_id, safe='')}")
        return None if record is None else _plain(record)

    def query(self, language: str, text: str) -> Table:
        return msgspec.convert(self._client.post("/api/query", {language: text}), Table)

    def bring(self, records: Sequence[CallRecord]) -> int:
        new = 0
        gathered: list[msgspec.Struct] = []
        for record in records:
            gathered.append(flat(record))
            if len(gathered) == _MOST_SENT or has_contents(record):
                new += self._client.post("/api/import", {"records": gathered})["new"]
                gathered = []
        return new + (self._client.post("/api/import", {"records": gathered})["new"] if gathered else 0)

    def verify(self, among: Among, head: str | None) -> Verification:
        asked = {"since": _moment(among.since), "until": _moment(among.until), "head": head}
        return msgspec.convert(self._client.get("/api/verify", asked, _VERIFYING_SECONDS), Verification)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        head: dict[str, Any] = {}
        for line in self._client.lines("/api/export", {language: text}):
            match line:
                case {"columns": _, "kinds": _}:
                    head = line
                case {"error": str(words)}:
                    raise QueryError(words)
                case {"rows": int()}:
                    return
                case _:
                    yield Piece(**head, rows=line)
        raise TokenweirError("the gateway ended before its answer did; ask again")

    def statement(self, month: str, by: str, currency: str | None) -> Statement:
        asked = {"month": month, "by": by, "currency": currency}
        return msgspec.convert(self._client.get("/api/statement", asked), Statement, strict=False)

    def months(self) -> list[MonthStatus]:
        return msgspec.convert(self._client.get("/api/months"), list[MonthStatus])

    def close_month(self, month: str, who: str) -> ClosedMonth:
        return msgspec.convert(self._client.post("/api/months/close", {"month": month, "by": who}), ClosedMonth)

    def verify_month(self, month: str) -> str | None:
        wrong: str | None = self._client.get(f"/api/months/{quote(month, safe='')}/verify")["wrong"]
        return wrong

    def rate(self, wanted: WantedCalls, progress: Callable[[int], object], *, is_kept: bool) -> Rated:
        asked = {"wanted": msgspec.to_builtins(wanted), "keep": is_kept}
        for line in self._client.lines("/api/rerate", asked):
            match line:
                case {"calls": int(calls)}:
                    progress(calls)
                case {"rated": rated}:
                    return msgspec.convert(rated, Rated)
                case {"error": str(words)}:
                    raise TokenweirError(words)
        raise TokenweirError("the gateway ended before its answer did; nothing was booked")

    def book(self, rated: Rated, who: str) -> RatingRun:
        return msgspec.convert(self._client.post("/api/rerate/book", _booking(rated, who)), RatingRun)

    def discard(self, rated: Rated, who: str) -> None:
        self._client.post("/api/rerate/discard", _booking(rated, who))


def _booking(rated: Rated, who: str) -> Row:
    return {"rated": msgspec.to_builtins(rated), "by": who}


def _plain(row: Row) -> Row:
    """Plain JSON values. A thousandth of a cent is written out: spreadsheets read 1.2E-7 as they please."""
    plain: Row = msgspec.to_builtins(row)
    if plain.get("cost") is not None:
        plain["cost"] = f"{Decimal(plain['cost']):f}"
    return plain


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

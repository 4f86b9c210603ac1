"""Months and their statements, over an open ledger. Blocks."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from ..errors import QueryError, quoted
from ..ledger import ChargeSum, ClosedMonth, KeptSum, Ledger, LedgerError, digest_of
from ..pricing import Moment
from ..records import AccountingPeriod, Clock, FiscalCalendar, new_call_id
from .composing import compose, group_names
from .settings import RateSettings, StatementSettings
from .statement import Statement

__all__ = ["MonthStatus", "MonthsRefused", "StatementBooks"]

_DAY: Final = "%Y-%m-%d %H:%M UTC"


class MonthsRefused(QueryError):
    """A month cannot be closed, or not now; nothing was changed."""


class MonthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A month that was closed, or one that may be."""

    month: str
    fiscal: str | None
    since: datetime
    until: datetime
    timezone: str
    status: str
    """``closed``; ``over``, which can be closed; ``open``, which has not ended."""
    calls: int
    """Its own, at the moment of closing or now."""
    late_calls: int = 0
    """That came after it was closed."""
    corrections: int = 0
    """Correcting entries of its calls that were booked after it was closed."""
    closed_at: datetime | None = None
    closed_by: str | None = None
    digest: str | None = None


class StatementBooks:
    """``renamed`` has the names of callers of before, and those that they have now."""

    def __init__(
        self, ledger: Ledger, settings: StatementSettings, clock: Clock, renamed: Mapping[str, str] | None = None
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._renamed = renamed or {}
        self._calendar: FiscalCalendar = settings.calendar()

    def __repr__(self) -> str:
        return f"<StatementBooks {self._calendar!r}>"

    # --- statements ---

    def statement(self, period_name: str, by: str, currency: str | None = None) -> Statement:
        """The statement of a period. What was closed is told as it was kept, and never changes; what was not, as it is
        now. `QueryError` says what is wrong with a name, or which rate is missing."""
        names = group_names(by)
        now = self._clock.now()
        closed = {month.month: month for month in self._ledger.closed_months()}
        period = self._find(period_name, now, closed)
        month = closed.get(period.name)
        rows = self._ledger.statement_rows(period.name) if month else self._rows_now(period, list(closed.values()))
        begins = {name: one.since for name, one in closed.items()} | {period.name: period.since}
        kept_rates = {name: _kept_rates(one) for name, one in closed.items()}

        def rate(of: str, of_month: str) -> Decimal:
            rates = kept_rates.get(of_month, self._settings.rates)
            return _rate(rates, of, currency or "", of_month, begins[of_month])

        of_months = {row.of_month for row in rows}
        composed = compose(rows, names, period.name, currency, rate, self._renamed)
        return Statement(
            period=period.name,
            fiscal=period.fiscal,
            since=period.since,
            until=period.until,
            timezone=period.timezone,
            by=names,
            organisation=self._settings.organisation,
            is_closed=month is not None,
            closed_at=month.closed_at if month else None,
            closed_by=month.closed_by if month else None,
            digest=month.digest if month else None,
            as_of=month.closed_at if month else now,
            periods={name: (one.since, one.until) for name, one in closed.items() if name in of_months}
            | {period.name: (period.since, period.until)},
            rates=composed.rates,
            groups=composed.groups,
            totals=composed.totals,
            notes=_notes(period, now, rows, month),
            check=_check(period, is_closed=month is not None, is_adjusted=bool(of_months - {period.name})),
        )

    def _find(self, name: str, now: datetime, closed: Mapping[str, ClosedMonth]) -> AccountingPeriod:
        """A period that was closed is what it was, whatever the calendar says now."""
        if name.strip() in closed:
            one = closed[name.strip()]
            return AccountingPeriod(one.month, one.since, one.until, one.timezone)
        period = self._calendar.period(name, now)
        if period.name in closed:
            one = closed[period.name]
            return AccountingPeriod(one.month, one.since, one.until, one.timezone, period.fiscal)
        return period

    def _rows_now(self, period: AccountingPeriod, closed: Sequence[ClosedMonth]) -> list[KeptSum]:
        rows = [KeptSum(period.name, one) for one in self._ledger.charge_sums(period.since, period.until)]
        # Adjustments are of the first month that is open, and of no other.
        if closed and closed[-1].until == period.since:
            for month in closed:
                rows += self._adjustments(month)
        return rows

    def _adjustments(self, month: ClosedMonth) -> list[KeptSum]:
        """What the ledger has of a closed month more, or less, than all statements have told of it until now."""
        if (month.line_count, month.corrections) == self._counts(month) or self._is_cut(month):
            return []
        now = {one.key: one for one in self._ledger.charge_sums(month.since, month.until)}
        told: dict[object, ChargeSum] = {}
        for row in self._ledger.stated_of(month.month):
            key = row.sums.key
            told[key] = _plus(told[key], row.sums) if key in told else row.sums
        differences = [one.minus(told.get(key)) for key, one in now.items()]
        differences += [_negative(one) for key, one in told.items() if key not in now]
        return [KeptSum(month.month, one) for one in differences if not one.is_empty]

    def _is_cut(self, month: ClosedMonth) -> bool:
        """Whether calls of its first or last day were removed for their age, of which the sums of whole days in UTC are
        no part of this month. None comes late any more by then, and none is rated anew."""
        expired = self._ledger.expired()
        edges = (month.since, month.until)
        return expired is not None and any(edge < expired and edge.hour + edge.minute > 0 for edge in edges)

    def _counts(self, month: ClosedMonth | AccountingPeriod) -> tuple[int, int]:
        """Of lines of its calls, and of correcting entries: what is the same as it was has changed nothing."""
        among = month.since, month.until
        return self._ledger.lines_between(*among), self._ledger.corrections_between(*among)

    def _calls(self, month: ClosedMonth | AccountingPeriod) -> int:
        return sum(row["calls"] for row in self._ledger.usage([], month.since, month.until))

    # --- months ---

    def months(self) -> list[MonthStatus]:
        """The closed ones, then those that are not, up to the one that is now. The earliest first."""
        closed = self._ledger.closed_months()
        listed = [self._status_of(month) for month in closed]
        now = self._clock.now()
        period = self._first_open(closed)
        current = self._calendar.at(now)
        while period is not None and period.since <= current.since:
            _, corrections = self._counts(period)
            listed.append(
                MonthStatus(
                    month=period.name,
                    fiscal=period.fiscal,
                    since=period.since,
                    until=period.until,
                    timezone=period.timezone,
                    status="over" if period.until <= now else "open",
                    calls=self._calls(period),
                    corrections=corrections,
                )
            )
            period = self._calendar.after(period)
        return listed

    def _status_of(self, month: ClosedMonth) -> MonthStatus:
        _, corrections = self._counts(month)
        return MonthStatus(
            month=month.month,
            fiscal=None,
            since=month.since,
            until=month.until,
            timezone=month.timezone,
            status="closed",
            calls=month.calls,
            late_calls=self._calls(month) - month.calls,
            corrections=corrections - month.corrections,
            closed_at=month.closed_at,
            closed_by=month.closed_by,
            digest=month.digest,
        )

    def _first_open(self, closed: Sequence[ClosedMonth]) -> AccountingPeriod | None:
        if closed:
            return self._calendar.at(closed[-1].until)
        days = [row["day"] for row in self._ledger.usage(["day"])]
        return self._calendar.at(datetime.fromisoformat(min(days)).replace(tzinfo=UTC)) if days else None

    def close(self, period_name: str, who: str) -> ClosedMonth:
        """Closes a month that is over, after all those before it. `MonthsRefused` says why not; nothing was changed
        then, so that a month can be closed any number of times and is closed once."""
        now = self._clock.now()
        closed = self._ledger.closed_months()
        period = self._find(period_name, now, {month.month: month for month in closed})
        self._refuse(period, closed, now)
        rows = self._rows_now(period, closed)
        lines, corrections = self._counts(period)
        runs = self._ledger.rating_runs()
        month = ClosedMonth(
            month=period.name,
            since=period.since,
            until=period.until,
            timezone=period.timezone,
            closed_at=now,
            closed_by=who,
            closing_id=new_call_id(),
            calls=self._calls(period),
            line_count=lines,
            corrections=corrections,
            runs=runs[-1].number if runs else 0,
            row_count=len(rows),
            rates=msgspec.json.encode(self._settings.rates).decode(),
            digest=digest_of(rows),
        )
        try:
            self._ledger.close_month(month, rows)
        except LedgerError:
            self._refuse(period, self._ledger.closed_months(), now)
            raise
        (kept,) = [one for one in self._ledger.closed_months() if one.month == period.name]
        if kept.closing_id != month.closing_id:
            raise _closed_before(kept)
        return kept

    def _refuse(self, period: AccountingPeriod, closed: Sequence[ClosedMonth], now: datetime) -> None:
        for month in closed:
            if month.month == period.name:
                raise _closed_before(month)
        if period.until > now:
            raise MonthsRefused(f"{period.name} is not over: it ends at {period.until:{_DAY}}; nothing was closed")
        if not closed:
            return
        last = closed[-1]
        if period.until <= closed[0].since:
            raise MonthsRefused(
                f"{period.name} is before {closed[0].month}, the first month that was closed; its calls are in no "
                "statement that is kept, and `tokenweir usage` has them"
            )
        if period.since > last.until:
            earlier = self._calendar.at(last.until).name
            raise MonthsRefused(f"months are closed one after the other; close {earlier} before {period.name}")
        if period.since < last.until:
            raise MonthsRefused(
                f"{period.name} begins at {period.since:{_DAY}}, and {last.month} was closed until "
                f"{last.until:{_DAY}}; set the time zone and the fiscal years of [statements] as they were then"
            )

    def verify(self, period_name: str) -> str | None:
        """Why the kept rows of a closed month are not those that were closed; ``None`` where they are."""
        for month in self._ledger.closed_months():
            if month.month == period_name:
                rows = self._ledger.statement_rows(period_name)
                if len(rows) != month.row_count:
                    return f"{month.month} was closed with {month.row_count:,} rows, and has {len(rows):,}"
                if digest_of(rows) != month.digest:
                    return f"the rows of {month.month} have another digest than when it was closed"
                return None
        raise QueryError(f"{quoted(period_name[:20])} is no closed month; `tokenweir months list` shows them")


def _closed_before(month: ClosedMonth) -> MonthsRefused:
    return MonthsRefused(
        f"{month.month} was closed at {month.closed_at:{_DAY}} by {month.closed_by} and stays as it is; what has come "
        "since is an adjustment of the first month that is open"
    )


def _plus(one: ChargeSum, other: ChargeSum) -> ChargeSum:
    return one.minus(_negative(other))


def _negative(one: ChargeSum) -> ChargeSum:
    return msgspec.structs.replace(
        one,
        calls=-one.calls,
        lines=-one.lines,
        quantity=-one.quantity,
        amount=None if one.amount is None else -one.amount,
    )


def _kept_rates(month: ClosedMonth) -> list[RateSettings]:
    return msgspec.json.decode(month.rates, type=list[RateSettings], dec_hook=_moment)


def _moment(kind: type, value: str) -> Moment:
    return Moment.parse(value)


def _rate(rates: Sequence[RateSettings], of: str, into: str, period: str, begins: datetime) -> Decimal:
    """The latest that holds when the period begins."""
    fitting = [
        one for one in rates if one.currency == of and one.into == into and (one.since is None or one.since <= begins)
    ]
    if not fitting:
        raise QueryError(
            f"there is no rate from {of} to {into} for {period}; add it to [[statements.rates]], "
            "or leave out --currency: amounts then stay in the currency that they are priced in"
        )
    first = datetime.min.replace(tzinfo=UTC)
    return max(fitting, key=lambda one: one.since or first).value


def _notes(period: AccountingPeriod, now: datetime, rows: Sequence[KeptSum], month: ClosedMonth | None) -> list[str]:
    notes = []
    if month is None:
        state = "is not over" if period.until > now else "is over and was not closed"
        notes.append(f"{period.name} {state}: this is as of {now:{_DAY}}, and changes as calls come.")
    notes.append(
        "Amounts are to the cent: each total is its exact sum, rounded half to even, and its cents are shared out "
        "among groups and lines by the largest remainder, so that all of them add up."
    )
    if others := sorted({row.of_month for row in rows} - {period.name}):
        notes.append(
            f"Adjustments are of {', '.join(others)}, which had been closed before: calls that came late, and calls "
            "that were rated anew."
        )
    return notes


def _check(period: AccountingPeriod, *, is_closed: bool, is_adjusted: bool) -> str:
    if is_closed:
        return (
            "SELECT currency, sum(amount) AS amount, sum(calls) AS calls FROM statement_rows "
            f"WHERE month = '{period.name}' GROUP BY currency"
        )
    of_it = (
        "SELECT currency, sum(amount) AS amount, sum(calls) AS calls FROM charge_lines "
        f"WHERE started_at >= '{period.since:%Y-%m-%d %H:%M:%S}' AND started_at < '{period.until:%Y-%m-%d %H:%M:%S}' "
        "GROUP BY currency"
    )
    return of_it + (" -- without adjustments" if is_adjusted else "")

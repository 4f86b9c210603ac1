"""What finance asks of a ledger adds up to what its calls say, whatever was corrected, came late or was closed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from support.engines import ClickHouseEngine, DuckDBEngine, Engine, PostgresEngine
from tokenweir.ledger import ChargeSum, ClosedMonth, Correction, KeptSum, Ledger, LedgerError, Person, RatingRun
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.ledger.duckdb.ledger import DuckDBLedger
from tokenweir.records import CallRecord, ChargeLine, from_fields

START = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
RATES = st.integers(1, 10**7).map(lambda units: Decimal(units) / 10**6)


@st.composite
def ratings(draw: st.DrawFn) -> dict[str, Any]:
    """What a rating says of a call: lines, some of them without a price, and their sum."""
    lines = []
    currency = draw(st.sampled_from(["EUR", "USD"]))
    for meter in draw(st.lists(st.sampled_from(["input", "cached_input", "output"]), max_size=3, unique=True)):
        quantity, rate = draw(st.integers(1, 10**6)), draw(st.none() | RATES)
        amount = None if rate is None else rate * quantity / 10**6
        reason = "no_price" if rate is None else None
        lines.append(ChargeLine(meter, quantity, "tokens", rate, 10**6, amount, "row", reason, currency))
    amounts = [line.amount for line in lines if line.amount is not None]
    has_cost = bool(amounts) or (not lines and draw(st.booleans()))
    return {
        "charges": lines,
        "cost": sum(amounts, Decimal(0)) if has_cost else None,
        "currency": currency if has_cost else None,
        "price_id": draw(st.sampled_from(["row", None])) if has_cost else None,
        "cost_reason": None if has_cost else "no_price",
    }


def calls(most_hours: int = 31 * 24 - 1) -> st.SearchStrategy[CallRecord]:
    return st.builds(
        lambda number, hours, rating, **fields: from_fields(
            call_id=f"call-{number:03}", started_at=START + timedelta(hours=hours), **fields, **rating
        ),
        number=st.integers(0, 999),
        hours=st.integers(0, most_hours),
        rating=ratings(),
        caller=st.sampled_from(["ada", "bob", None]),
        tags=st.sampled_from([{}, {"cost_centre": "a"}, {"cost_centre": "b/ü'", "x": "y"}]),
        response_model=st.sampled_from(["gpt-4o", None]),
        usage_source=st.sampled_from(["reported", "estimated", "none"]),
        input_tokens=st.integers(0, 5),
        quantities=st.sampled_from([{}, {"images": {"amount": "2", "source": "reported"}}]),
    )


def another(engine: Engine, directory: Path) -> Engine:
    """A place of the same kind, where there is nothing yet."""
    if isinstance(engine, PostgresEngine | ClickHouseEngine):
        return type(engine)(engine.server)  # type: ignore[arg-type]  # each its own
    return DuckDBEngine(Path(mkdtemp(dir=directory)))


def rated(record: CallRecord, rating: dict[str, Any]) -> CallRecord:
    return msgspec.structs.replace(record, **rating)


def book(ledger: Ledger, corrections: Sequence[Correction], run_id: str = "run-1", number: int = 1) -> None:
    ledger.stage(run_id, corrections)
    ledger.book_run(a_run(run_id, number, len(corrections)))


def a_run(run_id: str, number: int, calls: int = 1) -> RatingRun:
    return RatingRun(number=number, run_id=run_id, booked_at=END, booked_by="ada", calls=calls, what="all calls")


def a_month(**fields: Any) -> ClosedMonth:
    usual: dict[str, Any] = {
        "month": "2026-10",
        "since": START,
        "until": END,
        "timezone": "UTC",
        "closed_at": END,
        "closed_by": "ada",
        "closing_id": "closing-1",
        "calls": 1,
        "line_count": 1,
        "corrections": 0,
        "runs": 0,
        "row_count": 1,
        "rates": "[]",
        "digest": "0",
    }
    return ClosedMonth(**(usual | fields))


def used(call_id: str = "call", **fields: Any) -> CallRecord:
    line = ChargeLine("input", 1000, "tokens", Decimal("2.5"), 10**6, Decimal("0.0025"), "row", None, "EUR")
    usual: dict[str, Any] = {
        "started_at": START + timedelta(hours=5),
        "caller": "ada",
        "usage_source": "reported",
        "input_tokens": 1000,
        "charges": [line],
        "cost": line.amount,
        "currency": "EUR",
        "price_id": "row",
    }
    return from_fields(call_id=call_id, **(usual | fields))


def dearer(record: CallRecord) -> CallRecord:
    lines = [
        msgspec.structs.replace(line, rate=(line.rate or 0) * 2, amount=(line.amount or 0) * 2, price_id="new")
        for line in record.charges
    ]
    return msgspec.structs.replace(
        record, charges=lines, cost=None if record.cost is None else record.cost * 2, price_id="new"
    )


def by_group(sums: list[ChargeSum]) -> dict[tuple[Any, ...], tuple[int, Decimal]]:
    """Calls and money by caller and currency, of lines that have any."""
    found: dict[tuple[Any, ...], tuple[int, Decimal]] = {}
    for one in sums:
        calls, amount = found.get((one.caller, one.currency), (0, Decimal(0)))
        found[one.caller, one.currency] = (calls + one.calls, amount + (one.amount or 0))
    return {group: sums for group, sums in found.items() if any(sums)}


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    batches=st.lists(st.lists(calls(), max_size=12), min_size=1, max_size=5),
    again=st.lists(st.tuples(ratings(), ratings()), min_size=1, max_size=8),
    by=st.lists(st.sampled_from(["caller", "model", "price_id", "cost_reason", "tag:cost_centre", "hour"]), max_size=3),
    since=st.integers(0, 31).map(lambda days: START + timedelta(days=days, hours=days % 3)),
)
def test_sums_after_two_re_ratings_are_those_of_calls_that_were_posted_so(
    engine: Engine,
    batches: list[list[CallRecord]],
    again: list[tuple[dict[str, Any], dict[str, Any]]],
    by: list[str],
    since: datetime,
    tmp_path: Path,
) -> None:
    ledger, plain = another(engine, tmp_path).open(), DuckDBLedger(DuckDBFile(":memory:"))
    try:
        posted: dict[str, CallRecord] = {}
        for batch in batches[:-1]:
            ledger.post(batch, "source", None)
            posted = {record.call_id: record for record in batch} | posted
        for number in (0, 1):
            corrections = [
                Correction(record, rated(record, ratings[number]))
                for record, ratings in zip(posted.values(), again, strict=False)
            ]
            book(ledger, corrections, f"run-{number}", number + 1)
            posted |= {one.after.call_id: one.after for one in corrections}
        ledger.post(batches[-1], "source", None)
        posted = {record.call_id: record for record in batches[-1]} | posted
        ledger.post([from_fields(call_id="next", started_at=END + timedelta(hours=2))], "source", None)
        plain.post([*posted.values(), from_fields(call_id="next", started_at=END + timedelta(hours=2))], "source", None)

        def usage(of: Ledger, *names: str) -> list[dict[str, Any]]:
            rows = of.usage(names, since, END)
            # What was taken away whole is a row of nothing.
            return [
                row | {"cost": row["cost"] or None, "quantities": {n: a for n, a in row["quantities"].items() if a}}
                for row in rows
                if row["calls"] or row["cost"]
            ]

        assert usage(ledger, *by) == usage(plain, *by)
        sums = ledger.charge_sums(since, END)
        money = {(row["caller"], row["currency"]): row["cost"] for row in usage(ledger, "caller") if row["cost"]}
        assert {group: amount for group, (_, amount) in by_group(sums).items() if amount} == money
        assert sum(one.calls for one in sums) == sum(row["calls"] for row in usage(ledger))
        assert by_group(sums) == by_group(plain.charge_sums(since, END))
    finally:
        ledger.close()
        plain.close()


def test_a_run_that_was_not_booked_is_seen_by_nobody(ledger: Ledger) -> None:
    record = used()
    ledger.post([record], "source", None)
    before = (ledger.usage(["caller"]), ledger.charge_sums(START, END), ledger.call("call"))
    ledger.stage("killed", [Correction(record, dearer(record))])
    assert (ledger.usage(["caller"]), ledger.charge_sums(START, END), ledger.call("call")) == before
    assert ledger.rating_runs() == []
    assert ledger.query_sql("SELECT count(*) AS n FROM corrections").rows == [[0]]
    ledger.discard()
    book(ledger, [Correction(record, dearer(record))], "next")
    assert ledger.usage(["caller"])[0]["cost"] == Decimal("0.005")


def test_a_corrected_call_shows_what_it_costs_now_and_what_it_had_cost(ledger: Ledger) -> None:
    record = used()
    ledger.post([record, used("other")], "source", None)
    book(ledger, [Correction(record, dearer(record))])
    for call in (ledger.call("call"), next(one for one in ledger.calls() if one["call_id"] == "call")):
        assert call is not None
        assert (call["cost"], call["price_id"]) == (Decimal("0.005"), "new")
        assert call["charges"] == dearer(record).charges
        assert call["corrected"] == {"at": END, "cost": Decimal("0.0025"), "price_id": "row"}
    other = ledger.call("other")
    assert other is not None and "corrected" not in other
    (now,) = [one for records in ledger.records_to_rate(None, None) for one in records if one.call_id == "call"]
    assert now == dearer(record)


def test_of_two_runs_that_began_at_the_same_time_one_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    record = used()
    ledger.post([record], "source", None)
    ledger.stage("slow", [Correction(record, dearer(record))])
    book(ledger, [Correction(record, dearer(record))], "quick", 1)
    with pytest.raises(LedgerError, match="another re-rating was booked"):
        ledger.book_run(a_run("slow", 1))
    assert ledger.usage([])[0]["cost"] == Decimal("0.005")


def test_records_are_read_for_rating_in_slices_that_miss_none(ledger: Ledger) -> None:
    records = [used(f"call-{n:05}", started_at=START + timedelta(seconds=n), charges=[]) for n in range(30_000)]
    ledger.post(records, "source", None)
    slices = list(ledger.records_to_rate(START + timedelta(seconds=10), None))
    assert len(slices) > 1
    assert sorted(one.call_id for part in slices for one in part) == [one.call_id for one in records[10:]]


def test_rows_of_a_closed_month_stay_as_they_were_kept(ledger: Ledger) -> None:
    ledger.post([used(tags={"cost_centre": "ü'\\"})], "source", None)
    rows = [KeptSum("2026-10", one) for one in ledger.charge_sums(START, END)]
    ledger.close_month(a_month(row_count=len(rows)), rows)
    ledger.post([used("late")], "source", None)
    assert ledger.statement_rows("2026-10") == rows == ledger.stated_of("2026-10")
    assert ledger.closed_months() == [a_month(row_count=len(rows))]


def test_who_is_erased_is_in_no_row_of_a_closed_month(ledger: Ledger) -> None:
    ledger.post([used()], "source", None)
    ledger.close_month(a_month(), [KeptSum("2026-10", one) for one in ledger.charge_sums(START, END)])
    ledger.erase(Person.of("caller", "ada"))
    (row,) = ledger.statement_rows("2026-10")
    assert row.sums.caller is not None and row.sums.caller.startswith("erased-")
    assert row.sums.amount == Decimal("0.0025")


def test_a_statement_can_be_checked_by_a_query(ledger: Ledger) -> None:
    record = used()
    ledger.post([record], "source", None)
    book(ledger, [Correction(record, dearer(record))])
    rows = ledger.query_sql(
        "SELECT entry, meter, sum(quantity) AS quantity, sum(amount) AS amount, sum(calls) AS calls "
        "FROM charge_lines GROUP BY entry, meter ORDER BY entry"
    ).rows
    assert [(entry, meter, Decimal(str(q)), Decimal(str(a)), int(c)) for entry, meter, q, a, c in rows] == [
        ("call", "input", Decimal(1000), Decimal("0.0025"), 1),
        ("correction", "input", Decimal(0), Decimal("0.0025"), 0),
    ]

"""A month that was closed stays as it was, and whatever comes afterwards is told once, in the month that is open."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from tokenweir.errors import QueryError
from tokenweir.ledger import open_ledger
from tokenweir.records import from_fields
from tokenweir.statements import MonthsRefused, RateSettings, WantedCalls

from .conftest import NOVEMBER, OCTOBER, Finance, at, used

EUR = Decimal("0.01")


def test_a_closed_month_is_told_as_it_was_when_late_calls_come_and_calls_are_rated_anew(finance: Finance) -> None:
    finance.post(used("a", input_tokens=4_000_000), used("b", caller="bob", input_tokens=1_000_000))
    month = finance.books.close("2026-10", "fin")
    before = finance.books.statement("2026-10", "caller,tag:cost_centre")
    finance.post(used("late", input_tokens=2_000_000))
    rating = finance.rating(at(Decimal("2.00")))
    rating.book(rating.rate(WantedCalls(since=OCTOBER)), "fin")
    finance.clock.jump(86_400)
    assert finance.books.statement("2026-10", "caller,tag:cost_centre") == before
    assert (before.is_closed, before.digest, before.as_of) == (True, month.digest, month.closed_at)
    assert finance.books.verify("2026-10") is None


def test_what_came_late_and_what_was_rated_anew_adjusts_the_open_month_and_says_which(finance: Finance) -> None:
    finance.post(used("a", input_tokens=4_000_000))
    finance.books.close("2026-10", "fin")
    finance.post(used("late", input_tokens=2_000_000), used("now", NOVEMBER + timedelta(days=1)))
    rating = finance.rating(at(Decimal("2.00")))
    rating.book(rating.rate(WantedCalls(since=OCTOBER, until=NOVEMBER)), "fin")
    (group,) = finance.books.statement("2026-11", "caller").groups
    told = [(line.kind, line.of_period, line.rate, line.quantity, line.amount) for line in group.lines]
    assert sorted(told, key=str) == sorted(
        [
            ("charge", "2026-11", Decimal("2.5"), Decimal(1000), Decimal("0.00")),
            ("late", "2026-10", Decimal("2.5"), Decimal(2_000_000), Decimal("5.00")),
            ("re-rated", "2026-10", Decimal("2.5"), Decimal(-6_000_000), Decimal("-15.00")),
            ("re-rated", "2026-10", Decimal("2"), Decimal(6_000_000), Decimal("12.00")),
        ],
        key=str,
    )
    assert group.adjustments == Decimal("2.00")
    assert finance.books.statement("2026-12", "caller").groups == []


def test_an_adjustment_is_told_in_one_month_only(finance: Finance) -> None:
    finance.post(used("a"))
    finance.books.close("2026-10", "fin")
    finance.post(used("late", input_tokens=2_000_000), used("now", NOVEMBER))
    finance.clock.jump(20 * 86_400)
    finance.books.close("2026-11", "fin")
    (group,) = finance.books.statement("2026-11", "caller").groups
    assert group.adjustments == Decimal("5.00")
    assert finance.books.statement("2026-12", "caller").groups == []
    finance.post(used("later", input_tokens=1_000_000))
    (group,) = finance.books.statement("2026-12", "caller").groups
    assert (group.adjustments, group.calls) == (Decimal("2.50"), 1)
    late = [(month.month, month.late_calls) for month in finance.books.months()]
    assert late == [("2026-10", 2), ("2026-11", 0), ("2026-12", 0)]


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("post"), st.integers(0, 99), st.integers(0, 80), st.integers(1, 10**7)),
            st.tuples(st.just("rate"), st.integers(1, 5), st.integers(0, 80), st.integers(0, 9)),
            st.tuples(st.just("close"), st.integers(0, 2), st.just(0), st.just(0)),
        ),
        max_size=14,
    )
)
def test_all_that_was_ever_stated_is_what_the_ledger_has(steps: list[tuple[str, int, int, int]]) -> None:
    """Months are closed at any moment, twice as well, and in the end all statements add up to all usage."""
    ledger = open_ledger("duckdb::memory:")
    try:
        finance = Finance(ledger)
        finance.clock.jump(75 * 86_400)
        closed: dict[str, object] = {}
        for what, first, day, amount in steps:
            if what == "post":
                finance.post(used(f"call-{first}", OCTOBER + timedelta(days=day), input_tokens=amount))
            elif what == "rate":
                rating = finance.rating(at(Decimal(first)))
                rated = rating.rate(WantedCalls(since=OCTOBER + timedelta(days=day)))
                if rated.corrected:
                    rating.book(rated, "fin")
            else:
                name = ("2026-10", "2026-11", "2026-12")[first]
                try:
                    finance.books.close(name, "fin")
                except MonthsRefused:
                    pass
                else:
                    closed[name] = finance.books.statement(name, "caller")
        assert {name: finance.books.statement(name, "caller") for name in closed} == closed
        names = ["2026-10", "2026-11", "2026-12", "2027-01"]
        stated = [finance.books.statement(name, "caller") for name in names]
        groups = [group for statement in stated for group in statement.groups]
        usage = ledger.usage([])
        exact = sum((group.exact or Decimal(0) for group in groups), Decimal(0))
        assert exact == sum((row["cost"] or Decimal(0) for row in usage), Decimal(0))
        assert sum(group.calls for group in groups) == sum(row["calls"] for row in usage)
    finally:
        ledger.close()


def test_a_month_closed_twice_is_named_and_changes_nothing(finance: Finance) -> None:
    finance.post(used("a"))
    month = finance.books.close("2026-10", "fin")
    finance.post(used("late"))
    with pytest.raises(MonthsRefused, match=r"2026-10 was closed at 2026-11-20 12:00 UTC by fin and stays as it is"):
        finance.books.close("2026-10", "eve")
    assert finance.ledger.closed_months() == [month]
    assert [row.sums.calls for row in finance.ledger.statement_rows("2026-10")] == [1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("2026-11", "2026-11 is not over: it ends at 2026-12-01 00:00 UTC"),
        ("2027-03", "2027-03 is not over"),
        ("2026-08", "before 2026-09, the first month that was closed"),
    ],
)
def test_a_month_that_cannot_be_closed_says_why(finance: Finance, name: str, words: str) -> None:
    finance.books.close("2026-09", "fin")
    with pytest.raises(MonthsRefused, match=words):
        finance.books.close(name, "fin")


def test_months_are_closed_in_their_order(finance: Finance) -> None:
    finance.books.close("2026-08", "fin")
    with pytest.raises(MonthsRefused, match="close 2026-09 before 2026-10"):
        finance.books.close("2026-10", "fin")


def test_a_time_zone_that_was_changed_is_refused_and_closed_months_are_found(finance: Finance) -> None:
    finance.post(used("a"))
    finance.books.close("2026-10", "fin")
    moved = Finance(finance.ledger, timezone="Europe/Berlin")
    moved.clock.jump(20 * 86_400)
    with pytest.raises(MonthsRefused, match="set the time zone"):
        moved.books.close("2026-11", "fin")
    assert moved.books.statement("2026-10", "caller").timezone == "UTC"


def test_a_row_that_was_altered_in_the_database_is_found(finance: Finance) -> None:
    finance.post(used("a"))
    finance.books.close("2026-10", "fin")
    finance.ledger._change("posted_statement_rows", {"caller": "eve"}, "caller = ?", ["ada"])  # type: ignore[attr-defined]
    wrong = finance.books.verify("2026-10")
    assert wrong is not None and "another digest" in wrong


def test_amounts_are_converted_by_the_rate_that_held_for_their_own_month(finance: Finance) -> None:
    rates = [
        RateSettings(currency="USD", into="EUR", rate="0.90"),
        RateSettings(currency="USD", into="EUR", rate="0.80", since=NOVEMBER),  # type: ignore[arg-type]
    ]
    finance = Finance(finance.ledger, rates=rates)
    usd = at(Decimal(10), "USD")
    finance.post(usd(used("a", input_tokens=10**6)))
    finance.books.close("2026-10", "fin")
    finance.post(usd(used("late", input_tokens=10**6)), usd(used("now", NOVEMBER, input_tokens=10**6)))
    october, november = (finance.books.statement(name, "caller", "EUR") for name in ("2026-10", "2026-11"))
    assert october.totals[0].amount == Decimal("9.00")
    assert (november.totals[0].amount, november.totals[0].adjustments) == (Decimal("17.00"), Decimal("9.00"))
    assert [(rate.of_period, rate.rate) for rate in november.rates] == [
        ("2026-10", Decimal("0.90")),
        ("2026-11", Decimal("0.80")),
    ]
    unknown = Finance(finance.ledger, rates=[])
    assert unknown.books.statement("2026-10", "caller", "EUR").totals == october.totals  # its rates were kept
    with pytest.raises(QueryError, match="no rate from USD to EUR for 2026-11"):
        unknown.books.statement("2026-11", "caller", "EUR")


def test_an_unpriced_line_makes_the_amount_a_floor_and_is_never_nothing(finance: Finance) -> None:
    nothing = at(None)
    finance.post(used("a", input_tokens=3000), nothing(used("b", input_tokens=1000)))
    (group,) = finance.books.statement("2026-10", "cost_centre").groups
    assert (group.currency, group.is_floor) == ("EUR", True)
    assert (group.tokens, group.unpriced_tokens) == (Decimal(4000), Decimal(1000))
    assert [line.amount for line in group.lines if line.reason] == [None]


def test_less_than_a_cent_is_told_to_the_cent_everywhere(finance: Finance) -> None:
    finance.post(used("a"))
    told = finance.books.statement("2026-10", "caller")

    assert [str(group.amount) for group in told.groups] == ["0.00"]
    assert [str(total.amount) for total in told.totals] == ["0.00"]


def test_what_nobody_metered_makes_the_amount_a_floor(finance: Finance) -> None:
    unmetered = from_fields(call_id="b", started_at=OCTOBER, caller="ada", usage_reason="unmetered")
    refused = from_fields(call_id="c", started_at=OCTOBER, caller="ada", outcome="refused")
    finance.post(used("a"), unmetered, refused)
    (total,) = finance.books.statement("2026-10", "caller").totals
    assert (total.calls, total.is_floor, total.unpriced_calls) == (3, True, 1)


def test_a_name_that_no_statement_is_by_is_answered_with_those_that_there_are(finance: Finance) -> None:
    with pytest.raises(QueryError, match="did you mean"):
        finance.books.statement("2026-10", "callers")

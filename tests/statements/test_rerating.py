"""Rating anew corrects what costs something else now, by entries, once; what has no price any more keeps its cost."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from tokenweir.errors import TokenweirError
from tokenweir.ledger import LedgerError, open_ledger
from tokenweir.records import CallRecord, from_fields
from tokenweir.statements import WantedCalls

from .conftest import NOVEMBER, OCTOBER, Finance, at, used

ALL = WantedCalls(since=OCTOBER)


def cost(finance: Finance) -> Decimal:
    (row,) = finance.ledger.usage([])
    amount: Decimal = row["cost"]
    return amount


def test_the_difference_is_shown_by_team_and_nothing_is_changed_until_it_is_booked(finance: Finance) -> None:
    finance.post(used("a"), used("b", caller="bob", input_tokens=2000), used("c", caller="bob"))
    rating = finance.rating(at(Decimal(3)))
    rated = rating.rate(ALL)
    assert [(one.group, one.calls, one.before, one.after) for one in rated.differences] == [
        ({"caller": "ada"}, 1, Decimal("0.0025"), Decimal("0.003")),
        ({"caller": "bob"}, 2, Decimal("0.0075"), Decimal("0.009")),
    ]
    assert cost(finance) == Decimal("0.01")
    rating.book(rated, "fin")
    assert cost(finance) == Decimal("0.012")


def test_a_second_time_nothing_is_corrected(finance: Finance) -> None:
    finance.post(used("a"), used("b"))
    rating = finance.rating(at(Decimal(3)))
    rating.book(rating.rate(ALL), "fin")
    again = rating.rate(ALL)
    assert (again.calls, again.corrected, again.differences) == (2, 0, [])
    with pytest.raises(TokenweirError, match="nothing to book"):
        rating.book(again, "fin")
    assert len(finance.ledger.rating_runs()) == 1


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    tokens=st.lists(st.integers(1, 10**6), min_size=1, max_size=12),
    rates=st.lists(st.integers(1, 10**9).map(lambda units: Decimal(units) / 10**6), min_size=1, max_size=4),
)
def test_after_any_re_ratings_calls_cost_what_the_last_says(tokens: list[int], rates: list[Decimal]) -> None:
    ledger = open_ledger("duckdb::memory:")
    try:
        finance = Finance(ledger)
        finance.post(*(used(f"call-{n}", input_tokens=count) for n, count in enumerate(tokens)))
        for rate in rates:
            rating = finance.rating(at(rate))
            rated = rating.rate(ALL)
            if rated.corrected:
                rating.book(rated, "fin")
            assert rating.rate(ALL).corrected == 0
        assert cost(finance) == sum(tokens) * rates[-1] / 10**6
        assert sum(call["cost"] for call in ledger.calls()) == cost(finance)
    finally:
        ledger.close()


def test_a_price_list_that_lost_a_row_takes_no_cost_away(finance: Finance) -> None:
    finance.post(used("a"), used("b"))
    rated = finance.rating(at(None)).rate(ALL)
    assert (rated.corrected, rated.unpriced) == (0, 2)


def test_a_call_that_had_no_price_gets_the_one_that_there_is_now(finance: Finance) -> None:
    nothing = at(None)
    finance.post(nothing(used("a")))
    rating = finance.rating(at(Decimal(3)))
    rating.book(rating.rate(ALL), "fin")
    (row,) = [row for row in finance.ledger.usage([]) if row["calls"]]
    assert (row["cost"], row["unpriced"], row["currency"]) == (Decimal("0.003"), 0, "EUR")


def test_a_call_that_came_with_a_cost_from_elsewhere_keeps_it(finance: Finance) -> None:
    foreign = from_fields(call_id="a", started_at=OCTOBER, usage_source="reported", cost=Decimal(7), currency="EUR")
    finance.post(foreign)
    rated = finance.rating(at(Decimal(3))).rate(ALL)
    assert (rated.corrected, rated.foreign) == (0, 1)


def test_only_calls_that_are_wanted_are_rated(finance: Finance) -> None:
    finance.post(used("a"), used("b", caller="bob"), used("c", NOVEMBER), used("d", requested_model="o3"))
    rating = finance.rating(at(Decimal(3)))
    wanted = WantedCalls(since=OCTOBER, until=NOVEMBER, model="gpt-4o", caller="ada")
    rated = rating.rate(wanted)
    assert (rated.calls, rated.corrected) == (1, 1)


def test_the_calls_of_closed_months_are_counted(finance: Finance) -> None:
    finance.post(used("a"), used("b", NOVEMBER))
    finance.books.close("2026-10", "fin")
    assert finance.rating(at(Decimal(3))).rate(ALL).of_closed == {"2026-10": 1}


def test_a_run_that_began_before_another_was_booked_is_refused(finance: Finance) -> None:
    finance.post(used("a"))
    slow, quick = finance.rating(at(Decimal(3))), finance.rating(at(Decimal(4)))
    rated = slow.rate(ALL)
    quick.book(quick.rate(ALL), "fin")
    with pytest.raises(LedgerError, match="another re-rating was booked"):
        slow.book(rated, "fin")
    assert cost(finance) == Decimal("0.004")


def test_a_run_that_fails_half_way_is_seen_nowhere(finance: Finance) -> None:
    def failing(record: CallRecord) -> CallRecord:
        if record.call_id == "b":
            raise TokenweirError("no price list")
        return at(Decimal(3))(record)

    finance.post(used("a"), used("b"))
    with pytest.raises(TokenweirError, match="no price list"):
        finance.rating(failing).rate(ALL)
    assert cost(finance) == Decimal("0.005")

"""Discounts, mark-ups and exchange rates: exact, in their time, for the calls that they are of."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from support.call_records import a_call
from tokenweir.pricing import (
    Adjusting,
    AdjustmentSettings,
    ExchangeRate,
    ExchangeRateSettings,
    Moment,
    Percent,
    Price,
    PriceList,
    PriceSettings,
)
from tokenweir.records import CallRecord

DOLLARS = PriceSettings("gpt-4o*", "USD", input=Price("2.50"), output=Price("10"))
OCTOBER, NOVEMBER = datetime(2026, 10, 15, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC)


def used(**fields: Any) -> CallRecord:
    return a_call(**({"input_tokens": 1_000_000, "output_tokens": 0, "started_at": NOVEMBER} | fields))


def rate(of: str, since: str | None = None) -> ExchangeRateSettings:
    return ExchangeRateSettings("USD", ExchangeRate(of), None if since is None else Moment.parse(since))


def test_amounts_are_converted_at_the_rate_of_their_time() -> None:
    rates = [rate("0.90", "2026-10-01"), rate("0.92", "2026-11-01")]
    prices = PriceList([DOLLARS], adjusting=Adjusting("EUR", rates))
    found = [prices.priced(used(started_at=moment)) for moment in (OCTOBER, NOVEMBER)]
    assert [(one.cost, one.currency) for one in found] == [(Decimal("2.25"), "EUR"), (Decimal("2.3"), "EUR")]
    assert found[1].charges[0].rate == Decimal("2.3")


def test_a_currency_that_has_no_rate_yet_is_unpriced_and_says_so() -> None:
    prices = PriceList([DOLLARS], adjusting=Adjusting("EUR", [rate("0.92", "2026-11-01")]))
    priced = prices.priced(used(started_at=OCTOBER))
    assert (priced.cost, priced.currency, priced.cost_reason) == (None, None, "no_exchange_rate")
    assert [(line.amount, line.reason) for line in priced.charges] == [(None, "no_exchange_rate")]


def test_a_discount_is_of_its_calls_and_of_its_time_and_a_mark_up_comes_on_top() -> None:
    adjustments = [
        AdjustmentSettings(discount=Percent("10"), since=Moment.parse("2026-11-01")),
        AdjustmentSettings(markup=Percent("5"), tags={"cost_centre": "4711"}),
        AdjustmentSettings(markup=Percent("50"), of="list"),
        AdjustmentSettings(markup=Percent("50"), model="o3*"),
        AdjustmentSettings(markup=Percent("50"), caller="somebody else"),
    ]
    prices = PriceList([DOLLARS], adjusting=Adjusting(adjustments=adjustments))
    assert prices.priced(used(started_at=OCTOBER, tags={})).cost == Decimal("2.5")
    assert prices.priced(used(tags={})).cost == Decimal("2.25")
    assert prices.priced(used(tags={"cost_centre": "4711"})).cost == Decimal("2.3625")


@pytest.mark.parametrize("written", ["-1", -5, "", "five", "1.00001"])
def test_a_discount_below_nothing_is_no_percentage(written: str | int) -> None:
    with pytest.raises(ValueError, match="is no percentage"):
        Percent.parse(written)


@pytest.mark.parametrize("written", ["0", "-0.9", "nine", 0])
def test_what_is_no_exchange_rate_is_refused(written: str | int) -> None:
    with pytest.raises(ValueError, match="is no exchange rate"):
        ExchangeRate.parse(written)


_percents = st.decimals(0, 100, places=4).map(lambda one: Percent(f"{one:f}"))


@given(
    st.lists(st.builds(AdjustmentSettings, _percents, _percents), max_size=3),
    st.decimals("0.000001", 10**6, places=6).map(lambda one: ExchangeRate(f"{one:f}")),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
def test_whatever_is_taken_off_and_converted_lines_add_up_and_are_off_by_no_more_than_their_last_place(
    adjustments: list[AdjustmentSettings], worth: ExchangeRate, sent: int, answered: int
) -> None:
    adjusting = Adjusting("EUR", [ExchangeRateSettings("USD", worth)], adjustments)
    priced = PriceList([DOLLARS], adjusting=adjusting).priced(used(input_tokens=sent, output_tokens=answered))
    assert Fraction(priced.cost or 0) == sum((Fraction(line.amount or 0) for line in priced.charges), Fraction(0))
    factor = Fraction(worth)
    for one in adjustments:
        factor *= (1 - Fraction(one.discount) / 100) * (1 + Fraction(one.markup) / 100)
    for line, price in zip(priced.charges, ("2.50", "10") if sent else ("10",), strict=False):
        assert line.rate is not None
        assert abs(Fraction(line.rate) - factor * Fraction(price)) <= Fraction(1, 2 * 10**12)
        assert abs(Fraction(line.amount or 0) - Fraction(line.rate) * Fraction(line.quantity) / 10**6) <= Fraction(
            1, 2 * 10**12
        )

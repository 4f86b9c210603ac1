"""What calls cost: every token once, exactly, by the row that fits best."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from support.call_records import a_call
from tokenweir.pricing import Moment, Price, PriceList, PriceSettings
from tokenweir.records import CallRecord


def row(model: str = "gpt-4o*", **fields: Any) -> PriceSettings:
    """Input 2.50, output 10, unless something else is asked for; prices as texts."""
    settings: dict[str, Any] = {"currency": "EUR", "input": "2.50", "output": "10"} | fields
    read: dict[str, Any] = {name: Price.parse(one) if name in _PRICES else one for name, one in settings.items()}
    return PriceSettings(model=model, **read)


_PRICES = ("input", "cached_input", "output", "input_audio", "output_audio")


def used(**fields: Any) -> CallRecord:
    usual = {"input_tokens": 1_000, "output_tokens": 100, "response_model": "gpt-4o-2024-11-20"}
    return a_call(**(usual | fields))


def test_a_call_costs_its_tokens() -> None:
    priced = PriceList([row()]).priced(used())
    assert (priced.cost, priced.currency, priced.price_id) == (Decimal("0.0035"), "EUR", "gpt-4o*")


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        ({"cached_input_tokens": 400}, "0.0030"),
        ({"cached_input_tokens": 1_000}, "0.00225"),
        ({"cached_input_tokens": 5_000}, "0.00225"),
        ({"input_audio_tokens": 100}, "0.01325"),
        ({"input_audio_tokens": 900, "cached_input_tokens": 900}, "0.012125"),
        ({"output_audio_tokens": 100}, "0.0225"),
        ({"output_audio_tokens": 500}, "0.0225"),
        ({"reasoning_tokens": 100}, "0.0035"),
        ({"input_tokens": -5, "output_tokens": -5}, "0"),
        ({"usage_source": "estimated"}, "0.0035"),
    ],
)
def test_parts_are_charged_by_their_own_price_and_never_twice(tokens: dict[str, Any], cost: str) -> None:
    prices = PriceList([row(cached_input="1.25", input_audio="100", output_audio="200")])
    assert prices.priced(used(**tokens)).cost == Decimal(cost)


def test_parts_without_a_price_of_their_own_cost_as_the_whole() -> None:
    parts = {"cached_input_tokens": 300, "input_audio_tokens": 300, "output_audio_tokens": 50}
    prices = PriceList([row()])
    assert prices.priced(used(**parts)).cost == prices.priced(used()).cost


@pytest.mark.parametrize("kept", [{"cost": Decimal(7), "currency": "USD"}, {"usage_source": "none"}])
def test_a_cost_that_is_there_is_kept_and_what_used_nothing_has_none(kept: dict[str, Any]) -> None:
    record = used(**kept)
    assert PriceList([row()]).priced(record) is record


def test_a_model_without_a_row_has_no_cost() -> None:
    record = used(response_model="o3", requested_model="o3", deployment="gpt-5")
    assert PriceList([row()]).priced(record) is record
    assert PriceList([]).priced(record) is record


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (("gpt-4o-mini", None, None), "gpt-4o-mini*"),
        (("gpt-4o-2024-11-20", None, None), "gpt-4o-2024-11-20"),
        (("gpt-4o-2024-11-21", "gpt-4o-mini", None), "gpt-4o*"),
        ((None, "gpt-4o-mini", "chat"), "gpt-4o-mini*"),
        (("unknown", "unknown", "chat"), "chat"),
        ((None, None, "chat-2"), None),
    ],
)
def test_the_best_fitting_row_of_the_first_name_that_fits(names: tuple[str | None, ...], model: str | None) -> None:
    answered, asked, deployment = names
    rows = [row(one) for one in ("gpt-4o*", "gpt-4o-mini*", "gpt-4o-2024-11-20", "gpt-4o-2024-11-20*", "chat")]
    for prices in (PriceList(rows), PriceList(rows[::-1])):
        found = prices.row_for(used(response_model=answered, requested_model=asked, deployment=deployment))
        assert (found and found.model) == model


def test_the_narrower_row_wins_and_does_not_fit_other_calls() -> None:
    rows = [row(), row(sku="Batch"), row(deployment="chat"), row(deployment="chat", sku="Batch")]
    prices = PriceList(rows)
    for deployment, sku, name in [
        ("gpt", None, "gpt-4o*"),
        ("gpt", "Batch", "gpt-4o*/Batch"),
        ("chat", "Standard", "gpt-4o*/chat"),
        ("chat", "Batch", "gpt-4o*/chat/Batch"),
    ]:
        found = prices.row_for(used(deployment=deployment, sku=sku))
        assert found is not None and found.name == name


def test_the_newest_row_that_has_begun_wins_at_its_very_moment() -> None:
    since = Moment.parse("2026-11-01T06:00:00Z")
    prices = PriceList([row(since=since, input="5"), row(), row(since=Moment.parse("2026-10-01"))])
    moments = [datetime(2026, 9, 30, tzinfo=UTC), datetime(2026, 11, 1, 5, 59, 59, 999999, tzinfo=UTC), since]
    names = ["gpt-4o*", "gpt-4o*@2026-10-01T00:00:00Z", "gpt-4o*@2026-11-01T06:00:00Z"]
    assert [prices.priced(used(started_at=moment)).price_id for moment in moments] == names
    assert PriceList([row(since=since)]).row_for(used(started_at=moments[0])) is None


def test_a_row_may_have_an_id() -> None:
    assert PriceList([row(id="contract-7")]).priced(used()).price_id == "contract-7"


_tokens = st.integers(-5, 2**63 - 1)
_prices = st.decimals(0, 10**11, places=6).map(lambda price: f"{price:f}")


@given(st.lists(_tokens, min_size=5, max_size=5), st.lists(_prices, min_size=5, max_size=5))
def test_a_cost_is_the_exact_sum_of_its_parts_and_never_negative(tokens: list[int], prices: list[str]) -> None:
    whole, cached, audio, out, spoken = tokens
    record = used(
        input_tokens=whole,
        cached_input_tokens=cached,
        input_audio_tokens=audio,
        output_tokens=out,
        output_audio_tokens=spoken,
    )
    found = PriceList([row(**dict(zip(_PRICES, prices, strict=True)))]).priced(record).cost
    assert found is not None and found >= 0
    # Fractions have no precision to run out of.
    numerator, denominator = found.as_integer_ratio()
    per = [int(Decimal(price).scaleb(6)) for price in prices]
    in_cache = min(max(cached, 0), max(whole, 0))
    in_audio = min(max(audio, 0), max(whole, 0) - in_cache)
    out_audio = min(max(spoken, 0), max(out, 0))
    text = max(whole, 0) - in_cache - in_audio
    parts = [text, in_cache, max(out, 0) - out_audio, in_audio, out_audio]
    expected = sum(part * price for part, price in zip(parts, per, strict=True))
    assert numerator * 10**12 == expected * denominator
    assert text + in_cache + in_audio == max(whole, 0)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_from_the_cache_never_costs_more(whole: int, cached: int) -> None:
    prices = PriceList([row(cached_input="1.25")])
    fewer, more = (
        prices.priced(used(input_tokens=whole, cached_input_tokens=one)).cost for one in (cached, cached + 1)
    )
    assert fewer is not None and more is not None and more <= fewer


def test_what_a_ledger_keeps_of_a_cost_is_all_of_it() -> None:
    cost = PriceList([row(input="0.000001")]).priced(used(input_tokens=1, output_tokens=0)).cost
    assert cost == Decimal("0.000000000001")

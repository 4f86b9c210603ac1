"""What calls cost: every token once, exactly, by the row that fits best."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from support.call_records import a_call
from tokenweir.pricing import METERS, Moment, Price, PriceList, PriceSettings
from tokenweir.pricing.parts import parts_of
from tokenweir.records import QUANTITIES, CallRecord, ChargeLine, Quantity


def row(model: str = "gpt-4o*", **fields: Any) -> PriceSettings:
    """Input 2.50, output 10, unless something else is asked for; prices as texts."""
    settings: dict[str, Any] = {"currency": "EUR", "input": "2.50", "output": "10"} | fields
    read: dict[str, Any] = {name: Price.parse(one) if name in _PRICES else one for name, one in settings.items()}
    return PriceSettings(model=model, **read)


_PRICES = tuple(METERS)


def used(**fields: Any) -> CallRecord:
    usual = {"input_tokens": 1_000, "output_tokens": 100, "response_model": "gpt-4o-2024-11-20"}
    return a_call(**(usual | fields))


def test_a_call_costs_its_tokens() -> None:
    priced = PriceList([row()]).priced(used())
    assert (priced.cost, priced.currency, priced.price_id) == (Decimal("0.0035"), "EUR", "gpt-4o*")


def test_a_call_that_is_billed_by_seconds_costs_them() -> None:
    heard = used(
        input_tokens=0,
        output_tokens=0,
        quantities={"input_audio_seconds": Quantity(Decimal("8.47"))},
        usage={"seconds": 8.47},
    )
    whisper = row(input="0", output="0", input_audio_second="0.0001")
    assert PriceList([whisper]).priced(heard).cost == Decimal("0.000847")
    unpriced = PriceList([row()]).priced(heard)
    assert (unpriced.cost, unpriced.cost_reason) == (None, "no_input_audio_second")


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        ({"cached_input_tokens": 400}, "0.0030"),
        ({"cached_input_tokens": 1_000}, "0.00225"),
        ({"cached_input_tokens": 5_000}, "0.00225"),
        ({"input_audio_tokens": 100}, "0.01325"),
        ({"input_audio_tokens": 900, "cached_input_tokens": 900}, "0.051125"),
        ({"input_audio_tokens": 900, "cached_input_tokens": 900, "cached_audio_tokens": 900}, "0.04625"),
        ({"cache_write_tokens": 400}, "0.0045"),
        ({"cache_write_tokens": 4000, "cached_input_tokens": 400}, "0.0045"),
        ({"input_image_tokens": 100}, "0.0035"),
        ({"output_image_tokens": 100}, "0.0035"),
        ({"output_audio_tokens": 100}, "0.0225"),
        ({"output_audio_tokens": 500}, "0.0225"),
        ({"reasoning_tokens": 100}, "0.0035"),
        ({"input_tokens": -5, "output_tokens": -5}, "0"),
        ({"usage_source": "estimated"}, "0.0035"),
    ],
)
def test_parts_are_charged_by_their_own_price_and_never_twice(tokens: dict[str, Any], cost: str) -> None:
    prices = PriceList(
        [row(cached_input="1.25", cache_write="5", input_audio="100", cached_audio="50", output_audio="200")]
    )
    assert prices.priced(used(**tokens)).cost == Decimal(cost)


def test_what_is_cached_costs_as_the_prompt_and_images_as_text_where_a_row_does_not_say_otherwise() -> None:
    parts = {"cached_input_tokens": 300, "input_image_tokens": 300, "cached_image_tokens": 9, "output_image_tokens": 9}
    prices = PriceList([row()])
    assert prices.priced(used(**parts)).cost == prices.priced(used()).cost


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"cache_write_tokens": 1}, "no_cache_write"),
        ({"input_audio_tokens": 1}, "no_input_audio"),
        ({"input_audio_tokens": 1, "cached_input_tokens": 1, "cached_audio_tokens": 1}, "no_cached_audio"),
        ({"input_audio_tokens": 900, "cached_input_tokens": 101}, "no_cached_audio"),
        ({"output_audio_tokens": 1}, "no_output_audio"),
        ({"input_image_tokens": 1, "cached_input_tokens": 1, "cached_image_tokens": 1}, "no_cached_image"),
        ({"input_audio_tokens": 1_000, "cache_write_tokens": 1}, "no_cache_write_media"),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "usage": {"seconds": 9}}, "not_in_tokens"),
    ],
)
def test_a_part_without_a_price_is_unpriced_and_the_rest_of_the_call_is_its_cost(
    parts: dict[str, int], reason: str
) -> None:
    lacking = {"no_cache_write_media": {"input_audio": "1"}, "no_cached_audio": {"input_audio": "1"}}
    prices = PriceList([row(input_image="1", **lacking.get(reason, {}))])
    priced = prices.priced(used(**parts))
    assert (priced.cost_reason, priced.price_id) == (reason, "gpt-4o*")
    unpriced = [line for line in priced.charges if line.amount is None]
    assert [(line.meter, line.rate, line.currency) for line in unpriced] == [
        (reason.removeprefix("no_"), None, None) for _ in unpriced
    ]
    rest = [line.amount for line in priced.charges if line.amount is not None]
    assert priced.cost == (sum(rest) if rest else None)


def test_each_line_says_what_was_used_at_which_price() -> None:
    rows = [row(cached_input="1.25"), PriceSettings(model="*", currency="EUR", web_search=Price("14"), id="tools")]
    quantities = {"web_searches": Quantity(3, "counted"), "unmetered_bytes": Quantity(9, "counted")}
    priced = PriceList(rows).priced(used(cached_input_tokens=400, quantities=quantities))
    assert priced.charges == [
        ChargeLine("input", 600, "tokens", Decimal("2.50"), 10**6, Decimal("0.0015"), "gpt-4o*", None, "EUR"),
        ChargeLine("cached_input", 400, "tokens", Decimal("1.25"), 10**6, Decimal("0.0005"), "gpt-4o*", None, "EUR"),
        ChargeLine("output", 100, "tokens", Decimal(10), 10**6, Decimal("0.001"), "gpt-4o*", None, "EUR"),
        ChargeLine("web_search", 3, "searches", Decimal(14), 1000, Decimal("0.042"), "tools", None, "EUR"),
    ]
    assert priced.cost == Decimal("0.045")


def test_a_call_of_which_nothing_has_a_price_has_lines_and_no_cost() -> None:
    priced = PriceList([row("o3")]).priced(used(quantities={"web_searches": Quantity(1, "counted")}))
    assert priced.cost is None
    assert [(line.meter, line.quantity, line.amount, line.reason) for line in priced.charges] == [
        ("input", 1_000, None, "no_price"),
        ("output", 100, None, "no_price"),
        ("web_search", 1, None, "no_web_search"),
    ]


def test_lines_in_two_currencies_are_never_added_up() -> None:
    rows = [row(), PriceSettings(model="*", currency="USD", web_search=Price("14"))]
    priced = PriceList(rows).priced(used(quantities={"web_searches": Quantity(1, "counted")}))
    assert (priced.cost, priced.currency, priced.cost_reason) == (Decimal("0.0035"), "EUR", "other_currency")
    assert priced.charges[-1].amount is None


def test_what_is_written_to_a_cache_for_an_hour_has_its_own_price() -> None:
    written = {"cache_write_5m_tokens": Quantity(300), "cache_write_1h_tokens": Quantity(500)}
    call = used(cache_write_tokens=900, quantities=written)
    lines = PriceList([row(cache_write="3", cache_write_1h="5")]).priced(call).charges
    assert [(line.meter, line.quantity, str(line.rate)) for line in lines if line.meter.startswith("cache")] == [
        ("cache_write", 100, "3"),
        ("cache_write_5m", 300, "3"),
        ("cache_write_1h", 500, "5"),
    ]


def test_images_by_the_piece_are_charged_where_they_have_a_price_or_nothing_else_was_used() -> None:
    images = {"images": Quantity(2, "counted")}
    by_piece = used(input_tokens=0, output_tokens=0, total_tokens=0, usage_source="estimated", quantities=images)
    assert PriceList([row(image="0.04")]).priced(by_piece).cost == Decimal("0.08")
    assert PriceList([row()]).priced(by_piece).cost_reason == "no_image"
    in_tokens = used(quantities=images)
    assert [line.meter for line in PriceList([row()]).priced(in_tokens).charges] == ["input", "output"]


def test_something_of_which_nobody_knows_how_much_makes_the_cost_a_floor() -> None:
    priced = PriceList([row()]).priced(used(quantities={"input_audio_seconds": Quantity(None, "unknown")}))
    assert (priced.cost, priced.cost_reason) == (Decimal("0.0035"), "unknown_quantity")


def test_what_was_written_to_the_cache_has_its_own_price() -> None:
    prices = PriceList([row("gpt-5.6*", input="5", cached_input="0.5", cache_write="6.25", output="30")])
    record = used(response_model="gpt-5.6-2026", input_tokens=2219, cache_write_tokens=2217, output_tokens=10)
    assert prices.priced(record).cost == Decimal("0.01416625")


def test_cached_text_and_cached_audio_never_overlap() -> None:
    record = used(
        input_tokens=100, input_audio_tokens=80, cached_input_tokens=50, cached_audio_tokens=40, output_tokens=0
    )
    rates = {"input": "2.5", "cached_input": "1.25", "input_audio": "40", "cached_audio": "2.5"}
    expected = 10 * Decimal("2.5") + 10 * Decimal("1.25") + 40 * Decimal(40) + 40 * Decimal("2.5")
    assert PriceList([row(**rates)]).priced(record).cost == expected / 10**6


# --- tiers ---


@pytest.mark.parametrize(
    ("served", "asked", "found"),
    [
        (None, None, "gpt-4o*"),
        ("default", "auto", "gpt-4o*"),
        ("Standard", "priority", "gpt-4o*"),
        (None, "auto", "gpt-4o*"),
        ("priority", "auto", "gpt-4o*/priority"),
        ("flex", None, "no_price_for_tier"),
        (None, "priority", "tier_unknown"),
    ],
)
def test_a_call_is_charged_by_the_tier_that_served_it_or_not_at_all(
    served: str | None, asked: str | None, found: str
) -> None:
    prices = PriceList([row(service_tier="priority", input="5"), row()])
    priced = prices.priced(used(service_tier=served, requested_service_tier=asked))
    assert found in (priced.price_id, priced.cost_reason)
    assert (priced.cost is None) == (priced.cost_reason is not None)


def test_a_row_of_a_tier_says_nothing_about_the_standard_one() -> None:
    assert PriceList([row(service_tier="flex")]).priced(used()).cost_reason == "no_price_for_tier"
    assert PriceList([row(service_tier="standard")]).priced(used()).cost is not None


def test_what_was_spilled_over_is_not_charged_by_the_target_that_was_full() -> None:
    prices = PriceList([row(sku="ptu", input="0", output="0", id="ptu"), row(id="paygo")])
    assert prices.priced(used(sku="ptu")).price_id == "ptu"
    spilled = used(sku="ptu", spillover_from="gpt-ptu", served_deployment="gpt-paygo")
    assert prices.priced(spilled).price_id == "paygo"


@pytest.mark.parametrize("kept", [{"cost": Decimal(7), "currency": "USD"}, {"usage_source": "none"}])
def test_a_cost_that_is_there_is_kept_and_what_used_nothing_has_none(kept: dict[str, Any]) -> None:
    record = used(**kept)
    assert PriceList([row()]).priced(record) is record


def test_a_model_without_a_row_has_no_cost() -> None:
    record = used(response_model="o3", requested_model="o3", deployment="gpt-5")
    priced = PriceList([row()]).priced(record)
    assert (priced.cost, priced.price_id, priced.cost_reason) == (None, None, "no_price")
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


_HOURS = st.none() | st.integers(0, 6)


@given(
    st.lists(st.tuples(_HOURS, _HOURS, st.sampled_from([0, 2, 4])), max_size=5),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_a_row_charges_from_when_it_begins_until_it_ends_and_above_its_length(
    rows: list[tuple[int | None, int | None, int]], hour: int, tokens: int
) -> None:
    def at(when: int | None) -> Moment | None:
        return None if when is None else Moment(2026, 11, 1, when, tzinfo=UTC)

    prices = [
        row("gpt-4o*", since=at(since), until=at(until), input_above=above, id=f"{number}")
        for number, (since, until, above) in enumerate(rows)
    ]
    found = PriceList(prices).row_for(used(started_at=at(hour), input_tokens=tokens))
    fitting = [
        (above, -1 if since is None else since)
        for since, until, above in rows
        if (since is None or since <= hour) and (until is None or hour < until) and (not above or above < tokens)
    ]
    assert (found is None) == (not fitting)
    if found is not None:
        since, _, above = rows[int(found.name)]
        assert (above, -1 if since is None else since) == max(fitting)


_NAMES = st.sampled_from([None, "gpt-4o", "gpt-4o-mini", "o3"])
_CALLS = st.fixed_dictionaries(
    {
        "response_model": _NAMES,
        "requested_model": _NAMES,
        "deployment": _NAMES,
        "sku": st.sampled_from([None, "standard", "provisioned"]),
        "service_tier": st.sampled_from([None, "priority"]),
        "spillover_from": st.sampled_from([None, "o3"]),
        "started_at": st.datetimes(datetime(2026, 10, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),
    }
)


@given(st.lists(_CALLS, min_size=2, max_size=12))
def test_what_was_asked_before_changes_no_answer(calls: list[dict[str, Any]]) -> None:
    rows = [
        row(),
        row("gpt-4o", since=Moment.parse("2026-11-01"), input="5"),
        row("o3", sku="provisioned"),
        row("*", service_tier="priority", deployment="gpt-4o-mini"),
    ]
    asked = PriceList(rows)
    for call in [used(**call) for call in calls]:
        assert asked.priced(call) == PriceList(rows).priced(call)


def test_a_row_may_have_an_id() -> None:
    assert PriceList([row(id="contract-7")]).priced(used()).price_id == "contract-7"


_tokens = st.integers(-5, 2**63 - 1)
_prices = st.decimals(0, 10**11, places=6).map(lambda price: f"{price:f}")


_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cached_audio_tokens",
    "cached_image_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)
_counts = st.fixed_dictionaries({name: _tokens | st.integers(-5, 20) for name in _COUNTS})
_rows = st.fixed_dictionaries(
    {"input": _prices, "output": _prices},
    optional={name: _prices for name in _PRICES if name not in ("input", "output")},
)


_amounts = st.dictionaries(
    st.sampled_from([*QUANTITIES]),
    st.builds(Quantity, st.integers(0, 2**53) | st.decimals(0, 10**6, places=6).map(Decimal), st.just("counted")),
    max_size=4,
)


@given(_counts, _rows, _amounts)
def test_every_token_is_on_one_line_and_no_part_is_negative(
    tokens: dict[str, int], prices: dict[str, str], amounts: dict[str, Quantity]
) -> None:
    record = used(**tokens, quantities=amounts)
    beside = ("router_fee", "advisor_input", "advisor_output")
    parts = [part for part in parts_of(record.usage, prices) if part[0] not in beside]
    assert all(quantity > 0 for _, quantity in parts)
    assert len({name for name, _ in parts}) == len(parts)
    inputs, outputs = (
        sum(quantity for name, quantity in parts if METERS[name].part in of and METERS[name].unit == "tokens")
        for of in (_OF_INPUT, _OF_OUTPUT)
    )
    assert inputs == max(0, record.usage.input_tokens)
    assert outputs == max(0, record.usage.output_tokens)


_OF_INPUT = {meter.part for name, meter in METERS.items() if "input" in meter.part or "cache" in meter.part}
_OF_OUTPUT = {meter.part for meter in METERS.values() if "output" in meter.part}


@given(_counts, _rows, _amounts)
def test_a_cost_is_the_exact_sum_of_its_lines_and_each_line_is_its_quantity_at_its_price(
    tokens: dict[str, int], prices: dict[str, str], amounts: dict[str, Quantity]
) -> None:
    found = PriceList([row(**prices)]).priced(used(**tokens, quantities=amounts))
    priced = [line for line in found.charges if line.amount is not None]
    # Fractions have no precision to run out of.
    assert Fraction(found.cost or 0) == sum((Fraction(line.amount or 0) for line in priced), Fraction(0))
    for line in priced:
        assert line.rate is not None and line.amount is not None and line.amount >= 0 and line.reason is None
        exact = Fraction(line.quantity) * Fraction(line.rate) / line.per
        assert abs(Fraction(line.amount) - exact) <= Fraction(1, 2 * 10**12)
        is_rounded = line.meter == "gigabyte_day" or isinstance(line.quantity, Decimal)
        assert is_rounded or exact == Fraction(line.amount)
    unpriced = [line for line in found.charges if line.amount is None]
    assert all(line.reason is not None and line.rate is None for line in unpriced)
    assert (found.cost_reason is None) == (not unpriced)


@given(
    st.lists(
        st.builds(
            row,
            st.sampled_from(["gpt-4o", "gpt-4o*", "o3", "*"]),
            input=st.sampled_from(["1", "2", "3"]),
            service_tier=st.sampled_from([None, "flex"]),
            sku=st.sampled_from([None, "ptu"]),
            deployment=st.sampled_from([None, "d", "e"]),
            since=st.sampled_from([None, Moment(2026, 11, 1, tzinfo=UTC), Moment(2026, 11, 23, tzinfo=UTC)]),
        ),
        max_size=6,
    ),
    st.lists(
        st.builds(
            used,
            response_model=st.sampled_from(["gpt-4o", "gpt-4o-mini", None]),
            requested_model=st.sampled_from(["o3", None]),
            deployment=st.sampled_from(["d", "e"]),
            served_deployment=st.sampled_from(["e", None]),
            spillover_from=st.sampled_from(["d", None]),
            sku=st.sampled_from(["ptu", None]),
            service_tier=st.sampled_from(["default", "flex", None]),
            requested_service_tier=st.sampled_from(["flex", None]),
            started_at=st.sampled_from(
                [
                    datetime(2026, 10, 1, tzinfo=UTC),
                    datetime(2026, 11, 1, tzinfo=UTC),
                    datetime(2026, 12, 1, tzinfo=UTC),
                ]
            ),
        ),
        min_size=2,
        max_size=12,
    ),
)
def test_a_list_that_has_priced_other_calls_prices_as_a_new_one(
    rows: list[PriceSettings], calls: list[CallRecord]
) -> None:
    prices = PriceList(rows)
    assert [prices.priced(call) for call in calls] == [PriceList(rows).priced(call) for call in calls]


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

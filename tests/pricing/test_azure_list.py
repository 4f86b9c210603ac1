"""What Azure lists: a row for each model, kind of deployment, tier and length, below what the configuration says."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from support.call_records import a_call
from tokenweir.pricing import METERS, Price, PriceList, PriceSettings, PricingSettings, azure_list
from tokenweir.records import CallRecord, Quantity

LISTED = PriceList([], PricingSettings(list="azure"))
NOVEMBER = datetime(2026, 11, 25, tzinfo=UTC)


def used(**fields: Any) -> CallRecord:
    usual = {
        "started_at": NOVEMBER,
        "response_model": "gpt-5.4-2026-03-05",
        "requested_model": None,
        "sku": "GlobalStandard",
        "region": "Sweden Central",
        "input_tokens": 1_000_000,
        "output_tokens": 0,
    }
    return a_call(**(usual | fields))


def cost(**fields: Any) -> str:
    priced = LISTED.priced(used(**fields))
    return f"{priced.cost} {priced.cost_reason}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input_tokens": 100_000}, "0.25 None"),
        ({}, "5 None"),  # more than 272,000 tokens of prompt
        ({"input_tokens": 272_000}, "0.68 None"),
        ({"input_tokens": 100_000, "sku": "DataZoneStandard"}, "0.275 None"),
        ({"input_tokens": 100_000, "service_tier": "priority"}, "0.5 None"),
        ({"input_tokens": 100_000, "sku": "GlobalBatch"}, "0.125 None"),
        ({"input_tokens": 100_000, "sku": "mine"}, "None no_price"),
        ({"input_tokens": 100_000, "sku": "ptu"}, "None reserved"),
        ({"input_tokens": 100_000, "started_at": datetime(2026, 1, 1, tzinfo=UTC)}, "None no_price"),
        ({"input_tokens": 100_000, "service_tier": "ultrafast"}, "None no_price_for_tier"),
        ({"input_tokens": 100_000, "response_model": "gpt-4.1", "sku": "Standard"}, "0.242 None"),
        ({"input_tokens": 100_000, "response_model": "gpt-4.1", "sku": "Standard", "region": None}, "0.22 None"),
    ],
)
def test_a_call_costs_what_is_listed_for_its_deployment_tier_length_and_day(
    fields: dict[str, Any], expected: str
) -> None:
    assert cost(**fields) == expected


def test_a_target_that_does_not_say_what_it_is_may_be_taken_for_one_kind() -> None:
    assumed = PriceList([], PricingSettings(list="azure", deployment_type="global"))
    assert assumed.priced(used(sku=None, input_tokens=100_000)).cost == Decimal("0.25")


def test_what_spilled_over_is_charged_as_the_deployment_that_served_it() -> None:
    prices = PriceList([], PricingSettings(list="azure"), skus={"gpt-paygo": "DataZoneStandard"})
    spilled = used(sku="ptu", spillover_from="gpt-ptu", served_deployment="gpt-paygo", input_tokens=100_000)
    assert prices.priced(spilled).cost == Decimal("0.275")


def test_an_answer_that_names_no_model_is_charged_by_that_of_its_deployment() -> None:
    prices = PriceList([], PricingSettings(list="azure"), models={"speech": "tts-1"})
    spoken = a_call(
        **{"deployment": "speech", "response_model": None, "requested_model": "speech", "sku": "GlobalStandard"},
        started_at=NOVEMBER,
        input_tokens=0,
        output_tokens=0,
        usage_source="estimated",
        quantities={"input_characters": Quantity(1_000, "counted")},
    )
    assert prices.priced(spoken).cost == Decimal("0.015")


def test_the_configuration_comes_first_and_the_list_fills_what_it_lacks() -> None:
    contract = PriceSettings("gpt-5.4*", "USD", input=Price("2"), output=Price("12"), id="contract")
    quantities = {"sessions": Quantity(2, "counted")}
    priced = PriceList([contract], PricingSettings(list="azure")).priced(
        used(input_tokens=100_000, cached_input_tokens=40_000, quantities=quantities)
    )
    assert [(line.meter, f"{line.price_id}".partition("@")[0], str(line.rate)) for line in priced.charges] == [
        ("input", "contract", "2"),
        ("cached_input", "contract", "2"),
        ("container_session", "azure:*/global", "0.03"),
    ]
    assert (priced.cost, priced.cost_reason) == (Decimal("0.26"), None)


def test_every_listed_row_says_where_each_of_its_prices_is_from() -> None:
    rows = azure_list()
    names = [listed.row.name for listed in rows]
    assert len(names) == len(set(names)) > 400
    for listed in rows:
        priced = {name for name in METERS if getattr(listed.row, name) is not None}
        assert priced == listed.meters.keys()
        assert listed.row.since is not None
        assert (listed.source in ("azure", "litellm"), listed.confidence in ("high", "medium", "low")) == (True, True)


def test_no_two_listed_rows_are_for_the_same_calls() -> None:
    keys = [
        (row.model, row.deployment_type, row.service_tier, row.input_above, row.since, region)
        for row in (listed.row for listed in azure_list())
        for region in (row.region or "any").split()
    ]
    assert len(keys) == len(set(keys))

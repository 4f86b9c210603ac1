"""A row that would charge two models alike which are listed at different prices is named."""

from typing import Any

import pytest

from tokenweir.pricing import Price, PriceSettings, mixed_rows


def row(model: str, price: str = "2.50", **fields: Any) -> PriceSettings:
    return PriceSettings(model=model, currency="EUR", input=Price(price), output=Price(price), **fields)


def test_a_beginning_that_also_fits_the_small_model_is_named_with_both() -> None:
    (mixed,) = mixed_rows([row("o3-mini"), row("gpt-4o*")])
    assert (mixed.number, mixed.cheap, mixed.dear) == (2, "gpt-4o-mini", "gpt-4o-realtime-preview")
    assert str(mixed) == (
        '"gpt-4o*" fits gpt-4o-mini (listed at $0.15 and $0.6) and also gpt-4o-realtime-preview (listed at $5 and '
        '$20); give each a row of its own, like "gpt-4o-mini*"'
    )


@pytest.mark.parametrize(
    "rows",
    [
        [row("gpt-4o-2024*")],
        [row("gpt-4o")],
        [row("gpt-5.1"), row("o4-mini*")],
        [row("text-embedding-3-s*")],
        [row("nosuch*")],
        [row("gpt-4o*", "0", sku="ptu")],
        [row("o1*"), row("o1-mini*"), row("o1-pro*")],
    ],
)
def test_rows_that_mean_one_model_are_not(rows: list[PriceSettings]) -> None:
    assert [mixed.row.model for mixed in mixed_rows(rows)] == []


def test_a_longer_row_helps_only_where_it_is_for_the_same_calls() -> None:
    small = {"service_tier": "priority"}
    assert [one.number for one in mixed_rows([row("gpt-4.1-n*", **small), row("gpt-4.1-m*", **small), row("gpt-4.1*")])]
    assert not list(mixed_rows([row("gpt-4.1-n*"), row("gpt-4.1-m*"), row("gpt-4.1*", sku="global")]))

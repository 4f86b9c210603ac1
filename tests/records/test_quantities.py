"""Amounts are exact, and what is no amount is none."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.records import LARGEST_AMOUNT, QUANTITIES, Quantity, exact_amount


@given(st.integers(0, LARGEST_AMOUNT - 1))
def test_a_whole_number_stays_one(told: int) -> None:
    assert exact_amount(told) == told


@given(st.decimals(0, 10**9, places=6))
def test_a_decimal_is_the_one_that_was_written(told: Decimal) -> None:
    amount = exact_amount(json.loads(str(told)))
    assert amount == told
    assert isinstance(amount, int) == (told == int(told))


@pytest.mark.parametrize("told", [-1, -0.5, LARGEST_AMOUNT, float("inf"), float("nan"), True, "3", None, [3], {}])
def test_what_is_no_amount_is_none(told: object) -> None:
    assert exact_amount(told) is None


@pytest.mark.parametrize("amount", [0, 3, 2**53, Decimal("8.47"), Decimal("1E-7"), None])
def test_an_amount_comes_back_from_json_and_from_the_journal_as_it_was(amount: int | Decimal | None) -> None:
    quantity = Quantity(amount, "derived")
    for codec in (msgspec.json, msgspec.msgpack):
        again = codec.decode(codec.encode(quantity), type=Quantity)
        assert again == quantity
        assert type(again.amount) is type(amount)


def test_every_name_has_a_unit_a_title_and_a_meaning_of_its_own() -> None:
    assert len({one.title for one in QUANTITIES.values()}) == len(QUANTITIES)
    assert all(one.unit and one.meaning.endswith(".") for one in QUANTITIES.values())

"""Many calls in a few numbers, each of which was seen; a difference is claimed only where the calls show one."""

import pytest
from hypothesis import given, strategies as st

from tokenweir.stopwatch import difference, spread_of

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=30)


@given(VALUES)
def test_the_numbers_are_values_that_were_seen_in_order(values: list[float]) -> None:
    spread = spread_of([*values, None])
    assert spread is not None
    told = [spread.least, spread.p25, spread.median, spread.p75, spread.p90, spread.most]
    assert told == sorted(told)
    assert set(told) <= set(values)
    assert spread.count == len(values)


@given(VALUES)
def test_calls_do_not_differ_from_themselves(values: list[float]) -> None:
    told = difference(values, values)
    assert told is not None
    assert told.amount == 0
    assert not told.is_clear


def test_a_difference_is_clear_where_the_middle_halves_are_apart() -> None:
    low, high = [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 15.0]
    told = difference(low, high)
    assert told is not None
    assert (told.amount, told.is_clear) == (10.0, True)


@pytest.mark.parametrize("count", [1, 4])
def test_a_few_calls_tell_no_difference_from_chance(count: int) -> None:
    told = difference([1.0] * count, [9.0] * 10)
    assert told is not None
    assert told.is_clear is None


def test_what_no_call_has_cannot_be_told() -> None:
    assert spread_of([None, None]) is None
    assert difference([None], [1.0]) is None

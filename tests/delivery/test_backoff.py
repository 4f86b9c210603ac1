"""Pauses that grow, are spread out, obey who asks for more, and end."""

import pytest
from hypothesis import given, strategies as st

from tokenweir.delivery import Denied, Throttled, Unavailable
from tokenweir.delivery.loop import backoff


def test_pauses_double_up_to_a_minute() -> None:
    assert [backoff(failures, Unavailable("x"), 1.0) for failures in range(1, 10)] == [
        *(0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        *(60.0, 60.0),
    ]


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_chance_takes_up_to_half_of_a_pause_away(failures: int, chance: float) -> None:
    longest = backoff(failures, Unavailable("x"), 1.0)
    assert longest / 2 <= backoff(failures, Unavailable("x"), chance) <= longest <= 60


def test_where_a_person_has_to_act_it_is_slow_at_once() -> None:
    assert backoff(1, Denied("x"), 1.0) == 60.0


@pytest.mark.parametrize(("asked", "given"), [(None, 0.5), (0.1, 0.5), (7.0, 7.0), (86_400.0, 900.0)])
def test_who_asks_for_more_gets_it_within_reason(asked: float | None, given: float) -> None:
    assert backoff(1, Throttled("x", asked), 1.0) == given

"""A timeline holds every arrival, and its labels never leave the line."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from tokenweir.cli.streaming.view import axis, plain, timeline

TIMES = st.lists(st.floats(0, 10), min_size=1, max_size=60).map(sorted)


@given(TIMES, st.integers(10, 120))
def test_a_timeline_fits_and_begins_with_waiting(times: Sequence[float], width: int) -> None:
    drawn = timeline(times, 10.0, width)
    assert 1 <= len(drawn) <= width
    waited = len(drawn) - len(drawn.lstrip("·"))
    assert waited == min(width - 1, int(times[0] / 10.0 * width))
    assert "█" in drawn


@given(st.floats(0, 10), st.integers(30, 120))
def test_the_axis_fits(first: float, width: int) -> None:
    drawn = axis(first, 10.0, width, "first token 812 ms", "10.00 s")
    assert len(drawn) <= width
    assert "first token 812 ms" in drawn
    assert drawn.endswith("10.00 s")


def test_more_is_higher() -> None:
    assert timeline([5.0, 8.0, 8.0, 8.1, 8.2], 10.0, 10) == "·····▂  █"
    assert timeline([], 10.0, 10) == ""


@pytest.mark.parametrize(("text", "shown"), [("a\nb\t", "a\\nb\\t"), ("\x1b[2J", "\\x1b[2J"), ("日本 🙂", "日本 🙂")])
def test_a_terminal_obeys_nothing_that_came_from_elsewhere(text: str, shown: str) -> None:
    assert plain(text) == shown

"""Every number is one that was seen, and silences are judged beside the stream's own pace."""

from itertools import accumulate

import pytest
from hypothesis import given, strategies as st

from support.captures import a_call, capture_of, text_pieces, well_ended
from support.streams import USAGE
from tokenweir.stopwatch import measure
from tokenweir.stopwatch.measures import bursts, gaps_of, percentile, stalls

GAPS = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=50)


def times_of(gaps: list[float]) -> list[float]:
    return list(accumulate(gaps))


@given(GAPS, st.floats(0, 1))
def test_a_percentile_is_a_value_that_was_seen_and_enough_are_not_above_it(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


@given(GAPS, st.floats(0, 5))
def test_bursts_divide_the_times_exactly_where_it_was_quiet(gaps: list[float], quiet: float) -> None:
    times = times_of(gaps)
    found = bursts(times, quiet)

    assert sum(burst.count for burst in found) == len(times)
    assert (found[0].began, found[-1].ended) == (times[0], times[-1])
    for earlier, later in zip(found, found[1:], strict=False):
        assert later.began - earlier.ended > quiet
    first = 0
    for burst in found:
        inside = times[first : first + burst.count]
        assert all(b - a <= quiet for a, b in zip(inside, inside[1:], strict=False))
        first += burst.count


@given(GAPS)
def test_a_stall_is_a_gap_that_a_reader_notices_and_that_stands_out(gaps: list[float]) -> None:
    times = times_of(gaps)
    seen = gaps_of(times)
    for stall in stalls(times):
        assert seen is not None
        assert stall.length >= max(0.25, 8 * seen.p50)
        assert stall.at == times[stall.after - 1]
        assert 1 <= stall.caught_up <= len(times) - stall.after


def test_gaps_that_are_all_long_are_the_models_pace_and_no_stalls() -> None:
    assert stalls([0.0, 1.0, 2.0, 3.0, 4.1]) == []


def test_after_a_silence_it_is_counted_what_came_together() -> None:
    before = [0.02 * number for number in range(10)]
    [stall] = stalls([*before, 1.2, 1.2001, 1.2002, 1.22])
    assert (stall.after, stall.caught_up) == (10, 3)
    assert stall.length == pytest.approx(1.2 - before[-1])


def test_first_byte_first_event_and_first_token_are_three_things() -> None:
    pieces = [(0.2, b'data: {"choices":[],"prompt_filter_results":[]}\n\n'), *text_pieces([0.5, 0.6])]
    measures = measure(capture_of(a_call(pieces, head_at=0.1, ended_at=0.7)))
    assert (measures.first_byte, measures.first_event, measures.first_token) == (0.1, 0.2, 0.5)
    assert (measures.last_token, measures.ended, measures.events, measures.outputs) == (0.6, 0.7, 3, 2)


def test_the_rate_leaves_out_what_came_first_and_hidden_reasoning() -> None:
    usage = USAGE.replace(
        b'"completion_tokens":9', b'"completion_tokens":19,"completion_tokens_details":{"reasoning_tokens":10}'
    )
    capture = capture_of(a_call(well_ended([*text_pieces([1.0, 1.5, 2.0]), (2.0, usage)])))
    measures = measure(capture)
    assert measures.usage is not None
    assert (measures.usage.output_tokens, measures.usage.reasoning_tokens) == (19, 10)
    assert measures.tokens_per_second == pytest.approx(9 * 2 / 3)
    assert measures.outputs_per_second == pytest.approx(2.0)


def test_a_call_without_output_has_no_pace() -> None:
    measures = measure(capture_of(a_call([])))
    assert (measures.first_token, measures.gaps, measures.tokens_per_second, measures.stalls) == (None, None, None, [])
    assert measures.usage is None

"""Events gather in groups of a bounded size, all of them, in order."""

from hypothesis import given, strategies as st

from tokenweir.delivery.sinks import JsonEvent
from tokenweir.delivery.sinks.base import by_size


def an_event(size: int) -> JsonEvent:
    return JsonEvent(body=b"x" * size, call_id="1", properties={})


@given(st.lists(st.integers(0, 3_000), max_size=40))
def test_groups_hold_every_event_in_order_and_as_many_as_fit(sizes: list[int]) -> None:
    limit = 2_000
    events = [an_event(size) for size in sizes]
    groups = list(by_size(events, limit))

    assert [event for group in groups for event in group] == events
    assert all(len(group) == 1 or sum(event.size for event in group) <= limit for group in groups)
    for group, following in zip(groups, groups[1:], strict=False):
        assert sum(event.size for event in [*group, following[0]]) > limit

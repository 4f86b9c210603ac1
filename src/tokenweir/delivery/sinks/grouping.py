"""Events that travel together: as many as a number of bytes allows."""

from collections.abc import Iterator, Sequence

from .event import Event

__all__ = ["by_size"]


def by_size(events: Sequence[Event], limit: int) -> Iterator[list[Event]]:
    """Groups of neighbours, each at most ``limit`` bytes together; an event that is larger is alone."""
    group: list[Event] = []
    size = 0
    for event in events:
        if group and size + event.size > limit:
            yield group
            group, size = [], 0
        group.append(event)
        size += event.size
    if group:
        yield group

"""What leaves the house: one message for a sink, whichever wire it goes over."""

import msgspec

__all__ = ["Event"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A whole message, or one part of an event that was too large for its sink.

    ``properties`` go beside the body, where the wire has a place for them (application properties, headers). They
    always hold ``call_id``, ``replica``, ``seq`` and ``shape``; those of a part also ``part`` and ``parts``, where
    the first part is 1. The bodies of all parts, joined in their order, are the event.
    """

    body: bytes
    key: str | None = None
    """Events of one key stay in order, so a sink sends them to one partition; ``None`` leaves it the choice."""
    call_id: str
    properties: dict[str, str]
    content_type: str = "application/json"

"""What leaves the house: one message for a sink, whichever wire it goes over."""

import msgspec

__all__ = ["Event"]

# What a wire needs around the body, and around each property: types, lengths, an offset, a time. The generous side.
_AROUND_EVENT = 128
_AROUND_PROPERTY = 16


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A whole message, or one part of an event that was too large for its sink.

    ``properties`` go beside the body, where the wire has a place for them (application properties, headers). They
    always hold ``call_id``, ``replica``, ``seq`` and ``shape``; those of a part also ``part`` and ``parts``, where
    the first part is 1. The bodies of all parts (in envelopes: their data), joined in their order, are the event.
    """

    body: bytes
    key: str | None = None
    """Events of one key stay in order, so a sink sends them to one partition; ``None`` leaves it the choice."""
    call_id: str
    properties: dict[str, str]
    content_type: str = "application/json"

    @property
    def size(self) -> int:
        """Bytes that it takes on a wire, at most."""
        beside = sum(len(name.encode()) + len(value.encode()) + _AROUND_PROPERTY for name, value in self._beside())
        return _AROUND_EVENT + len(self.body) + beside

    def _beside(self) -> list[tuple[str, str]]:
        return [("key", self.key or ""), ("content-type", self.content_type), *self.properties.items()]

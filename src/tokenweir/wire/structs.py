"""The nouns of this room. msgspec makes their classes, which cannot be compiled: behaviour stands in other modules."""

import msgspec

__all__ = ["MemberPlace", "Members", "UsageFrame"]


class MemberPlace(msgspec.Struct, frozen=True, gc=False):
    """A member that was looked for. Offsets are bytes from the beginning of the body."""

    start: int
    """Where its value begins."""
    end: int
    value: bytes | None
    """The value's bytes; ``None`` where there are more than are kept."""


class Members(msgspec.Struct, frozen=True):
    """What a whole object holds."""

    found: dict[str, MemberPlace]
    others: set[str] | None
    """The other names; ``None`` where they are more, or longer, than are kept."""
    is_empty: bool
    end: int
    """Where the closing brace stands."""


class UsageFrame(msgspec.Struct):
    """What of an event tells whether it is the one that ``include_usage`` adds."""

    choices: list[msgspec.Raw] | None = None
    usage: dict[str, msgspec.Raw] | None = None
    error: msgspec.Raw | None = None

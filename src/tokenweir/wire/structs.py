"""The nouns of this room. msgspec makes their classes, which cannot be compiled: behaviour stands in other modules."""

import msgspec

from .fields import Fields

__all__ = ["MemberPlace", "Members", "RequestHead", "ResponseHead", "UsageFrame"]


class RequestHead(msgspec.Struct, gc=False):
    """A request's head. ``kept`` are the lines that travel on; ``fields`` what this hop reads."""

    method: bytes
    target: bytes
    fields: Fields
    kept: list[bytes]
    content_length: int | None
    """Bytes of body to come; ``None`` when chunked."""
    keep_alive: bool
    http_1_0: bool
    expects_continue: bool

    @property
    def has_body(self) -> bool:
        return self.content_length != 0


class ResponseHead(msgspec.Struct, gc=False):
    """An answer's head."""

    status: int
    line: bytes
    """The status line less its version: ``200 OK``."""
    fields: Fields
    """Of those that somebody behind this room reads. Heads may share it: not to be changed."""
    lines: bytes
    """The lines that travel to the client as they came, each behind its CR LF."""
    content_length: int | None
    """``None``: chunked, or until the connection closes."""
    is_chunked: bool
    keeps_alive: bool
    """Whether the connection stays open behind this answer, as far as its head tells."""
    is_event_stream: bool
    is_followed: bool = False
    """Whether bytes of the body came with the head, so that both can be written at once."""

    @property
    def has_body(self) -> bool:
        return self.content_length != 0 and self.status not in (204, 304)


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

"""One step of a call, as people read it and as API Management's trace shows it."""

from typing import Any, Literal

import msgspec

__all__ = ["Section", "Step"]

Section = Literal["inbound", "backend", "outbound"]


class Step(msgspec.Struct, frozen=True):
    """Times are milliseconds since the call came."""

    section: Section
    source: str
    """Which of the gateway's steps it was: accept, admit, choose, connect, forward or settle."""
    at_ms: float
    message: str
    until_ms: float | None = None
    """Where it was more than a moment: its end."""
    data: dict[str, Any] = {}
    """The particulars, in JSON's values."""

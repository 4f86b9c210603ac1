"""How delivery fails. The messages are for a person, and hold no key and no prompt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import TokenweirError

if TYPE_CHECKING:
    from .sinks.event import Event

__all__ = ["Denied", "Rejected", "SinkError", "Throttled", "Unavailable"]


class SinkError(TokenweirError):
    """Events were not taken, or only some. The message is for a person, and holds no key and no prompt."""


class Unavailable(SinkError):
    """An outage or a timeout: the same events may be sent again later."""


class Throttled(Unavailable):
    """The other side is busy, or a quota is used up for now."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, if the other side said so."""


class Denied(SinkError):
    """A wrong key, a hub that does not exist, a certificate nobody trusts: nothing is sent until a person acts."""


class Rejected(SinkError):
    """These events can never be sent; all others of the call were."""

    def __init__(self, reason: str, events: "Sequence[Event]") -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = tuple(events)

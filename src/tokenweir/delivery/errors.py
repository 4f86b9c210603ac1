"""How delivery fails. The messages are for a person, and hold no key and no prompt."""

from collections.abc import Sequence

from ..errors import TokenweirError
from .base import Event

__all__ = ["DeliveryError", "Denied", "Rejected", "Throttled", "Unavailable"]


class DeliveryError(TokenweirError):
    """A source gave nothing; or a sink took nothing, or only some."""


class Unavailable(DeliveryError):
    """An outage or a timeout: the same may be tried again later."""


class Throttled(Unavailable):
    """The other side is busy, or a quota is used up for now."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, if the other side said so."""


class Denied(DeliveryError):
    """A wrong key, a hub or topic that does not exist, a certificate nobody trusts: a person must act."""


class Rejected(DeliveryError):
    """These events can never be sent; all others of the same sending were."""

    def __init__(self, reason: str, events: Sequence[Event]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = tuple(events)

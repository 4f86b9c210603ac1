"""How a sink is doing, for metrics, the admin API and whoever asks."""

from datetime import datetime

import msgspec

__all__ = ["SinkStatus"]


class SinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the start of this run; events, of which a call that was split has several."""

    name: str
    kind: str
    sent: int = 0
    """Events that the other side has confirmed."""
    dead: int = 0
    """Events that can never be sent and are in the dead letters."""
    retries: int = 0
    """Times that something had to be tried again."""
    behind_bytes: int = 0
    """How much of the journals is not sent yet."""
    last_sent_at: datetime | None = None
    failing_since: datetime | None = None
    """Since when nothing could be sent; ``None`` while all is well."""
    last_error: str | None = None
    """The latest reason why something could not be sent; kept after it has recovered."""

"""Records on their way out: shaped, fitted and sent to Event Hubs, Kafka, a webhook or a file."""

from .base import Denied, Rejected, Sink, SinkError, Throttled, Unavailable
from .event import Event
from .settings import ConnectionSettings, SinkSettings

__all__ = [
    "ConnectionSettings",
    "Denied",
    "Event",
    "Rejected",
    "Sink",
    "SinkError",
    "SinkSettings",
    "Throttled",
    "Unavailable",
]

"""Records on their way out: shaped, fitted and sent to Event Hubs, Kafka, a webhook or a file."""

from .base import Denied, Rejected, Sink, SinkError, Throttled, Unavailable
from .event import Event

__all__ = ["Denied", "Event", "Rejected", "Sink", "SinkError", "Throttled", "Unavailable"]

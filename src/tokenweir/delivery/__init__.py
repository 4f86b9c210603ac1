"""Records on their way from a source (journals, memory, messages of Event Hubs or Kafka) to sinks or to a ledger."""

from .base import Destination, RecordBatch, RecordSource, once
from .errors import DeliveryError, Denied, Rejected, Throttled, Unavailable
from .loop import Delivery
from .messages import Message, MessageBatch, MessageSource
from .outlet import Outlet, SinkStatus
from .pricer import FREE, Pricer

__all__ = [
    "FREE",
    "Delivery",
    "DeliveryError",
    "Denied",
    "Destination",
    "Message",
    "MessageBatch",
    "MessageSource",
    "Outlet",
    "Pricer",
    "RecordBatch",
    "RecordSource",
    "Rejected",
    "SinkStatus",
    "Throttled",
    "Unavailable",
    "once",
]

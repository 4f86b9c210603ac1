"""Records on their way from a source (journals, memory, messages of Event Hubs or Kafka) to sinks or to a ledger."""

from .base import (
    BrokerMessage,
    DeliveryError,
    Denied,
    Destination,
    MessageBatch,
    MessageSource,
    RecordBatch,
    RecordSource,
    Rejected,
    Throttled,
    Unavailable,
    once,
)
from .dead_letters import remove_letters
from .loop import Delivery
from .outlet import Outlet, SinkStatus
from .pricer import FREE, Pricer

__all__ = [
    "FREE",
    "Delivery",
    "DeliveryError",
    "Denied",
    "Destination",
    "BrokerMessage",
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
    "remove_letters",
]

"""Records on their way: from a source (journals, memory, messages of Event Hubs or Kafka) to sinks or a ledger."""

from .dead_letters import DeadLetters
from .errors import Denied, Rejected, SinkError, Throttled, Unavailable
from .loop import Shipper, Source

__all__ = ["DeadLetters", "Denied", "Rejected", "Shipper", "SinkError", "Source", "Throttled", "Unavailable"]

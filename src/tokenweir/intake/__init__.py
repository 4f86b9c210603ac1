"""Records on their way in: received from Event Hubs or Kafka, read, and posted to a ledger."""

from .base import Batch, Message, Source, SourceDenied, SourceError, SourceUnavailable

__all__ = ["Batch", "Message", "Source", "SourceDenied", "SourceError", "SourceUnavailable"]

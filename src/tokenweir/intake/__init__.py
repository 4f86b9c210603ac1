"""Records on their way in: received from Event Hubs or Kafka, and read, so that they can be posted to a ledger."""

from .base import Batch, Message, Source, SourceDenied, SourceError, SourceUnavailable
from .dead_letters import DeadLetterFile
from .inbox import DeadLetter, Inbox, Taken
from .opening import check_intake, open_source
from .settings import IntakeSettings

__all__ = [
    "Batch",
    "DeadLetter",
    "DeadLetterFile",
    "Inbox",
    "IntakeSettings",
    "Message",
    "Source",
    "SourceDenied",
    "SourceError",
    "SourceUnavailable",
    "Taken",
    "check_intake",
    "open_source",
]

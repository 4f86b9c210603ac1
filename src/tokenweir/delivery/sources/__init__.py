"""Records on their way in: received from Event Hubs or Kafka, and read, so that they can be posted to a ledger."""

from .apim import ApimEvents
from .base import Batch, Message, Source, SourceDenied, SourceError, SourceUnavailable
from .dead_letters import DeadLetterFile, DeadLetters
from .formats import Format, WholeRecords
from .opening import check_intake, open_dead_letters, open_source
from .reassembly import DeadLetter, Inbox, Taken
from .settings import IntakeSettings

__all__ = [
    "ApimEvents",
    "Batch",
    "DeadLetter",
    "DeadLetterFile",
    "DeadLetters",
    "Format",
    "Inbox",
    "IntakeSettings",
    "Message",
    "Source",
    "SourceDenied",
    "SourceError",
    "SourceUnavailable",
    "Taken",
    "WholeRecords",
    "check_intake",
    "open_dead_letters",
    "open_source",
]

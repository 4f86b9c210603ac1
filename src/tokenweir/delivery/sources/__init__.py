"""Where records come from: the journals of relays, the memory of a host without a disk, messages of Event Hubs or
Kafka."""

from .apim import ApimEvents
from .formats import MessageFormat, WholeRecords
from .messages import MessageRecords, Reassembled, Reassembler, records_of
from .opening import check_intake, intake_packages, open_dead_messages, open_source
from .settings import IntakeSettings

__all__ = [
    "ApimEvents",
    "IntakeSettings",
    "MessageFormat",
    "MessageRecords",
    "Reassembled",
    "Reassembler",
    "WholeRecords",
    "check_intake",
    "intake_packages",
    "open_dead_messages",
    "open_source",
    "records_of",
]

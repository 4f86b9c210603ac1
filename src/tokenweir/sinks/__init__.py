"""Records on their way out: shaped, fitted and sent to Event Hubs, Kafka, a webhook, a file, a collector of
spans or Application Insights."""

from .base import Denied, Rejected, Sink, SinkError, Throttled, Unavailable
from .dead_letters import DeadLetters
from .event import Event
from .fitting import fit
from .opening import dead_letters_path, open_sink
from .settings import DEAD_LETTERS, ConnectionSettings, SinkSettings
from .shipper import Shipper, Source
from .status import SinkStatus

__all__ = [
    "DEAD_LETTERS",
    "ConnectionSettings",
    "DeadLetters",
    "Denied",
    "Event",
    "Rejected",
    "Shipper",
    "Sink",
    "SinkError",
    "SinkSettings",
    "SinkStatus",
    "Source",
    "Throttled",
    "Unavailable",
    "dead_letters_path",
    "fit",
    "open_sink",
]

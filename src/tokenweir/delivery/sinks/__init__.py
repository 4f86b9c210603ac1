"""Records on their way out: shaped, fitted and sent to Event Hubs, Kafka, a webhook, a file, a collector of
spans or Application Insights."""

from ..errors import Denied, Rejected, SinkError, Throttled, Unavailable
from .base import Sink
from .event import Event
from .formats.fitting import fit
from .opening import dead_letters_path, open_sink
from .settings import DEAD_LETTERS, ConnectionSettings, SinkSettings
from .status import SinkStatus

__all__ = [
    "DEAD_LETTERS",
    "ConnectionSettings",
    "Denied",
    "Event",
    "Rejected",
    "Sink",
    "SinkError",
    "SinkSettings",
    "SinkStatus",
    "Throttled",
    "Unavailable",
    "dead_letters_path",
    "fit",
    "open_sink",
]

"""Where events are sent to: Event Hubs, Kafka, a webhook, a file, a collector of spans, Application Insights.

This table is all that there is to register; `base.py` says what a kind has to be.
"""

from .application_insights import ApplicationInsightsConnection
from .base import (
    DEAD_LETTERS,
    KINDS,
    EventFormat,
    JsonEvent,
    Sink,
    SinkConnection,
    SinkEvent,
    SinkSettings,
    WholeEvent,
    chooses_dead_letters,
    dead_letters_place,
    sink_filter,
)
from .event_hubs import EventHubsConnection
from .file import FileConnection
from .kafka import KafkaConnection
from .otlp import OtlpConnection
from .webhook import WebhookConnection

__all__ = [
    "DEAD_LETTERS",
    "KINDS",
    "ApplicationInsightsConnection",
    "SinkEvent",
    "EventFormat",
    "EventHubsConnection",
    "FileConnection",
    "JsonEvent",
    "KafkaConnection",
    "OtlpConnection",
    "Sink",
    "SinkConnection",
    "SinkSettings",
    "WebhookConnection",
    "WholeEvent",
    "chooses_dead_letters",
    "dead_letters_place",
    "sink_filter",
]

KINDS |= {
    "event_hubs": EventHubsConnection,
    "kafka": KafkaConnection,
    "webhook": WebhookConnection,
    "file": FileConnection,
    "otlp": OtlpConnection,
    "application_insights": ApplicationInsightsConnection,
}

"""Settings → the sink they describe. What only one kind needs is imported here, when that kind is opened."""

from collections.abc import Mapping
from pathlib import Path

from .base import Sink
from .settings import DEAD_LETTERS, SinkSettings

__all__ = ["dead_letters_path", "open_sink"]


def open_sink(settings: SinkSettings, environ: Mapping[str, str]) -> Sink:
    """The sink, not connected yet. What is missing or wrong is said by its ``open``."""
    match settings.kind:
        case "file":
            from .file import FileSink

            return FileSink(settings.connection, environ)
        case "webhook":
            from .webhook import WebhookSink

            return WebhookSink(settings.connection, environ)
        case "otlp":
            from .otlp.sink import OtlpSink

            return OtlpSink(settings.connection, environ, may_quote=not settings.content)
        case "application_insights":
            from .application_insights.sink import ApplicationInsightsSink

            return ApplicationInsightsSink(settings.connection, environ)
        case "event_hubs":
            from .event_hubs import EventHubsSink

            return EventHubsSink(settings.connection, environ)
        case "kafka":
            from .kafka import KafkaSink

            return KafkaSink(settings.connection, environ)


def dead_letters_path(settings: SinkSettings) -> Path:
    """Where this sink's dead letters are."""
    return Path(settings.dead_letters or DEAD_LETTERS.format(name=settings.name))

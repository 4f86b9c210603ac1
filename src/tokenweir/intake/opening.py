"""Settings → the source they describe. What only one kind needs is imported here, when that kind is opened."""

from collections.abc import Mapping

from ..errors import ConfigError
from .base import Source
from .kafka_address import kafka_address
from .settings import IntakeSettings

__all__ = ["check_intake", "open_source"]


def check_intake(settings: IntakeSettings, environ: Mapping[str, str]) -> None:
    """`ConfigError`, with what is wrong with the table, if it does not say where messages come from."""
    if settings.kind == "event_hubs":
        raise ConfigError('`kind = "event_hubs"` is not there yet; Event Hubs also speaks `kind = "kafka"`')
    kafka_address(settings, environ)


def open_source(settings: IntakeSettings, environ: Mapping[str, str]) -> Source:
    """The source, not connected yet. `ConfigError` if the settings are wrong, or a package is missing."""
    try:
        check_intake(settings, environ)
    except ConfigError as error:
        raise ConfigError(f"[intake] {error}") from error
    try:
        from .kafka import KafkaSource
    except ModuleNotFoundError as error:
        raise ConfigError(f"[intake] needs {error.name}; run: pip install 'tokenweir[kafka]'") from error
    return KafkaSource(kafka_address(settings, environ), settings.group, settings.session_timeout)

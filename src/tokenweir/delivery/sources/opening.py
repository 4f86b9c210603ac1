"""Settings → the source they describe. What only one kind needs is imported here, when that kind is opened."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import ConfigError
from ...records import Clock
from .base import Source
from .dead_letters import DeadLetterFile, DeadLetters
from .event_hubs.address import hub_address, storage_connection_string
from .kafka.address import kafka_address
from .settings import IntakeSettings

__all__ = ["check_intake", "open_dead_letters", "open_source"]

_EXTRAS = {"event_hubs": "azure", "kafka": "kafka"}

_HUB_GROUP = "$Default"
_TOPIC_GROUP = "tokenweir"


def check_intake(settings: IntakeSettings, environ: Mapping[str, str]) -> None:
    """`ConfigError`, with what is wrong with the table, if it does not say where messages come from."""
    if settings.kind == "kafka":
        kafka_address(settings, environ)
        return
    hub_address(settings, environ)
    if settings.checkpoints_container is not None:
        storage_connection_string(settings, environ)


def open_source(settings: IntakeSettings, environ: Mapping[str, str], position: Callable[[str], str | None]) -> Source:
    """The source, not connected yet. ``position`` is the ledger's, for a hub without checkpoints of its own.

    `ConfigError` if the settings are wrong, or a package is missing.
    """
    try:
        check_intake(settings, environ)
        return _kafka(settings, environ) if settings.kind == "kafka" else _event_hubs(settings, environ, position)
    except ConfigError as error:
        raise ConfigError(f"[intake] {error}") from error
    except ModuleNotFoundError as error:
        extra = _EXTRAS[settings.kind]
        raise ConfigError(f"[intake] needs {error.name}; run: pip install 'tokenweir[{extra}]'") from error


def open_dead_letters(settings: IntakeSettings, clock: Clock) -> DeadLetters:
    """Where ``dead_letters`` says: a file, or a container of blob storage. `ConfigError` if it cannot be opened."""
    where = settings.dead_letters
    if not where.startswith(("https://", "http://")):
        return DeadLetterFile(Path(where), clock)
    try:
        from .dead_letter_blobs import DeadLetterBlobs

        return DeadLetterBlobs(where, clock, client_id=settings.client_id, ca_bundle=settings.ca_bundle)
    except ConfigError as error:
        raise ConfigError(f"[intake] dead_letters: {error}") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"[intake] dead_letters needs {error.name}; run: pip install 'tokenweir[azure]'") from error


def _kafka(settings: IntakeSettings, environ: Mapping[str, str]) -> Source:
    from .kafka.source import KafkaSource

    return KafkaSource(kafka_address(settings, environ), settings.group or _TOPIC_GROUP, settings.session_timeout)


def _event_hubs(settings: IntakeSettings, environ: Mapping[str, str], position: Callable[[str], str | None]) -> Source:
    from .event_hubs.checkpoints import BlobCheckpoints, Checkpoints, CheckpointsAddress, LedgerPositions
    from .event_hubs.source import EventHubsSource

    checkpoints: Checkpoints = LedgerPositions(position)
    if settings.checkpoints_container is not None:
        address = CheckpointsAddress(
            container=settings.checkpoints_container,
            connection_string=storage_connection_string(settings, environ),
            account_url=settings.checkpoints_account,
            client_id=settings.client_id,
            ca_bundle=settings.ca_bundle,
        )
        checkpoints = BlobCheckpoints(address)
    return EventHubsSource(hub_address(settings, environ), settings.group or _HUB_GROUP, checkpoints)

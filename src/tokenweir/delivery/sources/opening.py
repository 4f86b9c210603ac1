"""Settings → the source they describe. What only one kind needs is imported where that kind is opened."""

from collections.abc import Callable, Iterator, Mapping

from ...errors import ConfigError
from ...records import Clock
from ..base import MessageSource
from ..dead_letters import DeadMessages
from ..letter_files import open_letters
from . import event_hubs, kafka
from .settings import IntakeSettings

__all__ = ["check_intake", "intake_packages", "open_dead_messages", "open_source"]

_KINDS = {"event_hubs": event_hubs, "kafka": kafka}
_EXTRAS = {"event_hubs": ("azure", "azure.eventhub"), "kafka": ("kafka", "aiokafka")}
"""The extra that a kind needs, and the package that it brings."""


def check_intake(settings: IntakeSettings, environ: Mapping[str, str]) -> None:
    """`ConfigError`, with what is wrong with the table, if it does not say where messages come from."""
    _KINDS[settings.kind].check(settings, environ)


def intake_packages(settings: IntakeSettings) -> Iterator[tuple[str, str, str]]:
    """The setting that needs a package, our extra with it, a module of it; nothing where nothing is taken in."""
    if not (settings.servers or settings.connection_string_env or settings.namespace):
        return
    yield "kind", *_EXTRAS[settings.kind]
    if settings.managed_identity:
        yield "managed_identity", "azure", "azure.identity"
    if settings.dead_letters.startswith(("https://", "http://")):
        yield "dead_letters", "azure", "azure.storage.blob"


def open_source(
    settings: IntakeSettings, environ: Mapping[str, str], position: Callable[[str], str | None]
) -> MessageSource:
    """The source, not connected yet. ``position`` is the ledger's, for a hub without checkpoints of its own.

    `ConfigError` if the settings are wrong, or a package is missing.
    """
    try:
        check_intake(settings, environ)
        source: MessageSource = _KINDS[settings.kind].open_source(settings, environ, position)
        return source
    except ConfigError as error:
        raise ConfigError(f"[intake] {error}") from error
    except ModuleNotFoundError as error:
        extra, _ = _EXTRAS[settings.kind]
        raise ConfigError(f"[intake] needs {error.name}; run: pip install 'tokenweir[{extra}]'") from error


def open_dead_messages(settings: IntakeSettings, clock: Clock) -> DeadMessages:
    """Where ``dead_letters`` says: a file, or a container of blob storage. `ConfigError` if it cannot be opened."""
    store = open_letters(
        settings.dead_letters,
        clock,
        setting="[intake] dead_letters",
        client_id=settings.client_id,
        ca_bundle=settings.ca_bundle,
    )
    return DeadMessages(store, clock)

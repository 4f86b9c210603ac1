"""A hub of Azure Event Hubs as a source: where it is, how to sign in, and who keeps how far it has been read.

Texts of errors are what is wrong with the ``[intake]`` table; whoever shows them says so in front.
"""

from collections.abc import Callable, Mapping

from ....errors import ConfigError
from ...base import MessageSource
from ...event_hub import HubAddress
from ..settings import IntakeSettings, secret

__all__ = ["check", "hub_address", "open_source", "storage_connection_string"]

_GROUP = "$Default"


def check(settings: IntakeSettings, environ: Mapping[str, str]) -> None:
    """`ConfigError` if the settings do not say where messages come from."""
    hub_address(settings, environ)
    if settings.checkpoints_container is not None:
        storage_connection_string(settings, environ)


def open_source(
    settings: IntakeSettings, environ: Mapping[str, str], position: Callable[[str], str | None]
) -> MessageSource:
    """The source, not connected yet."""
    from .checkpoints import BlobCheckpoints, Checkpoints, CheckpointsAddress, LedgerPositions
    from .source import EventHubsSource

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
    return EventHubsSource(hub_address(settings, environ), settings.group or _GROUP, checkpoints)


def hub_address(settings: IntakeSettings, environ: Mapping[str, str]) -> HubAddress:
    """`ConfigError` if the settings do not make an address."""
    variable = settings.connection_string_env
    if (variable is None) == (settings.namespace is None):
        raise ConfigError(
            "either `connection_string_env` is needed, or `namespace` with `managed_identity = true`, to say where "
            "messages come from"
        )
    if settings.namespace is not None and not settings.managed_identity:
        raise ConfigError("`managed_identity` must be true with `namespace`: there is no other way to sign in to it")
    address = HubAddress(
        connection_string=secret(variable, "connection_string_env", environ) if variable is not None else None,
        namespace=settings.namespace,
        hub=settings.hub,
        client_id=settings.client_id,
        ca_bundle=settings.ca_bundle,
        websockets=settings.websockets,
    )
    address.check()
    return address


def storage_connection_string(settings: IntakeSettings, environ: Mapping[str, str]) -> str | None:
    """Of the account with the checkpoints; ``None`` if an identity signs in there. `ConfigError` if neither can be."""
    variable, account = settings.checkpoints_connection_string_env, settings.checkpoints_account
    if (variable is None) == (account is None):
        raise ConfigError(
            "`checkpoints_container` needs either `checkpoints_account` or `checkpoints_connection_string_env`"
        )
    return secret(variable, "checkpoints_connection_string_env", environ) if variable is not None else None

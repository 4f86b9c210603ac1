"""From an address to a client of the official SDK.

The SDK does not try again by itself (it does so once, whatever it is told): whoever uses it knows better when to.
It is loaded here, when the first client is made, because most who import this room will never send to a hub.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from ...errors import ConfigError
from ...proxies import proxy_url
from .address import HubAddress

__all__ = ["HubClient", "Connected", "AzureIdentity", "connect"]

_log = logging.getLogger(__name__)

# A goodbye over a connection that is gone would wait for an answer.
_CLOSE_SECONDS = 5.0


class HubClient(Protocol):
    """What the SDK's producer and consumer have in common."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=HubClient)


class Connected(Generic[C]):
    """A client and the credential that it signs in with, closed together. Nothing is sent before the first use."""

    def __init__(self, client: C, identity: "AzureIdentity | None") -> None:
        self.client = client
        self._identity = identity

    async def close(self) -> None:
        """Lets go of everything; raises nothing."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.client.close()
        except Exception as error:  # whatever it was, the connection is of no use any more
            _log.debug("an Event Hubs client did not close cleanly: %s", type(error).__name__)
        if self._identity is not None:
            self._identity.close()


class AzureIdentity:
    """This machine's identity as the SDK's asynchronous clients want it.

    The blocking credential runs in a thread: it is asked about once an hour, and needs no second HTTP client.
    """

    def __init__(self, client_id: str | None) -> None:
        from azure.identity import DefaultAzureCredential

        options: dict[str, Any] = {"managed_identity_client_id": client_id} if client_id else {}
        try:
            self._credential = DefaultAzureCredential(**options)
        except ValueError as error:
            raise ConfigError(f"the AZURE_… variables of this process describe no identity: {error}") from error

    async def get_token(self, *scopes: str, **_: object) -> Any:
        return await asyncio.to_thread(self._credential.get_token, *scopes)

    def close(self) -> None:
        self._credential.close()


def _transport(address: HubAddress) -> dict[str, Any]:
    if address.endpoint is None and not address.websockets:
        return {}
    from azure.eventhub import TransportType

    kind = TransportType.AmqpOverWebsocket if address.websockets else TransportType.Amqp
    options: dict[str, Any] = {"transport_type": kind}
    if address.endpoint is not None:
        options["custom_endpoint_address"] = address.endpoint
    server = urlsplit(address.endpoint or f"sb://{address.place()[0]}")
    proxy = proxy_url(server.hostname or "", server.port or 443) if address.websockets else None
    if proxy:
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        # The SDK wants the scheme with the name.
        options["http_proxy"] = {
            "proxy_hostname": f"{parts.scheme}://{parts.hostname}",
            "proxy_port": parts.port or 8080,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
        }
    return options


def connect(kind: type[C], address: HubAddress, **options: Any) -> Connected[C]:
    """A client of this kind for a hub. `ConfigError` in words for a person if the address is none."""
    address.check()
    options = {"retry_total": 0, "retry_backoff_factor": 0} | options
    if address.ca_bundle is not None:
        if not Path(address.ca_bundle).is_file():
            raise ConfigError(f"ca_bundle {address.ca_bundle} is not there; it has to be a PEM file")
        options["connection_verify"] = address.ca_bundle
    options |= _transport(address)
    make: Any = kind
    if address.connection_string is None:
        namespace, hub = address.place()
        identity = AzureIdentity(address.client_id)
        place = {"fully_qualified_namespace": namespace, "eventhub_name": hub}
        return Connected(make(**place, credential=identity, **options), identity)
    try:
        named = {"eventhub_name": address.hub} if address.hub else {}
        return Connected(make.from_connection_string(address.connection_string, **named, **options), None)
    except ValueError as error:
        # The SDK's texts name the parts that are missing, but could one day quote the others.
        raise ConfigError(
            f"the connection string for {address} cannot be used; copy it whole from the portal: "
            "Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"
        ) from error

"""Where a hub of Azure Event Hubs is, how to sign in there, and a client of the official SDK for it; for the sink that
sends and the source that receives.

The SDK does not try again by itself (it does so once, whatever it is told): whoever uses it knows better when to.
It is loaded here, when the first client is made, because most who import this room will never send to a hub."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from ..errors import ConfigError, quoted
from ..proxies import proxy_url

__all__ = ["AzureIdentity", "HubConnection", "HubAddress", "HubClient", "connect"]


class HubAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``connection_string`` and ``namespace``; with the latter, this machine's identity signs in."""

    connection_string: str | None = None
    namespace: str | None = None
    """``my-namespace.servicebus.windows.net``"""
    hub: str | None = None
    """The hub's name, where the connection string has no ``EntityPath``."""
    client_id: str | None = None
    """Which of several managed identities."""
    ca_bundle: str | None = None
    """A PEM file to trust instead of the usual authorities."""
    endpoint: str | None = None
    """``sb://address:port`` to connect to instead of the namespace's own, where something stands in front of it. Its
    certificate is for that address."""
    websockets: bool = False
    """Speak AMQP inside WebSockets on port 443, through the environment's HTTPS proxy if there is one."""

    def __repr__(self) -> str:
        return f"<HubAddress {self}>"

    def __str__(self) -> str:
        """For a person, without the key."""
        namespace, hub = self.place()
        return f"the hub {quoted(hub)} of {namespace}"

    @property
    def is_identity(self) -> bool:
        """Whether a managed identity signs in, and not a key."""
        return self.connection_string is None

    def place(self) -> tuple[str, str]:
        """Namespace and hub, as far as they are given. Keys are looked for as the SDK does: in any case."""
        parts = [part.partition("=") for part in (self.connection_string or "").split(";")]
        fields = {name.strip().lower(): value.strip() for name, _, value in parts}
        server = fields.get("endpoint", "").partition("://")[2].strip("/")
        return self.namespace or server or "?", self.hub or fields.get("entitypath") or "?"

    def _entity_path(self) -> str | None:
        parts = (part.partition("=") for part in (self.connection_string or "").split(";"))
        return next((value.strip() for name, _, value in parts if name.strip().lower() == "entitypath"), None)

    def check(self) -> None:
        """`ConfigError` in words for a person if no client can be made of this."""
        namespace, hub = self.place()
        if namespace == "?":
            raise ConfigError(
                "the Event Hubs connection string has no Endpoint; copy it whole from the portal "
                "(the namespace, Shared access policies): Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"
                if self.connection_string is not None
                else "neither a connection string nor a namespace says where the hub is"
            )
        if hub == "?":
            raise ConfigError(f"no hub of {namespace} is named: set hub, or add ;EntityPath=… to the connection string")
        path = self._entity_path()
        if path and path != hub:
            raise ConfigError(
                f"the connection string is for the hub {quoted(path)} (its EntityPath), and {quoted(hub)} is named "
                "beside it; leave one of them out, or name the same hub"
            )


_log = logging.getLogger(__name__)

# A goodbye over a connection that is gone would wait for an answer.
_CLOSE_SECONDS = 5.0


class HubClient(Protocol):
    """What the SDK's producer and consumer have in common."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=HubClient)


class HubConnection(Generic[C]):
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


def connect(kind: type[C], address: HubAddress, **options: Any) -> HubConnection[C]:
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
        return HubConnection(make(**place, credential=identity, **options), identity)
    try:
        named = {"eventhub_name": address.hub} if address.hub else {}
        return HubConnection(make.from_connection_string(address.connection_string, **named, **options), None)
    except ValueError as error:
        # The SDK's texts name the parts that are missing, but could one day quote the others.
        raise ConfigError(
            f"the connection string for {address} cannot be used; copy it whole from the portal: "
            "Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"
        ) from error

"""Where a hub is, and how to sign in there."""

import msgspec

from ...errors import ConfigError, quoted

__all__ = ["HubAddress"]


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

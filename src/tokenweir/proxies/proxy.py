"""The address of a forward proxy, taken apart once."""

import base64
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec

from ..errors import ConfigError

__all__ = ["Proxy"]


class Proxy(msgspec.Struct, frozen=True):
    """``http://[user:password@]host[:port]``. It shows host and port only."""

    host: str
    port: int
    user: str | None = None
    password: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Proxy {self}>"

    @property
    def authorization(self) -> str | None:
        """What goes into ``Proxy-Authorization``."""
        if self.user is None:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    @classmethod
    def parse(cls, url: str) -> Self:
        """A URL, or ``host:port`` alone. User and password are percent-encoded in it, where they hold ``@:/%``.

        Raises ``ConfigError``, which does not repeat them.
        """
        url = url.strip()
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"the proxy's address cannot be read; {_USE}") from error
        if parts.scheme != "http":
            raise ConfigError(f"a proxy that is spoken to by {parts.scheme}:// is not supported; {_USE}")
        if not host:
            raise ConfigError(f"the proxy's address names no host; {_USE}")
        user = None if parts.username is None else unquote(parts.username)
        return cls(host, port or 8080, user, unquote(parts.password or ""))


_USE = "use one like http://proxy.example:3128, or name the upstream's host in NO_PROXY"

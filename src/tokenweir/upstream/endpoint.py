"""An upstream's address, taken apart once."""

import re
from typing import Self
from urllib.parse import urlsplit

import msgspec

from ..errors import ConfigError, quoted
from ..proxies import Proxy, proxy_url

__all__ = ["Endpoint"]


class Endpoint(msgspec.Struct, frozen=True):
    """``https://host[:port][/base]``; ``base`` has no slash at its end."""

    host: str
    port: int
    tls: bool
    base: bytes
    authority: bytes
    """What goes into ``Host``."""

    @classmethod
    def parse(cls, url: str) -> Self:
        try:
            parts = urlsplit(url.strip())
            port = parts.port
            authority = (parts.hostname or "").encode("idna")
            base = parts.path.rstrip("/").encode("ascii")
        except ValueError as error:
            raise ConfigError(f"the endpoint {quoted(url)} is not a URL: {error}") from error
        is_plain = re.search(rb"[^!-~]", authority + base) is None
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
            raise ConfigError(f"the endpoint {quoted(url)} must be like https://my-resource.openai.azure.com")
        if parts.query or parts.fragment or parts.username:
            raise ConfigError(f"the endpoint of {parts.hostname} must have no query, fragment or user name")
        tls = parts.scheme == "https"
        if b":" in authority:
            authority = b"[" + authority + b"]"
        if port is not None and port != (443 if tls else 80):
            authority += b":%d" % port
        return cls(parts.hostname, port or (443 if tls else 80), tls, base, authority)

    def proxy(self, configured: str | None) -> Proxy | None:
        """The proxy on the way: the one ``configured`` (``""``: none), else the environment's; only for TLS.

        Raises ``ConfigError`` where it is none that can be used.
        """
        if not self.tls or configured == "":
            return None
        url = proxy_url(self.host, self.port) if configured is None else configured
        return Proxy.parse(url) if url else None

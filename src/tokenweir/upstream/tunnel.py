"""Through a forward proxy to a TLS upstream: CONNECT (RFC 9110, 9.3.6), then TLS inside."""

import asyncio
import base64
import ssl
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from .connection import UpstreamConnection
from .endpoint import Endpoint
from .tls import start_tls

__all__ = ["TunnelRefused", "connect_through", "proxy_for"]

_MAX_ANSWER = 16 * 1024


def proxy_for(endpoint: Endpoint, configured: str | None) -> str | None:
    """The proxy to use: the upstream's own setting, else ``HTTPS_PROXY`` less ``NO_PROXY``; only for TLS."""
    if not endpoint.tls or configured == "":
        return None
    if configured is not None:
        return configured
    proxy = getproxies().get("https")
    return proxy if proxy and not proxy_bypass(endpoint.host) else None


class _Connect(asyncio.Protocol):
    """Asks the proxy for a tunnel and waits for its word."""

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answer.done():
            return
        if b"\r\n\r\n" in self._received:
            self._answer.set_result(self._received)
        elif len(self._received) > _MAX_ANSWER:
            self._answer.set_exception(OSError("the proxy's answer is too long"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the proxy closed the connection"))


class TunnelRefused(OSError):
    """The proxy is there, and gives no tunnel."""

    mend = "allow the upstream's host on the proxy, or name it in NO_PROXY"


async def connect_through(
    proxy: str, endpoint: Endpoint, context: ssl.SSLContext, connection: UpstreamConnection
) -> None:
    """Connects ``connection`` to ``endpoint`` through ``proxy``. Raises ``OSError``; ``TunnelRefused`` is one."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Connect(answer), parts.hostname or "", parts.port or 8080)
    try:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        target = f"{host}:{endpoint.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append("Proxy-Authorization: Basic " + base64.b64encode(pair.encode()).decode())
        transport.write("\r\n".join([*lines, "", ""]).encode())
        status = (await answer).split(b" ", 2)[1:2]
        if status != [b"200"]:
            shown = status[0].decode("ascii", "replace") if status else "nothing"
            raise TunnelRefused(f"{parts.hostname}:{parts.port or 8080} answered {shown}")
        stayed = await start_tls(transport, connection, context, endpoint.host)
    except BaseException:
        transport.abort()
        raise
    if not stayed:
        raise TunnelRefused(f"{parts.hostname}:{parts.port or 8080} closed it during the TLS handshake")

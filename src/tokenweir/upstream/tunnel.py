"""Through a forward proxy to a TLS upstream: CONNECT, then TLS inside."""

import asyncio
import ssl

from ..proxies import Proxy, TunnelAnswer, TunnelRefused, connect_request
from .connection import UpstreamConnection
from .endpoint import Endpoint
from .tls import start_tls

__all__ = ["connect_through"]


class _Connect(asyncio.Protocol):
    """Waits for the proxy's word; ``opened`` is done when there is a tunnel."""

    def __init__(self, proxy: Proxy, opened: asyncio.Future[None]) -> None:
        self._answer = TunnelAnswer(proxy)
        self._opened = opened

    def data_received(self, data: bytes) -> None:
        if self._opened.done():
            return
        try:
            if self._answer.feed(data):
                self._opened.set_result(None)
        except TunnelRefused as error:
            self._opened.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(error or self._answer.closed())


async def connect_through(
    proxy: Proxy, endpoint: Endpoint, context: ssl.SSLContext, connection: UpstreamConnection
) -> None:
    """Connects ``connection`` to ``endpoint`` through ``proxy``. Raises ``OSError``; ``TunnelRefused`` is one."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()
    try:
        transport, _ = await loop.create_connection(lambda: _Connect(proxy, opened), proxy.host, proxy.port)
    except BaseException:
        opened.cancel()  # a connection that stood at the last moment must not tell its end to nobody
        raise
    try:
        transport.write(connect_request(proxy, endpoint.host, endpoint.port))
        await opened
        stayed = await start_tls(transport, connection, context, endpoint.host)
    except BaseException:
        transport.abort()
        raise
    if not stayed:
        raise TunnelRefused(f"{proxy} closed it during the TLS handshake")

"""A connection to an endpoint, step by step, with the time that each step took.

Through ``HTTPS_PROXY`` where the environment names one and the endpoint is TLS, as the official SDKs do.
"""

import socket
import ssl

from ..errors import ConfigError
from ..proxies import Proxy, open_tunnel
from ..records import Clock
from ..upstream import Endpoint
from ..upstream.tunnel import proxy_for
from .moments import Connected

__all__ = ["Unreachable", "connect"]


class Unreachable(Exception):
    """There is no way to the endpoint; the text says which step failed and why."""


def connect(endpoint: Endpoint, timeout: float, clock: Clock) -> tuple[socket.socket, Connected]:
    """A socket on which nothing has been said. Raises ``Unreachable``."""
    proxy = _proxy(endpoint)
    host, port = (endpoint.host, endpoint.port) if proxy is None else (proxy.host, proxy.port)
    began = clock.monotonic()
    addresses = _look_up(host, port)
    found = clock.monotonic()
    connection = _reach(endpoint, proxy, addresses, timeout)
    reached = clock.monotonic()
    address = str(connection.getpeername()[0])
    secured = None
    if endpoint.tls:
        connection = _secure(connection, endpoint)
        secured = clock.monotonic() - reached
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    through = None if proxy is None else str(proxy)
    tls = None if secured is None else round(secured, 6)
    return connection, Connected(address, round(found - began, 6), round(reached - found, 6), tls, through)


def _proxy(endpoint: Endpoint) -> Proxy | None:
    try:
        return proxy_for(endpoint, None)
    except ConfigError as error:
        raise Unreachable(f"HTTPS_PROXY or ALL_PROXY: {error}") from error


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"the name {host} has no address here ({_said(error)})") from error
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _reach(endpoint: Endpoint, proxy: Proxy | None, addresses: list[str], timeout: float) -> socket.socket:
    """The first address that answers; through a proxy, with its tunnel open."""
    failure: Exception | None = None
    for address in addresses:
        try:
            connection = socket.create_connection((address, proxy.port if proxy else endpoint.port), timeout)
        except OSError as error:
            failure = error
            continue
        if proxy is None:
            return connection
        try:
            open_tunnel(connection, proxy, endpoint.host, endpoint.port)
        except OSError as error:
            connection.close()
            failure = error
            continue
        return connection
    way = f"no way through the proxy {proxy}" if proxy else f"no connection to {endpoint.host}:{endpoint.port}"
    raise Unreachable(f"{way} ({_said(failure)})") from failure


def _secure(connection: socket.socket, endpoint: Endpoint) -> socket.socket:
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=endpoint.host)
    except OSError as error:
        connection.close()
        raise Unreachable(f"its certificate or the handshake is refused ({_said(error)})") from error


def _said(error: Exception | None) -> str:
    """The reason, without the noise of its type and number."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, TimeoutError):
        return "timed out"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__

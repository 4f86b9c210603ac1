"""A connection to an endpoint, step by step, with the time that each step took.

Through ``HTTPS_PROXY`` where the environment names one and the endpoint is TLS, as the official SDKs do.
"""

import http.client
import socket
import ssl
from base64 import b64encode
from urllib.parse import unquote, urlsplit

import msgspec

from ..records import Clock
from ..upstream import Endpoint
from ..upstream.tunnel import proxy_for
from .moments import Connected

__all__ = ["Unreachable", "connect"]


class Unreachable(Exception):
    """There is no way to the endpoint; the text says which step failed and why."""


class _Stop(msgspec.Struct, frozen=True):
    """What is connected to first: the endpoint, or the proxy before it."""

    host: str
    port: int
    proxy: str | None = None
    authorization: str | None = None


def connect(endpoint: Endpoint, timeout: float, clock: Clock) -> tuple[socket.socket, Connected]:
    """A socket on which nothing has been said. Raises ``Unreachable``."""
    stop = _first_stop(endpoint)
    began = clock.monotonic()
    addresses = _look_up(stop)
    found = clock.monotonic()
    connection = _reach(endpoint, stop, addresses, timeout)
    reached = clock.monotonic()
    address = str(connection.getpeername()[0])
    secured = None
    if endpoint.tls:
        connection = _secure(connection, endpoint)
        secured = clock.monotonic() - reached
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = None if secured is None else round(secured, 6)
    return connection, Connected(address, round(found - began, 6), round(reached - found, 6), tls, stop.proxy)


def _first_stop(endpoint: Endpoint) -> _Stop:
    proxy = proxy_for(endpoint, None)
    if proxy is None:
        return _Stop(endpoint.host, endpoint.port)
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or 8080
    authorization = None
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(pair.encode()).decode()
    return _Stop(host, port, f"{host}:{port}", authorization)


def _look_up(stop: _Stop) -> list[str]:
    try:
        found = socket.getaddrinfo(stop.host, stop.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"the name {stop.host} has no address here ({_said(error)})") from error
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _reach(endpoint: Endpoint, stop: _Stop, addresses: list[str], timeout: float) -> socket.socket:
    """The first address that answers; through a proxy, with its tunnel open."""
    failure: Exception | None = None
    for address in addresses:
        connection = http.client.HTTPConnection(address, stop.port, timeout=timeout)
        if stop.proxy is not None:
            headers = {"Proxy-Authorization": stop.authorization} if stop.authorization else {}
            connection.set_tunnel(endpoint.host, endpoint.port, headers)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            failure = error
            continue
        reached: socket.socket = connection.sock
        return reached
    way = f"no way through the proxy {stop.proxy}" if stop.proxy else f"no connection to {stop.host}:{stop.port}"
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

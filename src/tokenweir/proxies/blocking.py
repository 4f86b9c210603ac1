"""A blocking connection, made step by step, through a proxy where there is one; for tools that say which step failed.

The relay's connections are asynchronous (``upstream/``), and a fault of theirs must not hide here.
"""

import socket
import ssl
from typing import Literal

from .proxy import Proxy
from .tunnel import open_tunnel

__all__ = ["NoConnection", "look_up", "reach", "reason", "secure"]


class NoConnection(Exception):
    """A step has failed; the text says which, and why."""

    def __init__(self, step: Literal["name", "connection", "proxy", "tls"], text: str) -> None:
        super().__init__(text)
        self.step = step


def look_up(host: str, port: int) -> list[str]:
    """The addresses of ``host``, each once. Raises ``NoConnection``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NoConnection("name", f"the name {host} has no address here ({reason(error)})") from error
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def reach(host: str, port: int, proxy: Proxy | None, addresses: list[str], timeout: float) -> socket.socket:
    """A connection to the first of ``addresses`` that answers, which are the proxy's where there is one; then with a
    tunnel to ``host``. ``timeout`` in seconds, also for what is done with the connection. Raises ``NoConnection``."""
    failure: OSError | None = None
    for address in addresses:
        try:
            connection = socket.create_connection((address, proxy.port if proxy else port), timeout)
        except OSError as error:
            failure = error
            continue
        if proxy is None:
            return connection
        try:
            open_tunnel(connection, proxy, host, port)
        except OSError as error:
            connection.close()
            failure = error
            continue
        return connection
    if proxy is not None:
        raise NoConnection("proxy", f"no way through the proxy {proxy} ({reason(failure)})") from failure
    raise NoConnection("connection", f"no connection to {host}:{port} ({reason(failure)})") from failure


def secure(connection: socket.socket, host: str, ca_bundle: str | None = None) -> ssl.SSLSocket:
    """TLS on ``connection``, which is closed where it fails. Raises ``NoConnection``."""
    try:
        return ssl.create_default_context(cafile=ca_bundle).wrap_socket(connection, server_hostname=host)
    except OSError as error:
        connection.close()
        raise NoConnection("tls", f"its certificate or the handshake is refused ({reason(error)})") from error


def reason(error: Exception | None) -> str:
    """Why something failed, without the noise of the error's type and number."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, TimeoutError):
        return "timed out"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__

"""A tunnel through a forward proxy: CONNECT (RFC 9110, 9.3.6). What is asked and what is answered is pure; a blocking
socket gets its tunnel here, the relay's asynchronous connections get theirs in ``upstream/tunnel.py``."""

import re
import socket

from .proxy import Proxy

__all__ = ["TunnelAnswer", "TunnelRefused", "connect_request", "open_tunnel"]

_MAX_ANSWER = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.\d ([1-9]\d\d)(?:[ \r]|$)")


class TunnelRefused(OSError):
    """The proxy is there, and gives no tunnel."""

    fix = "allow the upstream's host on the proxy, or name it in NO_PROXY"


def connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    """Asks ``proxy`` for a tunnel to ``host`` (an address of IPv6 without brackets)."""
    target = f"[{host}]:{port}" if ":" in host else f"{host.encode('idna').decode()}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if authorization := proxy.authorization:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


class TunnelAnswer:
    """Reads what the proxy says. Any 2xx is a tunnel, which begins behind the head: a length or a coding in it says
    nothing. Interim answers (1xx) go before."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._received = b""

    def feed(self, data: bytes) -> bool:
        """Whether there is a tunnel now. Raises ``TunnelRefused``."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            found = _STATUS.match(head)
            if found is None:
                raise TunnelRefused(f"{self._proxy} answered nothing that is HTTP")
            status = int(found[1])
            if 200 <= status < 300:
                return True
            if status >= 200:
                raise TunnelRefused(f"{self._proxy} answered {status}")
        if len(self._received) > _MAX_ANSWER:
            raise TunnelRefused(f"the answer of {self._proxy} is too long")
        return False

    def closed(self) -> TunnelRefused:
        """What it means that nothing more comes."""
        return TunnelRefused("the proxy closed the connection")


def open_tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Makes ``connection`` to ``proxy`` one to ``host``. Raises ``OSError``; ``TunnelRefused`` is one."""
    connection.sendall(connect_request(proxy, host, port))
    answer = TunnelAnswer(proxy)
    while data := connection.recv(_MAX_ANSWER):
        if answer.feed(data):
            return
    raise answer.closed()

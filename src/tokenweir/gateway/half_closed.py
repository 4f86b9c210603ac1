"""Clients that have stopped sending while their answer is due: which of them have left altogether?

A FIN does not tell. One that has only closed its sending side still reads; one that has closed its socket answers the
next bytes with RST. So some bytes are written that the answer begins with in any case (`ClientConnection` does that),
and here the kernel is asked to say when an RST has come: event loops do not look at a connection that is not read.
"""

import asyncio
import select
import socket
from collections.abc import Callable

__all__ = ["HalfClosed"]

# A client that leaves later says nothing. Its kernel answers probes until it has forgotten the connection (a minute
# on Linux, tcp_fin_timeout), and then with RST.
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class HalfClosed:
    """Those of one process. Takes one descriptor, with the first of them."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._gone: dict[int, Callable[[], None]] = {}

    def __repr__(self) -> str:
        return f"<HalfClosed {len(self._gone)} clients>"

    def watch(self, transport: asyncio.Transport, gone: Callable[[], None]) -> None:
        """Calls ``gone`` once when the other side resets the connection."""
        sock = transport.get_extra_info("socket")
        for level, option, value in _KEEP_ALIVE:
            sock.setsockopt(level, option, value)
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)
        self._gone[sock.fileno()] = gone
        self._epoll.register(sock.fileno(), 0)  # errors are always told

    def forget(self, transport: asyncio.Transport) -> None:
        fd = transport.get_extra_info("socket").fileno()
        if self._epoll is not None and self._gone.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _look(self) -> None:
        if self._epoll is None:
            return
        for fd, _ in self._epoll.poll(0):
            self._epoll.unregister(fd)
            gone = self._gone.pop(fd, None)
            if gone is not None:
                gone()

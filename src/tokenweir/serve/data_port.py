"""The data port: takes connections as long as there is room for them, and sees who speaks TLS.

An event loop's own server takes as many descriptors as there are in one turn, and asks nobody. Here the doorkeeper is
asked before a connection is anything but a descriptor, so that those for upstreams and the journal are never touched.

Where the port speaks TLS, the first byte is looked at before anything is read: TLS begins with a handshake record, HTTP
with a letter, and is answered in words that its client understands. Whoever says nothing, or does not come through the
handshake in time, is closed.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable

from ..errors import MalformedRequest, Refusal
from ..gateway import DataPlane

__all__ = ["DataPort"]

_log = logging.getLogger(__name__)

_HANDSHAKE = b"\x16"
_SPEAKS_TLS = "this port speaks TLS, and the request came in plain HTTP; use https:// and a new key, if it held one"
# What a handshake may take, and the silence before it. Browsers open connections in advance.
_HANDSHAKE_SECONDS = 15.0
# As many as are taken from the kernel's queue in one turn of the loop.
_BURST = 64
# Without a free descriptor the listener stays readable, and the loop would turn for nothing.
_PAUSE_SECONDS = 0.5
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class DataPort:
    """Takes connections from a listening socket until ``close``."""

    def __init__(
        self,
        listener: socket.socket,
        context: Callable[[], ssl.SSLContext | None],
        data_plane: DataPlane,
        backlog: int,
    ) -> None:
        """``context`` gives the one in force, with which the next connection begins; None for plain HTTP."""
        self._listener = listener
        self._context = context
        self._data_plane = data_plane
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._pause: asyncio.TimerHandle | None = None
        listener.listen(backlog)
        self._listen()

    def __repr__(self) -> str:
        return f"<DataPort {len(self._silent)} clients that have said nothing yet>"

    def close(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        if self._pause is not None:
            self._pause.cancel()
        self._listener.close()
        for client in list(self._silent):
            self._forget(client)
            client.close()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_BURST):
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._loop.remove_reader(self._listener.fileno())
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._listen)
                return
            if self._silent and len(self._silent) >= self._data_plane.doorkeeper.most:
                self._give_up(next(iter(self._silent)))
            if not self._data_plane.doorkeeper.has_room_for(client.fileno()):
                client.close()
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context() is None:
                self._data_plane.services.tasks.start(self._serve(client, None, None))
            else:
                self._silent[client] = self._loop.call_later(_HANDSHAKE_SECONDS, self._give_up, client)
                self._loop.add_reader(client.fileno(), self._begin, client)

    def _forget(self, client: socket.socket) -> None:
        self._loop.remove_reader(client.fileno())
        self._silent.pop(client).cancel()

    def _give_up(self, client: socket.socket) -> None:
        self._forget(client)
        client.close()

    def _begin(self, client: socket.socket) -> None:
        try:
            first = client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        self._forget(client)
        if first == _HANDSHAKE:
            self._data_plane.services.tasks.start(self._serve(client, self._context(), None))
        elif first:
            self._data_plane.services.tasks.start(self._serve(client, None, MalformedRequest(_SPEAKS_TLS)))
        else:
            client.close()

    async def _serve(self, client: socket.socket, context: ssl.SSLContext | None, refusal: Refusal | None) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._data_plane.new_connection(refusal),
                client,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if context is not None else None,
            )
        except OSError as error:  # of which TLS's errors and time limits are some
            _log.debug("a client has left before it was served: %s", error)

"""A receiver that remembers, and a transport in memory with a real one's manners."""

import asyncio
from collections.abc import Callable
from typing import cast

from tokenweir.upstream import Receiver, UpstreamConnection
from tokenweir.wire import ResponseHead

__all__ = ["MemoryTransport", "Owner", "Recorder"]


class Recorder(Receiver):
    """A receiver that remembers what it was told. ``on_head`` and ``on_end`` let a test act in the same turn."""

    def __init__(self, on_head: Callable[[], None] = lambda: None, on_end: Callable[[], None] = lambda: None) -> None:
        self._on_head = on_head
        self._on_end = on_end
        self._over = asyncio.Event()
        self.head: ResponseHead | None = None
        self.body = b""
        self.pieces = 0
        self.ends = 0
        self.reasons: list[str] = []
        self.uploads: list[bool] = []

    @property
    def is_over(self) -> bool:
        return self.ends + len(self.reasons) > 0

    @property
    def status(self) -> int | None:
        return self.head.status if self.head is not None else None

    async def over(self) -> "Recorder":
        await self._over.wait()
        return self

    def head_received(self, head: ResponseHead) -> None:
        assert self.head is None and not self.is_over
        self.head = head
        self._on_head()

    def body_received(self, data: bytes) -> None:
        assert self.head is not None and not self.is_over and data
        self.body += data
        self.pieces += 1

    def end_received(self) -> None:
        assert self.head is not None and not self.is_over
        self.ends += 1
        self._over.set()
        self._on_end()

    def connection_broken(self, reason: str) -> None:
        assert not self.is_over
        self.reasons.append(reason)
        self._over.set()

    def upload_paused(self, paused: bool) -> None:
        self.uploads.append(paused)


class Owner:
    """Keeps count of what connections tell their pool."""

    def __init__(self) -> None:
        self.idled = 0
        self.closings = 0

    def idle(self, connection: UpstreamConnection) -> None:
        assert connection.receiver is None and not connection.is_closed
        self.idled += 1

    def closed(self, connection: UpstreamConnection) -> None:
        self.closings += 1


class MemoryTransport(asyncio.Transport):
    """Delivers nothing while paused and nothing after a close; tells of a loss once, in a later turn."""

    def __init__(self, protocol: UpstreamConnection | asyncio.BaseProtocol) -> None:
        super().__init__()
        self._protocol = cast(asyncio.Protocol, protocol)
        self._is_closing = self._is_lost = False
        self._undelivered: list[bytes] = []
        self.is_paused = False
        self.written = b""
        self.unsent = 0
        self.on_write: Callable[[], None] = lambda: None
        self._protocol.connection_made(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def deliver(self, data: bytes) -> None:
        """The peer sends."""
        if self.is_paused:
            self._undelivered.append(data)
        elif data and not self._is_closing:
            self._protocol.data_received(data)

    def hang_up(self, error: Exception | None = None) -> None:
        """The peer closes, or the network breaks. Tells of a loss that is due, if there is one."""
        if error is None and not self._is_closing:
            self._protocol.eof_received()
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self._protocol.connection_lost(error)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self.written += data
            self.on_write()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
        pieces, self._undelivered = self._undelivered, []
        for piece in pieces:
            self.deliver(piece)

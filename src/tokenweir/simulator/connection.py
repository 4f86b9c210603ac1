"""One client's connection: requests in, pieces out when their time has come.

No task and no coroutine for a stream: a timer writes a piece and sets the next timer, and a full socket
stops the row until it drains. Pieces whose time is now go out in one write.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from typing import Protocol, cast

import httptools
import msgspec

from .framing import on_the_wire
from .pieces import ReplyPiece
from .request import ReceivedRequest, ReceivedRequestReader
from .script import Script
from .surface import Reply

__all__ = ["Connection", "Desk", "Exchange"]

# Enough for one system call to carry much, little enough to notice a slow reader early.
_BATCH = 64 * 1024

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOT_HTTP = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LINGER_NOT = struct.pack("ii", 1, 0)


class Exchange(msgspec.Struct, kw_only=True):
    """A request and its reply, and how far the reply has come."""

    request: ReceivedRequest
    reply: Reply
    script: Script
    visible: int = 0
    """Tokens of output written."""
    usage_sent: bool = False
    finished: bool = False
    session: asyncio.Protocol | None = None
    """Who speaks on the connection from here on, instead of the reply."""


class Desk(Protocol):
    """Who answers."""

    def answer(self, request: ReceivedRequest) -> Exchange:
        """Decides at once. What it raises closes the connection."""
        ...

    def ended(self, exchange: Exchange) -> None:
        """Called once for each exchange, whatever became of it."""
        ...


class Connection(asyncio.Protocol):
    """Answers one request after the other, in order."""

    def __init__(self, desk: Desk, open_connections: "set[Connection]") -> None:
        # for the connection
        self._desk = desk
        self._open = open_connections
        self._loop = asyncio.get_running_loop()
        self._reader = ReceivedRequestReader(self._on_expect)
        self._last = False
        self._behind = b""
        self._session: asyncio.Protocol | None = None
        self._full = False
        self._writing = False
        # for the exchange
        self._exchange: Exchange | None = None
        self._pieces: Iterator[ReplyPiece] = iter(())
        self._due: ReplyPiece | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._said_all = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self)
        self._reader.requests.clear()
        if self._session is not None:
            self._session.connection_lost(error)
        if self._timer is not None:
            self._timer.cancel()
        if self._exchange is not None:
            self._end(finished=self._session is not None)

    def eof_received(self) -> bool | None:
        return self._session.eof_received() if self._session is not None else None

    def abort(self) -> None:
        self._transport.abort()

    # requests in

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            self._session.data_received(data)
            return
        if self._last:  # what follows an upgrade may not be HTTP
            self._behind += data
            return
        try:
            self._reader.feed(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._last = True  # where no session begins, answered as if none had been asked for
            self._behind = data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._last = True
            if self._exchange is None and not self._reader.requests:
                self._transport.write(_NOT_HTTP)
                self._transport.close()
        self._next()

    def _on_expect(self) -> None:
        if self._exchange is None:
            self._transport.write(_CONTINUE)

    def _next(self) -> None:
        """Begins with the next request, if none is being answered."""
        if self._exchange is not None or not self._reader.requests:
            return
        request = self._reader.requests.popleft()
        self._exchange = self._desk.answer(request)
        if (session := self._exchange.session) is not None:
            self._session = session
            session.connection_made(self._transport)
            if self._behind:
                session.data_received(self._behind)
            return
        self._pieces = on_the_wire(self._exchange.reply, self._exchange.script, request)
        self._said_all = False
        self._proceed()

    # pieces out

    def pause_writing(self) -> None:
        if self._session is not None:
            self._session.pause_writing()
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._session is not None:
            self._session.resume_writing()
            return
        if self._exchange is None or self._writing:
            return
        if self._said_all:
            self._finish()
        elif self._timer is None:
            self._proceed()

    def _on_time(self) -> None:
        self._timer = None
        if not self._full:
            self._proceed()

    def _proceed(self) -> None:
        # TLS transports may pause and resume us inside write().
        self._writing = True
        all_taken = self._write_what_is_due()
        self._writing = False
        if all_taken:
            self._finish()

    def _write_what_is_due(self) -> bool:
        """Writes up to the next wait, a full socket or the end; whether the kernel has the whole answer."""
        exchange = self._exchange
        assert exchange is not None
        batch: list[bytes] = []
        size = 0
        piece = self._due
        self._due = None
        while True:
            if piece is not None:
                batch.append(piece.data)
                size += len(piece.data)
                exchange.visible += piece.visible
                exchange.usage_sent |= piece.usage
                if size >= _BATCH:
                    self._transport.write(b"".join(batch))
                    batch, size = [], 0
                    if self._full:
                        return False
            piece = next(self._pieces, None)
            if piece is None:
                break
            if piece.delay is not None:
                self._due = piece
                self._timer = self._loop.call_later(piece.delay, self._on_time)
                self._transport.write(b"".join(batch))
                return False
        self._said_all = True
        # From here on "full" means that the kernel has not taken everything.
        self._transport.set_write_buffer_limits(high=0)
        self._transport.write(b"".join(batch))
        return not self._full

    def _finish(self) -> None:
        """All is written and taken by the kernel."""
        exchange = self._exchange
        assert exchange is not None
        match exchange.reply.ending:
            case "hang":
                return  # until the client has had enough
            case "reset":
                self._end(finished=False)
                self._reset()
            case "close":
                self._end(finished=False)
                self._transport.close()
            case "complete":
                self._transport.set_write_buffer_limits()
                self._end(finished=True)
                if not exchange.request.keep_alive or (self._last and not self._reader.requests):
                    self._transport.close()
                else:
                    self._loop.call_soon(self._next)

    def _end(self, *, finished: bool) -> None:
        assert self._exchange is not None
        exchange, self._exchange = self._exchange, None
        exchange.finished = finished
        self._desk.ended(exchange)

    def _reset(self) -> None:
        """Closes so that the kernel sends RST: with a linger time of zero (socket(7))."""
        with socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

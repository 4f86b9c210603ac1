"""A client's connection: requests are read from it, and answers written to it.

One request at a time: what a client pipelines waits, and when too much waits the connection is not read.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Literal, Protocol, cast

from ..errors import Refusal, RequestTimeout
from ..records import Clock
from ..wire import END, RequestHead, RequestReader, head_bytes
from .doorkeeper import Doorkeeper
from .half_closed import HalfClosed
from .head_cache import HeadCache
from .request import Client
from .settings import ServerSettings

__all__ = ["ClientConnection", "RequestReceiver"]

# What may wait behind the request under way: a pipelined request or two. More stays in the kernel.
_MAX_WAITING = 64 * 1024
# What is read at once if more waits. libuv would take up to 32 of these before it is anybody else's turn.
_FULL_READ = 128 * 1024
# After an answer that closes, the client may still be sending. Closing at once could reset the
# connection before it has read the answer (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0

# What every answer begins with, and what may stand before any chunk's size without changing it.
_BEGINNING = b"HTTP/1.1 "
_LEADING_ZERO = b"0"
# An answer that comes sooner tells by itself, and in one piece.
_PROBE_SECONDS = 0.2

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestReceiver(Protocol):
    """What the connection tells the call of the request it is reading."""

    def begin(self, head: RequestHead) -> None: ...

    def serve(self, head: RequestHead, body: bytes) -> None:
        """A whole request at once."""
        ...

    def refuse(self, refusal: Refusal, head: RequestHead | None = None) -> None: ...

    def body_received(self, data: bytes) -> None: ...

    def body_ended(self) -> None: ...

    def client_gone(self) -> None: ...

    def client_paused(self, paused: bool) -> None: ...


class ClientConnection(Client):
    """One client, as the call sees it that is under way.

    An ``asyncio.Protocol`` by its methods. It does not inherit from that: compiled, its fields are those of a C struct.
    """

    def __init__(
        self,
        settings: ServerSettings,
        clock: Clock,
        new_call: Callable[["ClientConnection", HeadCache], RequestReceiver],
        clients: set["ClientConnection"],
        doorkeeper: Doorkeeper,
        half_closed: HalfClosed,
        refusal: Refusal | None = None,
    ) -> None:
        """``clients`` are the connections of the process; this one is among them while it is open. With ``refusal``
        that is the answer to the first request, whatever it is."""
        super().__init__(None)
        # for the process
        self._settings = settings
        self._clock = clock
        self._new_call = new_call
        self._clients = clients
        self._doorkeeper = doorkeeper
        self._half_closed = half_closed
        # for the connection
        self._transport: asyncio.Transport | None = None
        self._send: Callable[[bytes], None] = _to_nobody  # the transport's own method, one call less for each chunk
        self._reader = RequestReader(settings.max_head)
        self._advancing = False
        self._is_reading_paused = False
        self._waits_a_turn = False
        self._is_full = False
        self._is_half_closed = False
        self._lingers_until = 0.0
        self._refusal = refusal
        self._bytes_seen = 0
        self._requests = 0
        self._mark: tuple[str, int, int] = ("idle", 0, 0)
        self._quiet_since = self._body_since = 0.0
        self._body_from = 0
        self._head_cache = HeadCache()
        self.is_stopping = False
        # for the request
        self._call: RequestReceiver | None = None
        self._is_receiving = False
        self._http_1_0 = False
        self._closes = False
        self._has_answered = False
        """Whether the head of the answer was given."""
        self._chunked = False
        self._head = b""
        self._body_paused = False

    def __repr__(self) -> str:
        state = "closed" if self._transport is None else "busy" if self._call else "idle"
        return f"<ClientConnection {self.address} {state}>"

    # --- request.Client ---

    def continue_body(self) -> None:
        self._send(_CONTINUE)

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        self._chunked = False
        self._has_answered = True
        if length is not None:
            lines += b"\r\ncontent-length: %d" % length
        elif has_body and self._http_1_0:
            self._closes = True  # HTTP/1.0 knows no chunks; the close is the end
        elif has_body:
            lines += b"\r\ntransfer-encoding: chunked"
            self._chunked = True
        if self._closes or self._is_receiving or self.is_stopping:
            self._closes = True
            lines += b"\r\nconnection: close"
        elif self._http_1_0:
            lines += b"\r\nconnection: keep-alive"
        if is_followed:
            self._head = head_bytes(line, lines)  # every write is a system call
        else:
            self._send(head_bytes(line, lines))

    def write(self, data: bytes) -> None:
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data, self._head = self._head + data, b""
        self._send(data)

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        if self._chunked and not self._head:
            self._send(chunk)
        else:
            self.write(data)

    def flush(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._send(head)

    def finish(self) -> None:
        if self._chunked:
            self._send(self._head + b"0\r\n\r\n")
            self._head = b""
        elif self._head:
            self.flush()
        self._call = None
        if self._closes or self.is_stopping:
            self._close_gently()
        elif self._is_half_closed:
            self._answer_the_rest()
        elif not self._advancing and (self._reader.waiting or self._is_reading_paused):
            # the next request begins when this one's end is done
            asyncio.get_running_loop().call_soon(self._advance)

    def break_off(self) -> None:
        """What was passed on still reaches the client; the missing end is what it sees."""
        self._call = None
        self.flush()
        if self._transport is not None:
            if self._http_1_0:
                _reset(self._transport)  # a plain close would look like the end
            else:
                self._transport.close()

    def switch(self, line: bytes, lines: bytes, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        transport = cast(asyncio.Transport, self._transport)
        self._has_answered = self._closes = True
        self._send(head_bytes(line, lines))
        if self._is_reading_paused:
            self._is_reading_paused = False
            transport.resume_reading()
        transport.set_protocol(protocol)
        return transport, self._reader.take_waiting()

    def close_after(self) -> None:
        self._closes = True

    def pause_body(self, paused: bool) -> None:
        self._body_paused = paused
        self._regulate()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send = self._transport.write
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else None
        self._quiet_since = self._clock.monotonic()
        self._clients.add(self)
        self._refusal = self._doorkeeper.enter(self) or self._refusal

    def data_received(self, data: bytes) -> None:
        self._bytes_seen += len(data)
        if self._lingers_until:
            return
        if self._call is None and not self._is_full:
            whole = self._reader.whole(data)
            if whole is not None:
                call = self._begin(whole[0])
                self._is_receiving = False
                call.serve(*whole)
                return
        if len(data) >= _FULL_READ and not self._waits_a_turn:
            self._waits_a_turn = True
            asyncio.get_running_loop().call_soon(self._go_on)
        self._reader.feed(data)
        if not self._advancing:
            self._advance()

    def eof_received(self) -> bool:
        """A client that has sent whole requests gets their answers, unless it has left altogether: bytes with which
        the answer begins, or goes on, in any case are met with a reset then. Returns whether to keep the transport."""
        transport = self._transport
        if transport is None or self._call is None or self._is_receiving or self._lingers_until:
            return False
        if transport.get_extra_info("sslcontext") is not None:
            return False  # TLS ends in both directions at once
        self._is_half_closed = True
        self._half_closed.watch(transport, transport.abort)
        asyncio.get_running_loop().call_later(_PROBE_SECONDS, self._probe)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self._is_half_closed and self._transport is not None:
            self._half_closed.forget(self._transport)
        self._transport, self._send = None, _to_nobody
        call, self._call = self._call, None
        self._clients.discard(self)
        self._doorkeeper.leave(self)
        if call is not None:
            call.client_gone()

    def pause_writing(self) -> None:
        self._is_full = True
        if self._call is not None:
            self._call.client_paused(True)

    def resume_writing(self) -> None:
        self._is_full = False
        if self._call is not None:
            self._call.client_paused(False)
        elif not self._advancing:
            self._advance()

    # --- called by the sweeper ---

    def tick(self, now: float) -> None:
        """Ends what lasts too long: a head that never comes whole, a body that stalls, an idle connection."""
        if self._lingers_until:
            if now >= self._lingers_until and self._transport is not None:
                self._transport.abort()
            return
        if self._call is not None and not self._is_receiving:
            return  # its answer has time limits of its own; whatever comes next has another mark
        phase = self._phase
        mark = (phase, self._requests, self._progress(phase))
        if phase == "body" and (mark[:2] != self._mark[:2] or self._body_paused):
            self._body_since, self._body_from = now, self._bytes_seen
        if mark != self._mark:  # a head's time runs from its first byte, a body's from its latest
            self._mark, self._quiet_since = mark, now
        quiet = now - self._quiet_since
        limit = self._settings.request_timeout
        if phase == "body" and not self._body_paused:
            if quiet > limit:
                self._malformed(RequestTimeout(f"The request's body stopped arriving for {limit:g} s."))
            elif self._lags(now):
                self._malformed(RequestTimeout("The request's body arrived too slowly (server.min_body_rate)."))
        elif phase == "head" and quiet > limit:
            self._malformed(RequestTimeout(f"The request's head did not arrive whole within {limit:g} s."))
        elif phase == "idle" and quiet > self._doorkeeper.keep_alive and self._transport is not None:
            if self._transport.is_closing():
                self._transport.abort()  # it does not even take what was left for it
            else:
                self._transport.close()

    def stop(self) -> None:
        """Takes no further request: closes at once when idle, else after the answer under way."""
        self.is_stopping = True
        if self._call is None:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def leave(self) -> None:
        """Others need its place."""
        if self._transport is not None:
            self._transport.abort()

    # --- inside ---

    @property
    def _phase(self) -> Literal["idle", "head", "body"]:
        if self._call is None:
            return "head" if self._reader.waiting and not self._is_full else "idle"
        return "body"

    def _progress(self, phase: str) -> int:
        """What moves while a client does its part: its body comes, or what was written for it goes."""
        if phase == "body":
            return self._bytes_seen
        return self._transport.get_write_buffer_size() if phase == "idle" and self._transport is not None else 0

    def _lags(self, now: float) -> bool:
        """Whether a body has come more slowly than it must, beyond the time that it may be silent anyway."""
        time, size = now - self._body_since, self._bytes_seen - self._body_from
        return time > self._settings.request_timeout and size < time * self._settings.min_body_rate

    def _advance(self) -> None:
        """Takes events for as long as the request under way wants them."""
        self._advancing = True
        try:
            while self._transport is not None and not self._lingers_until and not self._transport.is_closing():
                if self._is_full if self._call is None else not self._is_receiving:
                    break  # its answer comes first, and goes out first
                event = self._reader.next()
                if event is None:
                    break
                if isinstance(event, bytes):
                    if self._call is not None:
                        self._call.body_received(event)
                elif event is END:
                    self._is_receiving = False
                    if self._call is not None:
                        self._call.body_ended()
                else:
                    head = cast(RequestHead, event)
                    call = self._begin(head)
                    if self._refusal is None:
                        call.begin(head)
                    else:
                        call.refuse(self._refusal, head)
        except Refusal as refusal:
            self._malformed(refusal)
        finally:
            self._advancing = False
        self._regulate()

    def _begin(self, head: RequestHead) -> RequestReceiver:
        self._http_1_0 = head.http_1_0
        self._closes = not head.keep_alive
        self._is_receiving = True
        self._has_answered = False
        self._body_paused = False
        if not self._requests:
            self._doorkeeper.heard(self)
        self._requests += 1
        call = self._call = self._new_call(self, self._head_cache)
        return call

    def _malformed(self, refusal: Refusal) -> None:
        """The bytes make no sense: answered, recorded, and the connection closes."""
        self._closes = True
        if self._call is None:
            self._http_1_0 = self._has_answered = False
            self._call = self._new_call(self, self._head_cache)
        self._call.refuse(refusal)

    def _regulate(self) -> None:
        """Reads on, or lets the kernel hold the client back."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_half_closed:
            return
        piles_up = not self._is_receiving and self._reader.waiting > _MAX_WAITING
        too_much = self._body_paused or self._waits_a_turn or piles_up
        if too_much and not self._is_reading_paused:
            transport.pause_reading()
        elif not too_much and self._is_reading_paused:
            transport.resume_reading()
        self._is_reading_paused = too_much

    def _go_on(self) -> None:
        self._waits_a_turn = False
        self._regulate()

    def _probe(self) -> None:
        """Writes what is sure to come, to see whether it meets anybody."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._call is None or self._is_receiving:
            return
        if not self._has_answered:
            transport.write(_BEGINNING)
            self._send = self._send_first
        elif self._head:
            self.flush()
        elif self._chunked:
            transport.write(_LEADING_ZERO)

    def _send_first(self, data: bytes) -> None:
        """What follows the beginning that was written already."""
        if self._transport is not None:
            self._send = self._transport.write
            self._send(data.removeprefix(_BEGINNING))

    def _answer_the_rest(self) -> None:
        """Of a client that sends no more: the whole requests that wait, then the end."""
        if not self._advancing:
            self._advance()
        if self._transport is not None and (self._call is None or self._is_receiving):
            self.close()

    def _close_gently(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if not self._is_receiving and not self._reader.waiting:
            transport.close()
            return
        self._lingers_until = self._clock.monotonic() + _LINGER_SECONDS
        self._body_paused = False
        self._is_receiving = True
        self._regulate()
        if transport.can_write_eof():
            transport.write_eof()


def _to_nobody(data: bytes) -> None:
    """Where bytes go while there is no connection."""


def _reset(transport: asyncio.Transport) -> None:
    """Closes so that the kernel sends RST: with a linger time of zero (socket(7))."""
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

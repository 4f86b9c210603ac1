"""A WebSocket of an ASGI host. The host takes frames apart and hands over messages; here they become frames again, and
the frames of the upstream messages, so that everything between is as on the data port.

The handshake with the client, its pings and extensions are the host's. Messages and close codes pass whole.
"""

import asyncio
import os
from contextlib import suppress
from typing import Any, cast

from ..errors import InvalidApiKey, Refusal
from ..wire import CLOSE_WITHOUT_CODE, FrameReader, close_frame, pong_frame, unmasked
from .asgi import OPEN_TO_ALL, Message, Receive, Scope, Send, is_local, request_head
from .data_plane import DataPlane
from .head_cache import HeadCache
from .request import Client

__all__ = ["HostedSocket"]

# As much as asyncio's own transports hold, and a quarter to go on.
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024
# A message has to be whole before a host takes it. uvicorn's clients may send 16 MB, too.
_LONGEST_MESSAGE = 16 * 1024 * 1024
_TOO_BIG = 1009
_WELL = 1000

_TEXT, _BINARY = 0x81, 0x82
# Between this gateway and the upstream nothing is packed: what the client offers is for the host.
_NOT_OURS = (b"sec-websocket-extensions",)


class HostedSocket(Client):
    """One WebSocket that a host brings, from its request on; ``run`` is its whole life."""

    def __init__(self, data_plane: DataPlane, scope: Scope, receive: Receive, send: Send, *, is_guarded: bool) -> None:
        """As a ``HostedCall``'s."""
        peer = scope.get("client")
        super().__init__(peer[0] if peer else None)
        self._data_plane = data_plane
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_guarded = is_guarded
        self._refused: tuple[int, list[tuple[bytes, bytes]], list[bytes]] | None = None
        self._waiting: list[Message] = []
        self._held = 0
        self._is_full = False
        self._has_ended = False
        self._changed = asyncio.Event()
        self._transport: _HostTransport | None = None

    async def run(self) -> None:
        """Returns when the host has been told of the end."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        call = self._data_plane.new_call(self, HeadCache())
        services = self._data_plane.services
        try:
            scope = dict(self._scope) | {
                "method": "GET",
                "headers": [pair for pair in self._scope["headers"] if pair[0].lower() not in _NOT_OURS],
            }
            head = request_head(scope, services.settings.max_head, is_socket=True)
            if services.keyring.is_open and not (self._is_guarded or is_local(self._scope)):
                call.refuse(InvalidApiKey(OPEN_TO_ALL), head)
            else:
                call.serve(head, b"")
        except Refusal as refusal:
            call.refuse(refusal)
        reading = asyncio.get_running_loop().create_task(self._read(call.client_gone))
        try:
            await self._write()
        except OSError:
            pass  # the client is gone, which reading has told
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            if self._transport is not None:
                self._transport.lose()
            call.client_gone()

    # --- request.Client ---

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        headers = [
            (name.lower(), value.strip(b" \t"))
            for name, _, value in (line.partition(b":") for line in lines.split(b"\r\n") if line)
        ]
        self._refused = int(line[:3]), headers, []

    def write(self, data: bytes) -> None:
        if self._refused is not None:
            self._refused[2].append(data)

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        self.write(data)

    def finish(self) -> None:
        if self._refused is not None:
            status, headers, pieces = self._refused
            if "websocket.http.response" in self._scope.get("extensions", {}):
                self._put({"type": "websocket.http.response.start", "status": status, "headers": headers})
                self._put({"type": "websocket.http.response.body", "body": b"".join(pieces), "more_body": False})
            else:
                self._put({"type": "websocket.close", "code": _WELL})  # the host makes a 403 of it
        self._ends()

    def break_off(self) -> None:
        self._ends()

    def switch(self, line: bytes, lines: bytes, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        told = [line.partition(b":") for line in lines.split(b"\r\n") if line]
        headers = [(name.lower(), value.strip(b" \t")) for name, _, value in told if not _is_of_handshake(name)]
        chosen = next((value.strip() for name, _, value in told if name.lower() == b"sec-websocket-protocol"), None)
        subprotocol = chosen.decode("latin-1") if chosen is not None else None
        self._put({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
        self._transport = _HostTransport(self, cast(Any, protocol))
        return self._transport, b""

    def connection_lost(self, error: Exception | None) -> None:
        self._ends()

    # --- for the transport ---

    def put_message(self, data: bytes, *, is_text: bool) -> None:
        told: Message = {"type": "websocket.send"}
        if is_text:
            told["text"] = data.decode("utf-8", "replace")
        else:
            told["bytes"] = data
        self._put(told, len(data))

    def put_close(self, code: int) -> None:
        self._put({"type": "websocket.close", "code": _WELL if code == CLOSE_WITHOUT_CODE else code})
        self._ends()

    @property
    def held(self) -> int:
        """Bytes that the host has not taken yet."""
        return self._held

    # --- inside ---

    def _put(self, message: Message, size: int = 0) -> None:
        if self._has_ended:
            return
        self._waiting.append(message)
        self._held += size
        self._changed.set()
        if self._held > _HIGH_WATER and not self._is_full and self._transport is not None:
            self._is_full = True
            self._transport.protocol.pause_writing()

    def _ends(self) -> None:
        self._has_ended = True
        self._changed.set()

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            has_ended, messages, size, self._waiting = self._has_ended, self._waiting, self._held, []
            for message in messages:
                await self._send(message)
            self._held -= size
            if self._is_full and self._held <= _LOW_WATER and self._transport is not None:
                self._is_full = False
                self._transport.protocol.resume_writing()
            if has_ended and not self._waiting:
                return

    async def _read(self, gone: Any) -> None:
        while True:
            transport = self._transport
            if transport is not None:
                await transport.may_read.wait()
            message = await self._receive()
            transport = self._transport
            if message["type"] == "websocket.disconnect":
                if transport is None:
                    gone()
                else:
                    transport.came(close_frame(message.get("code") or CLOSE_WITHOUT_CODE, is_masked=True))
                    transport.lose()
                self._ends()
                return
            if transport is not None:
                text = message.get("text")
                data = text.encode() if text is not None else message.get("bytes") or b""
                transport.came(_frame(data, is_text=text is not None))


class _HostTransport(asyncio.Transport):
    """The client's side as a relay has it: frames in and out. It is a ``MessageReceiver`` of what is written."""

    def __init__(self, socket: HostedSocket, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._socket = socket
        self._reader = FrameReader(self)
        self._reader.pings = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_closing = False
        self._is_lost = False

    def came(self, frame: bytes) -> None:
        if not self._is_lost:
            self.protocol.data_received(frame)

    def lose(self) -> None:
        """The client is gone."""
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self.protocol.connection_lost(None)

    # asyncio.Transport

    def write(self, data: Any) -> None:
        if self._is_closing:
            return
        self._reader.feed(bytes(data))
        for payload in self._reader.pings or ():
            self.came(pong_frame(payload))  # the client's own are the host's
        self._reader.pings = []
        if self._reader.close_code is not None:
            self._is_closing = True
            self._socket.put_close(self._reader.close_code)

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._socket.put_close(_WELL)
        asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self.may_read.clear()

    def resume_reading(self) -> None:
        self.may_read.set()

    def get_write_buffer_size(self) -> int:
        return self._socket.held

    # wire.MessageReceiver

    def message(self, data: bytes, start: int, end: int, packed: bool) -> None:
        self._socket.put_message(data[start:end], is_text=self._reader.is_text)

    def message_began(self, packed: bool) -> bool:
        self._pieces, self._size = [], 0
        return True

    def message_data(self, data: bytes, start: int, end: int) -> bool:
        self._size += end - start
        if self._size > _LONGEST_MESSAGE:
            self._pieces = []
            self._is_closing = True
            self.came(close_frame(_TOO_BIG, is_masked=True))
            self._socket.put_close(_TOO_BIG)
            return False
        self._pieces.append(data[start:end])
        return True

    def message_ended(self) -> None:
        if not self._is_closing:
            whole, self._pieces = b"".join(self._pieces), []
            self._socket.put_message(whole, is_text=self._reader.is_text)


def _is_of_handshake(name: bytes) -> bool:
    return name.lower().startswith(b"sec-websocket-") or name.lower() in (b"connection", b"upgrade")


def _frame(data: bytes, *, is_text: bool) -> bytes:
    """A client's frame with a whole message."""
    size, first, mask = len(data), _TEXT if is_text else _BINARY, os.urandom(4)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([first, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0xFF]) + size.to_bytes(8, "big")
    return head + mask + unmasked(data, mask, 0)

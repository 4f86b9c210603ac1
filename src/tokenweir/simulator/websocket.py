"""One client's WebSocket: the handshake, frames in and out, and turns that are told event by event.

Events go out as fast as the socket takes them, each after its wait; a full socket stops the turn until it drains.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal, cast

import msgspec

from ..wire import FrameReader, accept_of, decode_json
from .headers import identity
from .surface import AnswerContext, SimulatedCall

__all__ = ["SocketSession", "Told"]

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10

Told = tuple[dict[str, Any], float]
"""An event, and the seconds to wait before it."""


class SocketSession(asyncio.Protocol):
    """What a surface's session has in common with others. It says ``opened``, ``heard`` and ``left`` for itself."""

    def __init__(self, call: SimulatedCall, moment: AnswerContext) -> None:
        self.call = call
        self.moment = moment
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(self)
        self._message: list[bytes] = []
        self._is_full = False
        self._turn: Iterator[Told] | None = None
        self._due: dict[str, Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # what a surface says

    def opened(self) -> None: ...

    def heard(self, event: dict[str, Any]) -> None: ...

    def left(self) -> None:
        """The connection is gone; a turn may be open."""

    # for the surface

    def send(self, kind: str, **members: Any) -> None:
        event = {"type": kind, "event_id": self._event_id(), **members}
        self._write(_TEXT, msgspec.json.encode(event))

    def _event_id(self) -> str:
        return f"event_{self._reader.frames:04x}{id(self) & 0xFFFFFF:06x}"

    def tell(self, turn: Iterator[Told]) -> None:
        """Tells a turn; one at a time."""
        self._turn = turn
        self._proceed()

    @property
    def is_telling(self) -> bool:
        return self._turn is not None

    def stop_telling(self) -> None:
        self._turn = self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self, how: Literal["reset", "close", "hang"]) -> None:
        """A fault: without a close frame."""
        self.stop_telling()
        if how == "reset":
            self._transport.abort()
        elif how == "close":
            self._transport.close()

    def say_goodbye(self, code: int, reason: str = "") -> None:
        self._write(_CLOSE, code.to_bytes(2, "big") + reason.encode())
        self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        headers = self.call.request.headers
        accept = accept_of(headers.get("sec-websocket-key", "").encode()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade"]
        lines += [f"sec-websocket-accept: {accept}"]
        lines += [f"{name}: {value}" for name, value in identity(self.moment, azure=self.call.azure)]
        if "realtime" in [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]:
            lines.append("sec-websocket-protocol: realtime")
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        self.opened()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._reader.close_code is not None and not self._transport.is_closing():
            self._write(_CLOSE, self._reader.close_code.to_bytes(2, "big"))
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self.left()
        self.stop_telling()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._timer is None:
            self._proceed()

    # wire.MessageReceiver

    def message(self, data: bytes, start: int, end: int, packed: bool) -> None:
        self._hear(data[start:end])

    def message_began(self, packed: bool) -> bool:
        self._message = []
        return True

    def message_data(self, data: bytes, start: int, end: int) -> bool:
        self._message.append(data[start:end])
        return True

    def message_ended(self) -> None:
        self._hear(b"".join(self._message))

    # inside

    def _hear(self, message: bytes) -> None:
        event = decode_json(message)
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            self.heard(event)
        else:
            error = {
                "type": "invalid_request_error",
                "code": "invalid_json",
                "message": "That is no event.",
                "param": None,
            }
            self.send("error", error=error)

    def _proceed(self) -> None:
        while self._turn is not None and not self._is_full:
            if self._due is not None:
                event, self._due = self._due, None
                self.send(event["type"], **{name: value for name, value in event.items() if name != "type"})
                continue
            following = next(self._turn, None)
            if following is None:
                self._turn = None
                return
            self._due, wait = following
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._on_time)
                return

    def _on_time(self) -> None:
        self._timer = None
        self._proceed()

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | opcode, size])
        elif size < 1 << 16:
            head = bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big")
        if self.is_open and not self._transport.is_closing():
            self._transport.write(head + payload)

"""WebSocket frames of one direction as they pass (RFC 6455, 5.2). A pure machine: ``feed`` it bytes, cut anywhere.

It judges nothing, since both ends do so for themselves: it finds where frames begin and end, what a close frame says,
and the messages, for a receiver that wants to read them. Nothing is held but a frame's head and a close frame.
"""

import base64
import hashlib
from typing import Protocol

__all__ = ["CLOSE_WITHOUT_CODE", "FrameReader", "MessageReceiver", "accept_of", "close_frame", "pong_frame", "unmasked"]

CLOSE_WITHOUT_CODE = 1005
"""What stands for the code of a close frame that has none (RFC 6455, 7.1.5)."""

_LONGEST_HEAD = 14
_TEXT, _CLOSE, _PING = 1, 8, 9


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key: bytes) -> bytes:
    """The ``Sec-WebSocket-Accept`` that answers a ``Sec-WebSocket-Key`` (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


class MessageReceiver(Protocol):
    """Who is told of messages. One that came whole in one piece is one call; any other begins, goes on and ends.

    Bytes are those of ``data`` from ``start`` to ``end``, unmasked. ``packed``: by an extension (RSV1; RFC 7692).
    """

    def message(self, data: bytes, start: int, end: int, packed: bool) -> None: ...

    def message_began(self, packed: bool) -> bool:
        """Whether the message is to be shown."""
        ...

    def message_data(self, data: bytes, start: int, end: int) -> bool:
        """Whether the rest of the message is to be shown."""
        ...

    def message_ended(self) -> None:
        """Also of a message of which the rest was not shown."""
        ...


class FrameReader:
    """Follows one direction. Without a ``receiver`` no payload is looked at but that of a close frame."""

    def __init__(self, receiver: MessageReceiver | None) -> None:
        self._receiver = receiver
        self.frames = 0
        """Data and control frames that have begun."""
        self.close_code: int | None = None
        """What the first close frame says; `CLOSE_WITHOUT_CODE` where it says nothing."""
        self.is_text = False
        """Whether the latest message is text."""
        self.pings: list[bytes] | None = None
        """The payloads of pings, where somebody answers them: who does so puts an empty list here, and empties it."""
        # of the frame under way
        self._head = b""
        self._left = 0
        self._passed = 0
        self._mask = b""
        self._opcode = 0
        self._is_last = False
        self._close: bytes | None = None
        # of the message under way
        self._in_message = False
        self._shows = False

    def __repr__(self) -> str:
        return f"<FrameReader {self.frames} frames{'' if self.is_between_frames else ', inside one'}>"

    @property
    def is_between_frames(self) -> bool:
        """Whether a frame could be put in here."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        at, size = 0, len(data)
        while at < size:
            at = self._payload(data, at, size) if self._left else self._frame(data, at, size)

    def _frame(self, data: bytes, at: int, size: int) -> int:
        """Reads a frame's head, and what of its payload is there. Returns where it stopped."""
        before = len(self._head)
        if before:
            raw, start = self._head + data[at : at + _LONGEST_HEAD], 0
        else:
            raw, start = data, at
        there = len(raw) - start
        length = head = 0
        is_masked = False
        if there >= 2:
            second = raw[start + 1]
            length, is_masked = second & 0x7F, second >= 0x80
            head = 2 if length < 126 else 4 if length == 126 else 10
            if is_masked:
                head += 4
        if not head or there < head:
            self._head = raw[start:]
            return size
        if length == 126:
            length = raw[start + 2] << 8 | raw[start + 3]
        elif length == 127:
            length = int.from_bytes(raw[start + 2 : start + 10], "big")
        first = raw[start]
        self._head = b""
        self._mask = raw[start + head - 4 : start + head] if is_masked else b""
        self.frames += 1
        self._opcode, self._is_last = first & 0x0F, first >= 0x80
        at += head - before
        receiver = self._receiver
        if self._opcode >= _CLOSE:
            if (self._opcode == _CLOSE and self.close_code is None) or (
                self._opcode == _PING and self.pings is not None
            ):
                self._close = b""
        elif receiver is not None and (self._opcode or not self._in_message):
            self.is_text = self._opcode == _TEXT
            packed = first & 0x40 != 0
            if self._is_last and length <= size - at:
                end = at + length
                if is_masked:
                    receiver.message(unmasked(data[at:end], self._mask, 0), 0, length, packed)
                else:
                    receiver.message(data, at, end, packed)
                return end
            self._in_message = True
            self._shows = receiver.message_began(packed)
        self._left, self._passed = length, 0
        if not length:
            self._end_frame()
        return at

    def _payload(self, data: bytes, at: int, size: int) -> int:
        """Passes over what there is of the payload under way. Returns where it stopped."""
        end = min(at + self._left, size)
        receiver = self._receiver
        if self._close is not None:
            part = data[at:end]
            self._close += unmasked(part, self._mask, self._passed) if self._mask else part
        elif receiver is not None and self._shows and self._opcode < _CLOSE:
            if self._mask:
                part = unmasked(data[at:end], self._mask, self._passed)
                self._shows = receiver.message_data(part, 0, len(part))
            else:
                self._shows = receiver.message_data(data, at, end)
        self._passed += end - at
        self._left -= end - at
        if not self._left:
            self._end_frame()
        return end

    def _end_frame(self) -> None:
        close, self._close = self._close, None
        if close is not None and self._opcode == _PING:
            if self.pings is not None:
                self.pings.append(close)
        elif close is not None:
            self.close_code = int.from_bytes(close[:2], "big") if len(close) >= 2 else CLOSE_WITHOUT_CODE
        elif self._opcode < _CLOSE and self._is_last and self._in_message and self._receiver is not None:
            self._in_message = self._shows = False
            self._receiver.message_ended()


def unmasked(data: bytes, mask: bytes, at: int) -> bytes:
    """A part of a payload that begins ``at`` bytes behind the payload's beginning; masking is the same again."""
    turned = at & 3
    if turned:
        mask = mask[turned:] + mask[:turned]
    size = len(data)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")


def close_frame(code: int, *, is_masked: bool) -> bytes:
    """A close frame of our own. Clients mask theirs; with zeros, as there is nothing to hide from a proxy in it."""
    said = code.to_bytes(2, "big")
    return b"\x88\x82\0\0\0\0" + said if is_masked else b"\x88\x02" + said


def pong_frame(payload: bytes) -> bytes:
    """A client's answer to a ping, of 125 bytes at most, masked with zeros."""
    return b"\x8a%c\0\0\0\0%b" % (0x80 | len(payload), payload)

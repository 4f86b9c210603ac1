"""WebSocket frames and handshakes as bytes, made here and not by what is tested."""

from typing import Any

import msgspec

from .raw_client import RawClient
from .relay_thread import KEY, RelayThread
from .scripted import Line, Play

__all__ = [
    "CLOSE",
    "CONTINUATION",
    "MASK",
    "PING",
    "PONG",
    "SWITCHED",
    "TEXT",
    "asks",
    "event_frame",
    "frame",
    "opened",
    "saying",
]

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10
MASK = b"\x12\x34\x56\x78"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Odd: kept\r\n"
)
"""A 101 without its last empty line."""


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = b"", rsv1: bool = False) -> bytes:
    """One frame; masked with ``mask`` if there is one."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size, masked = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 1 << 16:
        head = bytes([first, masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


def event_frame(mask: bytes = b"", /, **event: Any) -> bytes:
    """An event of the API in one text frame."""
    return frame(TEXT, msgspec.json.encode(event), mask=mask)


def asks(path: str = "/openai/v1/realtime?model=gpt-4o", *lines: str, key: str | None = KEY) -> bytes:
    told = [f"GET {path} HTTP/1.1", "Host: here", "Connection: keep-alive, Upgrade", "Upgrade: websocket"]
    told += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *lines]
    return "\r\n".join([*told, *([f"api-key: {key}"] if key else []), "", ""]).encode()


def saying(*pieces: bytes, lines: bytes = b"") -> Play:
    """An upstream that agrees, says this at once and then nothing more."""

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + lines + b"\r\n" + b"".join(pieces))
        line.wait_closed()

    return play


def opened(relay: RelayThread, request: bytes | None = None) -> RawClient:
    client = RawClient(relay.address)
    client.send(request or asks())
    status, fields = client.read_head()
    assert (status, fields["upgrade"].lower(), fields["x-odd"]) == (101, "websocket", "kept")
    return client

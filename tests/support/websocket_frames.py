"""WebSocket frames as bytes, made here and not by what is tested."""

from typing import Any

import msgspec

__all__ = ["CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "event_frame", "frame"]

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


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


def event_frame(mask: bytes = b"", **event: Any) -> bytes:
    """An event of the API in one text frame."""
    return frame(TEXT, msgspec.json.encode(event), mask=mask)

"""The messages of one side of a WebSocket, put together as they pass, and unpacked where an extension has packed them.

What is packed (permessage-deflate, RFC 7692) passes so; a copy is unpacked, up to 16 MB for a message of an upstream's
and 1 MB for a client's. Beyond that, and where it cannot be unpacked, the side is not read any more: each message is
packed with what the ones before it have said.
"""

import re
import zlib
from collections.abc import Callable

import msgspec

from ..wire import decode_json
from .measurement import SocketLane

__all__ = ["BEGINNING", "RequestMessages", "SaidMessages", "SocketMessages", "lane_of", "type_at"]

_LONGEST_REQUEST = 1024 * 1024
_PORTION = 64 * 1024
# Of requests whose answers have not begun. The API takes one at a time, or one for each stream.
_MOST_WAITING = 64
# Of what a client has said since the last answer, where contents are kept.
_LONGEST_SAID = 1024 * 1024
_LONGEST_EVENT = 256 * 1024

# Where the type stands first, or behind the event's id, it can be told from the beginning.
BEGINNING = 256
type_at = re.compile(rb'\s*\{\s*(?:"event_id"\s*:\s*"[^"\\]*"\s*,\s*)?"type"\s*:\s*"([a-z_.]+)"').match


def lane_of(message: bytes) -> str | None:
    """The ``stream_id`` of a message: which of several answers under way at once it is about; seldom there."""
    if message.find(b'"stream_id"') < 0:
        return None
    try:
        lane = _decode_lane(message).stream_id
    except (ValueError, RecursionError):
        return None
    return lane if isinstance(lane, str) else None


_decode_lane = msgspec.json.Decoder(SocketLane).decode

_TAIL = b"\x00\x00\xff\xff"
"""What a sender has cut off a packed message (RFC 7692, 7.2.1)."""


class SocketMessages:
    """Puts messages together, up to what is read of one; unpacks them where an extension says so."""

    def __init__(self, longest: int, unpacks: bool) -> None:
        self._longest = longest
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if unpacks else None
        self.problem: str | None = None
        """Why this side is not read any more."""
        self._pieces: list[bytes] = []
        self._packed = self._is_wanted = False
        self._unpacked = 0

    def message(self, data: bytes, start: int, end: int, packed: bool) -> None:
        if not packed:
            self._whole(data, start, end)
        elif self.message_began(True):
            self.message_data(data, start, end)
            self.message_ended()

    def message_began(self, packed: bool) -> bool:
        self._packed, self._unpacked, self._pieces = packed, 0, []
        if packed and self._inflater is None and self.problem is None:
            self.problem = "its messages are packed by an extension that is not read"
        self._is_wanted = not packed or self.problem is None
        if self._is_wanted:
            self._begin()
        return self._is_wanted

    def message_data(self, data: bytes, start: int, end: int) -> bool:
        part = data[start:end]
        if self._packed:
            return self._unpack(part)
        self._is_wanted = self._part(part)
        return self._is_wanted

    def message_ended(self) -> None:
        if self._packed:
            self._unpack(_TAIL)
            self._is_wanted = self._is_wanted and self.problem is None
        if self._is_wanted:
            self._end()

    def _unpack(self, data: bytes) -> bool:
        """Goes on where nobody wants the rest: the next message is unpacked with what this one said."""
        inflater = self._inflater
        if inflater is None or self.problem is not None:
            return False
        part = b""
        try:
            while data or len(part) == _PORTION:
                part = inflater.decompress(data, _PORTION)
                data = inflater.unconsumed_tail
                self._unpacked += len(part)
                if self._unpacked > self._longest:
                    self.problem = "a packed message is too long to be unpacked"
                    return False
                if part and self._is_wanted:
                    self._is_wanted = self._part(part)
                if inflater.eof:
                    data = inflater.unused_data
                    inflater = self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        except zlib.error:
            self.problem = "its messages could not be unpacked"
        return self.problem is None

    # what a side makes of it

    def _whole(self, data: bytes, start: int, end: int) -> None:
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _part(self, part: bytes) -> bool:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError


class RequestMessages(SocketMessages):
    """The client's side of a WebSocket of the Responses API: what it asks for, one ``response.create`` each."""

    def __init__(self, monotonic: Callable[[], float], unpacks: bool) -> None:
        super().__init__(_LONGEST_REQUEST, unpacks)
        self._monotonic = monotonic
        self._size = 0
        self._waiting: list[tuple[str | None, float, bytes]] = []

    def take(self, lane: str | None) -> tuple[float, bytes] | None:
        """When the oldest of this lane that waits for an answer was sent, and its body; empty where it was too long to
        be held."""
        for at, (asked, moment, body) in enumerate(self._waiting):
            if asked == lane:
                del self._waiting[at]
                return moment, body
        return None

    def lanes(self) -> list[str | None]:
        """Those of requests that wait."""
        return [lane for lane, _, _ in self._waiting]

    def _whole(self, data: bytes, start: int, end: int) -> None:
        self._begin()
        self._part(data[start:end])
        self._end()

    def _begin(self) -> None:
        self._pieces, self._size = [], 0

    def _part(self, part: bytes) -> bool:
        self._size += len(part)
        if self._size <= _LONGEST_REQUEST or not self._pieces:
            self._pieces.append(part)
        return self._size <= _LONGEST_REQUEST

    def _end(self) -> None:
        raw = b"".join(self._pieces)
        self._pieces = []
        found = type_at(raw, 0, min(len(raw), BEGINNING))
        is_whole = self._size <= _LONGEST_REQUEST
        if found is None and is_whole:
            request = decode_json(raw)
            kind = request.get("type") if isinstance(request, dict) else None
        else:
            kind = found[1].decode("ascii") if found is not None else None
        if kind == "response.create" and len(self._waiting) < _MOST_WAITING:
            self._waiting.append((lane_of(raw), self._monotonic(), raw if is_whole else b""))


class SaidMessages(SocketMessages):
    """The client's side of a WebSocket of the realtime API, where contents are kept: its events, but for sound."""

    def __init__(self, unpacks: bool) -> None:
        super().__init__(_LONGEST_EVENT, unpacks)
        self._said: list[bytes] = []
        self._held = self._size = 0

    def take(self) -> bytes:
        """What was said since the last time, as one list; empty where that is nothing."""
        said, self._said, self._held = self._said, [], 0
        return b"[%b]" % b",".join(said) if said else b""

    def _whole(self, data: bytes, start: int, end: int) -> None:
        found = type_at(data, start, min(end, start + BEGINNING))
        if (found is not None and found[1] == _SOUND) or end - start > _LONGEST_EVENT:
            return
        event = data[start:end]
        decoded = decode_json(event)
        if isinstance(decoded, dict) and decoded.get("type") != _SOUND.decode():
            self._said.append(event)
            self._held += len(event)
        while self._held > _LONGEST_SAID:
            self._held -= len(self._said.pop(0))

    def _begin(self) -> None:
        self._pieces, self._size = [], 0

    def _part(self, part: bytes) -> bool:
        self._size += len(part)
        self._pieces.append(part)
        if self._size > _LONGEST_EVENT:
            self._pieces = []
        return self._size <= _LONGEST_EVENT

    def _end(self) -> None:
        raw = b"".join(self._pieces)
        self._pieces = []
        self._whole(raw, 0, len(raw))


_SOUND = b"input_audio_buffer.append"

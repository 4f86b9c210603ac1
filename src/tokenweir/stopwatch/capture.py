"""One watched call as a whole, put together from its moments while they come."""

import re

import msgspec

from .frames import BOM, Frame, read_chunk, read_event
from .moments import Began, BodyPiece, Chunk, Connected, Ended, Head, Moment

__all__ = ["EVENT_END", "Capture", "TimedEvent", "Watching"]

EVENT_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4

# The first line of server-sent events, and what may become one when more has come.
_BEGINS_EVENTS = re.compile(rb"(?:data|event|id|retry)?[:\r\n]")
_BEGINNINGS = tuple(b"%b:" % name for name in (b"data", b"event", b"id", b"retry"))
_BEGINS_OTHER = (b"{", b"[", b"<")
_BLANK = b" \t\r\n"


class TimedEvent(msgspec.Struct, frozen=True):
    """One event of the stream."""

    at: float
    """When its last byte was there."""
    size: int
    frame: Frame
    raw: bytes
    """From its first line to its empty one; from the SDK only the data."""
    is_cut: bool = False
    """Whether the stream ended inside it."""


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is over, or was left."""

    began: Began
    connected: Connected | None
    head: Head | None
    pieces: list[BodyPiece]
    events: list[TimedEvent]
    ended: Ended

    @property
    def body(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def is_stream(self) -> bool:
        """Whether the answer was read as events."""
        return bool(self.events) or (self.head is not None and _is_named_stream(self.head))


class Watching:
    """Takes a call's moments; says which events each of them completed."""

    def __init__(self, began: Began) -> None:
        self._began = began
        self._connected: Connected | None = None
        self._head: Head | None = None
        self._pieces: list[BodyPiece] = []
        self._events: list[TimedEvent] = []
        self._rest = b""  # of an event that has not ended
        self._seen = 0  # how much of it is known to hold no end
        self._is_stream: bool | None = None  # not known before the body has begun

    def add(self, moment: Moment) -> list[TimedEvent]:
        """The events that are whole now."""
        match moment:
            case Connected():
                self._connected = moment
            case Head():
                self._head = moment
            case BodyPiece():
                self._pieces.append(moment)
                return self._keep(self._split(moment))
            case Chunk(at=at, data=data):
                raw = data.encode(errors="replace")
                return self._keep([TimedEvent(at, len(raw), read_chunk(raw), raw)])
        return []

    def end(self, ended: Ended) -> Capture:
        """The call as a whole. An event that never ended is its last."""
        if self._is_stream is None and self._head is not None and not _is_named_stream(self._head):
            self._rest = b""
        if rest := self._rest.strip():
            at = self._pieces[-1].at
            self._events.append(TimedEvent(at, len(rest), read_event(rest), self._rest, is_cut=True))
        return Capture(
            began=self._began,
            connected=self._connected,
            head=self._head,
            pieces=self._pieces,
            events=self._events,
            ended=ended,
        )

    def _keep(self, events: list[TimedEvent]) -> list[TimedEvent]:
        self._events += events
        return events

    def _split(self, piece: BodyPiece) -> list[TimedEvent]:
        events: list[TimedEvent] = []
        if self._is_stream is None and self._head is not None:
            self._is_stream = _is_stream(self._head, self._rest + piece.data)
        if self._is_stream is False:
            self._rest = b""
            return events
        self._rest += piece.data
        if self._is_stream is None:
            return events
        start = 0
        for end in EVENT_END.finditer(self._rest, max(0, self._seen - _LONGEST_END)):
            raw = self._rest[start : end.end()]
            if raw.strip():
                events.append(TimedEvent(piece.at, len(raw), read_event(raw), raw))
            start = end.end()
        self._rest = self._rest[start:]
        self._seen = len(self._rest)
        return events


def _is_stream(head: Head, start: bytes) -> bool | None:
    """Whether a body that begins so is read as events; None where more has to come. A refusal never is.

    What comes as text/event-stream is one, readable or not. Else the bytes tell: gateways and servers give a stream
    the type application/json, text/plain or none, and a page of HTML the type of a stream.
    """
    if head.status >= 300:
        return False
    if (head.header("content-type") or "").lower().startswith("text/event-stream"):
        return True
    if BOM.startswith(start):
        return None
    start = start.removeprefix(BOM).lstrip(_BLANK)
    if not start or any(name.startswith(start) for name in _BEGINNINGS):
        return None
    if _BEGINS_EVENTS.match(start):
        return True
    return not start.startswith(_BEGINS_OTHER) and _is_named_stream(head)


def _is_named_stream(head: Head) -> bool:
    """Whether the head alone lets one expect events: of other types, only those of a whole answer or page do not."""
    kind = (head.header("content-type") or "text/event-stream").lower()
    return head.status < 300 and not kind.startswith(("application/json", "text/html"))

"""Meters a WebSocket while it passes: finds in the messages of both sides what each response used.

A message costs one match against its beginning, which says its type; sound is passed over without being looked at. Of
the realtime API only a few events are decoded. Each response over a WebSocket of the Responses API is metered as the
stream of events that it is, by the meter for streams. Of a message 256 KB are held, or the facts of a longer one.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..apis import (
    FACTS,
    SOCKET_EVENTS,
    SOCKET_FACTS,
    SocketEventKind,
    Surface,
    delegated_response,
    digest,
    transcription_model,
)
from ..records import Quantity, Usage, exact_amount
from ..wire import MemberScanner, decode_json
from .accumulator import Accumulator
from .measurement import Measurement
from .socket_messages import BEGINNING, RequestMessages, SocketMessages, type_at
from .stream import StreamMeter

__all__ = ["SocketMeter", "SocketMeterOwner", "UsedOnSocket"]

_LONGEST_HELD = 256 * 1024
_LONGEST_UNPACKED = 16 * 1024 * 1024
# Of responses under way at the same time, and of those that were seen to begin and never to end.
_MOST_OPEN = 64

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


class UsedOnSocket:
    """What one response, or one transcription, has used."""

    def __init__(self, operation: str | None, began: float, measurement: Measurement) -> None:
        self.operation = operation
        """``None``: that of the surface."""
        self.began = began
        """On the monotonic clock."""
        self.measurement = measurement
        self.first_output = 0.0
        self.request = b""
        """What asked for it, where that was read."""
        self.status: int | None = None
        """Of an error that answers a request."""
        self.has_ended = True
        """Whether its own end was seen."""


class SocketMeterOwner(Protocol):
    def used(self, used: UsedOnSocket) -> None: ...


class _Open:
    """A realtime response that has begun."""

    __slots__ = ("began", "first_output")

    def __init__(self, began: float) -> None:
        self.began = began
        self.first_output = 0.0


class SocketMeter(SocketMessages):
    """The upstream's side. It is a ``MessageReceiver``; what was used is told to its owner as soon as it is known."""

    def __init__(
        self,
        surface: Surface,
        owner: SocketMeterOwner,
        requests: RequestMessages | None,
        *,
        unpacks: bool,
        keep_content: bool,
        monotonic: Callable[[], float],
    ) -> None:
        """``requests``: the other side, where the API is the Responses API."""
        super().__init__(_LONGEST_UNPACKED, unpacks)
        self._surface = surface
        self._owner = owner
        self._requests = requests
        self._keep_content = keep_content
        self._monotonic = monotonic
        # of the session
        self.session_id: str | None = None
        self.model: str | None = None
        self._hears_with: str | None = None
        self._seconds: dict[str, Any] | None = None
        # of what is under way
        self._open: dict[str, _Open] = {}
        self._awaits_output: _Open | None = None
        self._stream: StreamMeter | None = None
        self._began = 0.0
        self._request = b""
        # of the message
        self._size = 0
        self._scanner: MemberScanner | None = None
        self._kind: bytes | None = None

    def session(self) -> Measurement:
        """What is known of the session as such; to be asked at its end."""
        read = Accumulator(self._surface)
        read.model = self.model
        made = read.measurement(reason="unreadable" if self.problem is not None else None, unreadable=self.problem)
        made.session_id = self.session_id
        if self._seconds is not None:
            made.usage = _session_usage(self._seconds)
        return made

    def finish(self) -> None:
        """The socket has ended: tells of what is still under way."""
        self._end_stream(has_ended=False)
        while self._next_request():
            self._end_stream(has_ended=False)
        for name, opened in self._open.items():
            used = self._used(opened, {"id": name})
            used.measurement.reason, used.has_ended = "cut", False
            self._owner.used(used)
        self._open.clear()

    # --- messages ---

    def _whole(self, data: bytes, start: int, end: int) -> None:
        found = type_at(data, start, min(end, start + BEGINNING))
        if self._requests is not None:
            self._show(data[start:end], found[1] if found is not None else None)
        elif found is None or found[1] in _TELLING:
            self._event(data[start:end])
        elif self._awaits_output is not None and found[1].endswith(b".delta"):
            self._note_output()

    def _begin(self) -> None:
        self._pieces, self._size, self._scanner, self._kind = [], 0, None, None

    def _part(self, part: bytes) -> bool:
        before, self._size = self._size, self._size + len(part)
        if self._scanner is not None:
            self._scanner.feed(part)
            return True
        self._pieces.append(part)
        if self._size < BEGINNING:
            return True
        if before < BEGINNING:
            beginning = b"".join(self._pieces)
            found = type_at(beginning, 0, BEGINNING)
            self._kind = found[1] if found is not None else None
            if self._requests is None and self._kind is not None:
                if self._kind not in _TELLING:
                    if self._awaits_output is not None and self._kind.endswith(b".delta"):
                        self._note_output()
                    return False
        if self._size > _LONGEST_HELD:
            self._scan()
        return True

    def _scan(self) -> None:
        """Reads the facts of a long message as it passes, instead of holding it."""
        scanner = self._scanner = MemberScanner(SOCKET_FACTS if self._requests is None else FACTS)
        for piece in self._pieces:
            scanner.feed(piece)
        self._pieces = []

    def _end(self) -> None:
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            facts = digest(scanner)
            if self._requests is not None:
                self._note_stream_facts(facts, self._kind)
            else:
                self._note(facts)
            return
        raw = b"".join(self._pieces)
        self._pieces = []
        self._whole(raw, 0, len(raw))

    # --- the Responses API ---

    def _show(self, event: bytes, kind: bytes | None) -> None:
        if self._stream is None and not self._begins(event, kind):
            return
        stream = self._stream
        if stream is None:
            return
        if event.find(b"\n") >= 0 or event.find(b"\r") >= 0:
            event = event.translate(_LINE_ENDS)
        stream.feed(b"data: %b\n\n" % event)
        if kind in _LAST or (kind is None and _names_last(event)):
            self._end_stream(has_ended=True)
        elif kind == b"error":
            self._end_stream(has_ended=True, status=_status_of(event))

    def _begins(self, event: bytes, kind: bytes | None) -> bool:
        """Whether an event is part of a response; what a socket says besides is none."""
        is_response = kind is None or kind.startswith(b"response.") or kind == b"error"
        if not is_response:
            return False
        if not self._next_request():
            if kind == b"error":
                return False  # of the socket, not of a request
            self._began, self._request = self._monotonic(), b""
            self._stream = self._new_stream()
        return True

    def _next_request(self) -> bool:
        """Takes the request that is to be answered next, if its answer is not under way."""
        asked = self._requests.take() if self._requests is not None else None
        if asked is None:
            return False
        self._began, self._request = asked
        self._stream = self._new_stream()
        return True

    def _new_stream(self) -> StreamMeter:
        return StreamMeter(self._surface, keep_content=self._keep_content, monotonic=self._monotonic)

    def _note_stream_facts(self, facts: dict[str, Any], kind: bytes | None) -> None:
        """Of an event that is too long to be held: as if it had said nothing else."""
        self._show(msgspec.json.encode(facts), kind)

    def _end_stream(self, *, has_ended: bool, status: int | None = None) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        used = UsedOnSocket(None, self._began, stream.finish())
        used.first_output = stream.first_token_at or 0.0
        used.request, used.status, used.has_ended = self._request, status, has_ended
        self._request = b""
        self._owner.used(used)

    # --- the realtime API ---

    def _event(self, raw: bytes) -> None:
        event = decode_json(raw)
        if isinstance(event, dict):
            self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        kind: SocketEventKind | None = SOCKET_EVENTS.get(str(event.get("type")))
        if kind == "session":
            self._note_session(event)
        elif kind == "seconds":
            self._note_seconds(event)
        elif kind == "begins":
            self._note_begin(_object(event, "response"))
        elif kind == "ends":
            response = _object(event, "response")
            opened = self._open.pop(str(response.get("id")), None)
            if opened is not None and opened is self._awaits_output:
                self._awaits_output = None
            self._owner.used(self._used(opened, response))
        elif kind == "transcribed" or kind == "not transcribed":
            self._owner.used(self._transcribed(event))
        elif kind == "delegated":
            delegated = delegated_response(event)
            if delegated is not None:
                self._owner.used(self._used(None, delegated))

    def _note_session(self, event: dict[str, Any]) -> None:
        session = _object(event, "session")
        self.session_id = _text(session.get("id")) or self.session_id
        self.model = _text(session.get("model")) or self.model
        self._hears_with = transcription_model(session) or self._hears_with

    def _note_seconds(self, event: dict[str, Any]) -> None:
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._seconds = usage
        if isinstance(event.get("session"), dict):
            self._note_session(event)

    def _note_begin(self, response: dict[str, Any]) -> None:
        name = response.get("id")
        if isinstance(name, str) and len(self._open) < _MOST_OPEN:
            self._awaits_output = self._open[name] = _Open(self._monotonic())

    def _note_output(self) -> None:
        opened, self._awaits_output = self._awaits_output, None
        if opened is not None:
            opened.first_output = self._monotonic()

    def _used(self, opened: _Open | None, response: dict[str, Any]) -> UsedOnSocket:
        read = Accumulator(self._surface)
        read.model = _text(response.get("model")) or self.model
        read.id = _text(response.get("id"))
        read.service_tier = _text(response.get("service_tier"))
        usage, status, details = response.get("usage"), response.get("status"), _object(response, "status_details")
        read.usage = usage if isinstance(usage, dict) else None
        error = details.get("error") or response.get("error")
        if status == "failed" or error:
            told = error if isinstance(error, dict) else {}
            read.error_code = _text(told.get("code")) or _text(told.get("type")) or "error"
        made = read.measurement(reason=None if read.usage else "withheld")
        made.chunks = 1
        if isinstance(status, str):
            made.finish_reasons = [_REASONS.get(status) or _text(details.get("reason")) or status]
        made.session_id = self.session_id
        used = UsedOnSocket(None, opened.began if opened is not None else self._monotonic(), made)
        if opened is not None:
            used.first_output = opened.first_output
        return used

    def _transcribed(self, event: dict[str, Any]) -> UsedOnSocket:
        read = Accumulator(self._surface)
        read.model, read.id = self._hears_with, _text(event.get("item_id"))
        usage = event.get("usage")
        read.usage = usage if isinstance(usage, dict) else None
        error = event.get("error")
        if isinstance(error, dict):
            read.error_code = _text(error.get("code")) or _text(error.get("type")) or "error"
        made = read.measurement(reason=None if read.usage or read.error_code else "withheld")
        made.chunks = 1
        made.session_id = self.session_id
        return UsedOnSocket("transcription", self._monotonic(), made)


_LAST = frozenset([b"response.completed", b"response.incomplete", b"response.failed"])
_REASONS = {"completed": "stop"}
_TELLING = frozenset(name.encode("ascii") for name in SOCKET_EVENTS)


def _names_last(event: bytes) -> bool:
    decoded = decode_json(event)
    return isinstance(decoded, dict) and str(decoded.get("type")).encode() in _LAST


def _status_of(event: bytes) -> int | None:
    decoded = decode_json(event)
    status = decoded.get("status") if isinstance(decoded, dict) else None
    return status if isinstance(status, int) and 100 <= status <= 599 else None


def _session_usage(told: dict[str, Any]) -> Usage | None:
    seconds = exact_amount(told.get("seconds"))
    if seconds is None:
        return None
    return Usage(source="reported", raw=told, quantities={"session_seconds": Quantity(seconds)})


def _object(event: dict[str, Any], name: str) -> dict[str, Any]:
    inner = event.get(name)
    return inner if isinstance(inner, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None

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
from .socket_messages import BEGINNING, RequestMessages, SaidMessages, SocketMessages, lane_of, type_at
from .stream import StreamMeter

__all__ = ["SocketMeter", "SocketMeterOwner", "UsedOnSocket"]

_LONGEST_HELD = 256 * 1024
_LONGEST_UNPACKED = 16 * 1024 * 1024
# Of responses under way at the same time, and of those that were seen to begin and never to end.
_MOST_OPEN = 64
# Of ends that were told, so that one that is told again counts once.
_MOST_TOLD = 256

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

    __slots__ = ("began", "first_output", "request")

    def __init__(self, began: float, request: bytes) -> None:
        self.began = began
        self.first_output = 0.0
        self.request = request


class _Streamed:
    """An answer of the Responses API that has begun."""

    __slots__ = ("began", "request", "stream")

    def __init__(self, stream: StreamMeter, began: float, request: bytes) -> None:
        self.stream = stream
        self.began = began
        self.request = request


class SocketMeter(SocketMessages):
    """The upstream's side. It is a ``MessageReceiver``; what was used is told to its owner as soon as it is known."""

    def __init__(
        self,
        surface: Surface,
        owner: SocketMeterOwner,
        requests: RequestMessages | None,
        said: SaidMessages | None = None,
        *,
        unpacks: bool,
        keep_content: bool,
        monotonic: Callable[[], float],
    ) -> None:
        """``requests``: the other side, where the API is the Responses API; ``said``: where it is another one, and
        contents are kept."""
        super().__init__(_LONGEST_UNPACKED, unpacks)
        self._surface = surface
        self._owner = owner
        self._requests = requests
        self._said = said
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
        self._streams: dict[str | None, _Streamed] = {}
        self._told: dict[tuple[str, bytes], None] = {}
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
        for streamed in [*self._streams.values(), *self._never_answered()]:
            self._tell(streamed, has_ended=False)
        self._streams.clear()
        for name, opened in self._open.items():
            used = self._used(opened, {"id": name}, b"")
            used.measurement.reason, used.has_ended = "cut", False
            self._owner.used(used)
        self._open.clear()

    # --- messages ---

    def _whole(self, data: bytes, start: int, end: int) -> None:
        found = type_at(data, start, min(end, start + BEGINNING))
        if self._requests is not None:
            event = data[start:end]
            self._show(event, found[1] if found is not None else _type_of(event), lane_of(event))
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
                # as if it had said nothing else
                event = msgspec.json.encode(facts)
                self._show(event, self._kind or _type_of(event), lane_of(event))
            else:
                self._note(facts, b"")
            return
        raw = b"".join(self._pieces)
        self._pieces = []
        self._whole(raw, 0, len(raw))

    # --- the Responses API ---

    def _show(self, event: bytes, kind: bytes | None, lane: str | None) -> None:
        if kind is not None and kind.startswith(_ABOUT_INPUT):
            return
        streamed, is_error = self._streams.get(lane), kind == b"error"
        status = _status_of(event) if is_error else None
        refused = self._next_request(lane) if streamed is not None and status is not None else None
        if refused is not None:  # the answer to another request goes on
            streamed = refused
        elif streamed is None:
            streamed = self._begins(kind, lane)
            if streamed is None:
                return
            self._streams[lane] = streamed
        if event.find(b"\n") >= 0 or event.find(b"\r") >= 0:
            event = event.translate(_LINE_ENDS)
        streamed.stream.feed(b"data: %b\n\n" % event)
        if is_error or kind in _LAST:
            if refused is None:
                del self._streams[lane]
            self._tell(streamed, has_ended=True, status=status)

    def _begins(self, kind: bytes | None, lane: str | None) -> _Streamed | None:
        """The response that an event belongs to which belongs to none that is under way. What a socket says besides
        belongs to none, and neither does an error that answers no request."""
        if kind is None or not (kind.startswith(b"response.") or kind == b"error"):
            return None
        if len(self._streams) >= _MOST_OPEN:
            self.problem = f"more than {_MOST_OPEN} responses are under way at once"
            return None
        streamed = self._next_request(lane)
        if streamed is None and (kind in _FIRST or kind in _LAST):  # one that nobody has asked for here
            streamed = _Streamed(self._new_stream(), self._monotonic(), b"")
        return streamed

    def _next_request(self, lane: str | None) -> _Streamed | None:
        """Takes the request that is to be answered next."""
        asked = self._requests.take(lane) if self._requests is not None else None
        return _Streamed(self._new_stream(), *asked) if asked is not None else None

    def _never_answered(self) -> list[_Streamed]:
        waiting = self._requests.lanes() if self._requests is not None else []
        return [streamed for lane in waiting if (streamed := self._next_request(lane)) is not None]

    def _new_stream(self) -> StreamMeter:
        return StreamMeter(self._surface, keep_content=self._keep_content, monotonic=self._monotonic)

    def _tell(self, streamed: _Streamed, *, has_ended: bool, status: int | None = None) -> None:
        used = UsedOnSocket(None, streamed.began, streamed.stream.finish())
        used.first_output = streamed.stream.first_token_at or 0.0
        used.request, used.status, used.has_ended = streamed.request, status, has_ended
        if self._is_told_first(used.measurement):
            self._owner.used(used)

    def _is_told_first(self, made: Measurement) -> bool:
        """Whether this end was not told before: one that comes twice says the same of the same id."""
        if made.response_id is None or made.usage is None:
            return True
        told = (made.response_id, msgspec.json.encode(made.usage.raw))
        if told in self._told:
            return False
        self._told[told] = None
        if len(self._told) > _MOST_TOLD:
            del self._told[next(iter(self._told))]
        return True

    # --- the realtime API ---

    def _event(self, raw: bytes) -> None:
        event = decode_json(raw)
        if isinstance(event, dict):
            self._note(event, raw)

    def _note(self, event: dict[str, Any], raw: bytes) -> None:
        """``raw``: the event as it came, where it was held."""
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
            used = self._used(opened, response, raw)
            if self._is_told_first(used.measurement):
                self._owner.used(used)
        elif kind == "transcribed" or kind == "not transcribed":
            self._owner.used(self._transcribed(event, raw))
        elif kind == "delegated":
            delegated = delegated_response(event)
            if delegated is not None:
                self._owner.used(self._used(None, delegated, raw))

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
            self._awaits_output = self._open[name] = _Open(self._monotonic(), self._taken())

    def _taken(self) -> bytes:
        return self._said.take() if self._said is not None else b""

    def _note_output(self) -> None:
        opened, self._awaits_output = self._awaits_output, None
        if opened is not None:
            opened.first_output = self._monotonic()

    def _used(self, opened: _Open | None, response: dict[str, Any], raw: bytes) -> UsedOnSocket:
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
        made.content = self._kept(raw)
        used = UsedOnSocket(None, opened.began if opened is not None else self._monotonic(), made)
        used.request = opened.request if opened is not None else self._taken()
        if opened is not None:
            used.first_output = opened.first_output
        return used

    def _kept(self, raw: bytes) -> str | None:
        return raw.decode("utf-8", "replace") if raw and self._keep_content else None

    def _transcribed(self, event: dict[str, Any], raw: bytes) -> UsedOnSocket:
        read = Accumulator(self._surface)
        read.model, read.id = self._hears_with, _text(event.get("item_id"))
        usage = event.get("usage")
        read.usage = usage if isinstance(usage, dict) else None
        error = event.get("error")
        if isinstance(error, dict):
            read.error_code = _text(error.get("code")) or _text(error.get("type")) or "error"
        made = read.measurement(reason=None if read.usage or read.error_code else "withheld")
        made.chunks = 1
        made.session_id, made.content = self.session_id, self._kept(raw)
        return UsedOnSocket("transcription", self._monotonic(), made)


_FIRST = frozenset([b"response.created", b"response.queued", b"response.in_progress"])
_LAST = frozenset([b"response.completed", b"response.incomplete", b"response.failed"])
# What becomes of input that a client has sent while an answer was under way, or after it.
_ABOUT_INPUT = (b"response.steer.", b"response.inject.")
_REASONS = {"completed": "stop"}
_TELLING = frozenset(name.encode("ascii") for name in SOCKET_EVENTS)


def _type_of(event: bytes) -> bytes | None:
    """Of one where it does not stand first."""
    decoded = decode_json(event)
    kind = decoded.get("type") if isinstance(decoded, dict) else None
    return kind.encode("utf-8", "replace") if isinstance(kind, str) else None


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

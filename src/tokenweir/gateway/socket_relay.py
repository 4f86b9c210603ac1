"""A WebSocket on its way: what arrives from either side goes to the other as it came, and the meter watches.

    client ─▶ _Side ─▶ upstream          No frame is held, made anew, masked or unmasked. A side that takes nothing
    client ◀─ _Side ◀─ upstream          stops the reading of the other one, so memory per socket is bounded.

The transports are the connections' own; their HTTP is over, so they tell the two sides here what comes, and nothing
stands between a frame's arrival and its being written.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..errors import UpstreamBroken
from ..metering import Measurement, RequestMessages, SaidMessages, SocketMeter, log_failure
from ..records import Outcome
from ..wire import CLOSE_WITHOUT_CODE, FrameReader, ResponseHead, close_frame
from .handshake import packs_messages
from .request import Request
from .services import Services
from .socket_records import SocketRecords

__all__ = ["GOING_AWAY", "POLICY_VIOLATION", "TRY_AGAIN_LATER", "SocketOwner", "SocketRelay", "new_socket_relay"]

# What these say is that all went well (RFC 6455, 7.4.1).
_WELL = (1000, 1001, CLOSE_WITHOUT_CODE)

GOING_AWAY = 1001
"""The close code of a server that stops, or gives up waiting."""
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013


class SocketOwner(Protocol):
    """Who is told, once, how it ended."""

    def socket_ended(self, outcome: Outcome, error_code: str | None) -> None: ...


class SocketConnection(Protocol):
    """A connection whose transport was handed over, and which still keeps the books of what is open."""

    def connection_lost(self, error: Exception | None) -> None: ...


class SocketRelay:
    """Both directions of one WebSocket. ``join`` it to the two transports, then it ends by itself or by ``stop``."""

    def __init__(
        self,
        owner: SocketOwner,
        meter: SocketMeter | None,
        client: FrameReader,
        upstream: FrameReader,
        records: SocketRecords | None,
    ) -> None:
        """The readers follow what comes from the client and from the upstream. Without a ``meter`` nothing is read.
        With ``records`` (strict durability) what tells that a response has ended waits until they are on disk."""
        self._owner: SocketOwner | None = owner
        self._meter = meter
        self.client = _Side(self, client, is_client=True)
        self.upstream: _Side
        if records is None:
            self.upstream = _Side(self, upstream, is_client=False)
        else:
            self.upstream = _HoldingSide(self, upstream, records)
        self.problem: str | None = None
        """Why it is not metered any more."""
        self._closed_first: _Side | None = None
        self._mark = (0, 0.0)

    def __repr__(self) -> str:
        return f"<SocketRelay {self.client.reader!r} in, {self.upstream.reader!r} out>"

    def join(
        self,
        client: tuple[asyncio.Transport, bytes],
        upstream: tuple[asyncio.Transport, bytes],
        connections: tuple[SocketConnection, SocketConnection],
    ) -> None:
        """Begins. Each transport comes with what had been read of it; ``connections`` are the client's and the
        upstream's."""
        self.client.begin(client[0], upstream[0].write, connections[0])
        self.upstream.begin(upstream[0], client[0].write, connections[1])
        if upstream[1]:
            self.upstream.data_received(upstream[1])
        if client[1]:
            self.client.data_received(client[1])

    def is_idle(self, now: float, limit: float) -> bool:
        """Whether neither side has sent anything for more than ``limit`` seconds. To be asked again and again."""
        seen, since = self._mark
        received = self.client.received + self.upstream.received
        if seen != received or not since:
            self._mark = (received, now)
            return False
        return now - since > limit

    def stop(self, code: int | None) -> None:
        """The owner ends it, or has learnt that it has ended. With a ``code`` both sides are told so in a close frame,
        where one can stand. The upstream closes; the client is the owner's."""
        self._owner = None
        if code is not None and self.problem is None:
            if self.upstream.can_be_followed:
                self.client.write_last(close_frame(code, is_masked=False))
            if self.client.can_be_followed:
                self.upstream.write_last(close_frame(code, is_masked=True))
        self.client.send_no_more()
        self.upstream.close()

    def reading(self) -> Measurement | None:
        """What the meter knows of the session as such, after it has told of what was under way. To be asked once."""
        meter = self._meter
        if meter is None:
            return None
        try:
            meter.finish()
            measurement = meter.session()
        except Exception as error:
            self.lose_meter(error)
            return None
        if self.problem is not None:
            measurement.unreadable, measurement.reason = self.problem, "unreadable"
        return measurement

    @property
    def was_left_by_client(self) -> bool:
        """Whether it was the client that ended it."""
        return self._closed_first is self.client

    # --- what the sides tell ---

    def lose_meter(self, error: Exception) -> None:
        """The socket goes on without."""
        if self.problem is None:
            log_failure("a WebSocket could not be metered", error)
            self.problem = f"the meter failed: {type(error).__name__}"

    def lost(self, side: "_Side") -> None:
        """One side has closed. What was written for the other still reaches it."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.socket_ended(*self._ending(side))

    def note_close(self, side: "_Side") -> None:
        """A side has said that it closes."""
        if self._closed_first is None:
            self._closed_first = side

    def _ending(self, lost: "_Side") -> tuple[Outcome, str | None]:
        first = self._closed_first
        if first is None:
            self._closed_first = lost
            return ("client_gone", None) if lost.is_client else ("upstream_broken", UpstreamBroken.code)
        code = first.reader.close_code
        if first.is_client or code in _WELL:
            return "completed", None
        return "upstream_error", f"websocket_close_{code}"


def new_socket_relay(
    owner: SocketOwner, records: SocketRecords, services: Services, request: Request, answer: ResponseHead
) -> SocketRelay:
    """The relay for a WebSocket to which an upstream has agreed. What is not metered is followed for its end only."""
    surface = request.address.surface
    if not request.address.is_metered:
        return SocketRelay(owner, None, FrameReader(None), FrameReader(None), None)
    unpacks, monotonic = packs_messages(answer.lines), services.clock.monotonic
    # on a WebSocket of an API that also takes single requests, each message of the client's is one
    requests = RequestMessages(monotonic, unpacks) if surface.paths else None
    said = SaidMessages(unpacks) if requests is None and services.keeps_content else None
    meter = SocketMeter(
        surface, records, requests, said, unpacks=unpacks, keep_content=services.keeps_content, monotonic=monotonic
    )
    held_for = records if services.is_strict else None
    return SocketRelay(owner, meter, FrameReader(requests or said), FrameReader(meter), held_for)


class _Side:
    """What comes from one side. An ``asyncio.Protocol`` by its methods."""

    def __init__(self, relay: SocketRelay, reader: FrameReader, *, is_client: bool) -> None:
        self._relay = relay
        self.reader = reader
        self.is_client = is_client
        self.received = 0
        """Bytes."""
        self._send: Callable[[bytes], None] = _to_nobody
        self._transport: asyncio.Transport | None = None
        self._connection: SocketConnection | None = None
        self._other_is_full = False
        self._waits_for_disk = False

    def begin(self, transport: asyncio.Transport, send: Callable[[bytes], None], connection: SocketConnection) -> None:
        """``send``: the other side's."""
        self._transport, self._send, self._connection = transport, send, connection

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._send(data)
        self._follow(data)

    def _follow(self, data: bytes) -> None:
        relay, reader = self._relay, self.reader
        if relay.problem is None:
            try:
                reader.feed(data)
            except Exception as error:
                relay.lose_meter(error)
            if reader.close_code is not None:
                relay.note_close(self)

    def eof_received(self) -> None:
        """The transport closes by itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It was made before."""

    def pause_writing(self) -> None:
        """This side takes nothing more for now: the other one is not read."""
        self._other.regulate(is_full=True)

    def resume_writing(self) -> None:
        self._other.regulate(is_full=False)

    def regulate(self, *, is_full: bool) -> None:
        """``is_full``: whether the other side takes nothing more for now."""
        self._other_is_full = is_full
        self._regulate()

    def _regulate(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._other_is_full or self._waits_for_disk:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        connection, self._connection, self._transport = self._connection, None, None
        self._other.send_no_more()
        self._relay.lost(self)
        if connection is not None:
            connection.connection_lost(error)

    def write_last(self, data: bytes) -> None:
        """Of the gateway itself."""
        if self._transport is not None:
            self._transport.write(data)

    def send_no_more(self) -> None:
        """Whatever still comes from here goes to nobody."""
        self._send = _to_nobody

    def close(self) -> None:
        """What was written still goes out."""
        if self._transport is not None:
            self._transport.close()

    @property
    def can_be_followed(self) -> bool:
        """Whether all that came from here are whole frames, and none that closes: then one of our own can come next."""
        return self.reader.is_between_frames and self.reader.close_code is None

    @property
    def _other(self) -> "_Side":
        return self._relay.upstream if self.is_client else self._relay.client


class _HoldingSide(_Side):
    """The upstream's, in strict durability: what tells that a response has ended is held until its record is on disk,
    and the upstream is not read meanwhile."""

    def __init__(self, relay: SocketRelay, reader: FrameReader, records: SocketRecords) -> None:
        super().__init__(relay, reader, is_client=False)
        self._records = records
        self._held: list[bytes] = []
        records.when_durable = self._release

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._follow(data)
        if self._held or self._records.waiting:
            self._held.append(data)
            self._waits_for_disk = True
            self._regulate()
        else:
            self._send(data)

    def _release(self) -> None:
        """All records so far are on disk."""
        held, self._held = self._held, []
        for data in held:
            self._send(data)
        self._waits_for_disk = False
        self._regulate()

    @property
    def can_be_followed(self) -> bool:
        return not self._held and self.reader.is_between_frames and self.reader.close_code is None


def _to_nobody(data: bytes) -> None:
    """Where bytes go whose receiver has left."""

"""The body of one request on its way in: held until whole and read, or passed on to an upstream as it comes."""

import asyncio

from ..errors import BodyTooLarge
from ..upstream import UpstreamConnection
from ..wire import RequestHead, chunk
from .accept import body_reader, cannot_be_read, read_body, take_members
from .held_body import SMALL, HeldBody, encoding_of
from .request import Client, Request
from .services import Services
from .timings import Timings

__all__ = ["RequestBody", "Upload"]

# How long a large body may be read in one turn of the loop.
_READ_SECONDS = 0.002
# And as a piece of it arrives.
_READ_ARRIVING_SECONDS = 0.0005

# What may wait for its connection before the client is asked to pause.
_MAX_WAITING = 256 * 1024


class RequestBody:
    """Counts and bounds what comes. ``upload`` is there where the body is passed on."""

    upload: "Upload | None" = None
    size = 0
    """Bytes that have come."""
    is_whole = False
    _small = b""
    _taken = 0
    _held: HeldBody | None = None
    _encoding: bytes | None = None

    def __init__(self, services: Services) -> None:
        self._services = services

    def expect(self, request: Request, head: RequestHead, client: Client, timings: Timings) -> None:
        """What the head announces. Raises ``BodyTooLarge``, ``BuffersFull`` or ``UnsupportedEncoding``."""
        length, address = head.content_length, request.address
        if length:
            if length > self.limit(request):
                raise self.too_large(request)
            if length > SMALL and address.is_buffered:
                self._services.bodies.must_have(length)
        if not address.is_buffered:
            self.upload = Upload(client, timings, self._services, chunked=length is None)
        elif b"content-encoding" in head.fields and address.is_metered:
            self._encoding = encoding_of(head.fields[b"content-encoding"])

    def limit(self, request: Request) -> int:
        """Bytes that it may have."""
        settings = self._services.settings
        return settings.max_body if request.address.is_buffered else settings.max_upload

    def too_large(self, request: Request) -> BodyTooLarge:
        setting = "max_body" if request.address.is_buffered else "max_upload"
        return BodyTooLarge(
            f"The request's body is larger than this gateway accepts: {self.limit(request)} bytes (server.{setting})."
        )

    def add(self, request: Request, data: bytes) -> None:
        """The next piece, already counted. Raises ``BodyTooLarge``, ``BuffersFull`` or ``InvalidBody``."""
        if self.size > self.limit(request):
            raise self.too_large(request)
        if self.upload is not None:
            self.upload.add(data)
            return
        held = self._held
        if held is None:
            length = len(data)
            if length == request.head.content_length and length <= SMALL and self._encoding is None:
                bodies = self._services.bodies
                if bodies.used + length > bodies.limit:
                    bodies.must_have(length)
                bodies.used += length
                self._small, self._taken = data, length
                return
            settings = self._services.settings
            held = self._held = HeldBody(
                self._services.bodies,
                settings.max_body,
                lambda: self.too_large(request),
                self._encoding,
                body_reader(request),
            )
        held.add(data)
        held.read(_READ_ARRIVING_SECONDS, self._services.clock.monotonic)

    def read(self, request: Request) -> bool:
        """Once it is whole: fills in what it asks for. False where it is large, and `read_on` has to do the rest.
        Raises what ``read_body`` does."""
        held = self._held
        if held is None:
            small, self._small = self._small, b""
            read_body(request, small)
            return True
        held.end()
        return self._read_held(request, held)

    async def read_on(self, request: Request) -> None:
        """Reads a large body between the turns of others, until it is read or dropped. Raises as ``read_body`` does."""
        await asyncio.sleep(0)
        while self._held is not None and not self._read_held(request, self._held):  # noqa: ASYNC110 - no event, a turn
            await asyncio.sleep(0)

    def _read_held(self, request: Request, held: HeldBody) -> bool:
        if not held.read(_READ_SECONDS, self._services.clock.monotonic):
            return False
        if held.is_small:
            read_body(request, b"".join(held.pieces))
            return True
        request.pieces, request.members = held.pieces, held.members
        if held.members is not None:
            take_members(request, held.members)
        elif held.error is not None:
            cannot_be_read(request, held.error)
        return True

    def drop(self) -> None:
        """Nobody needs it any more."""
        if self._taken:
            self._services.bodies.used -= self._taken
            self._small, self._taken = b"", 0
        held, self._held = self._held, None
        if held is not None:
            held.release()


class Upload:
    """Pieces on their way from a client to an upstream. Once one has left, the request cannot be repeated."""

    def __init__(self, client: Client, timings: Timings, services: Services, *, chunked: bool) -> None:
        self._client = client
        self._timings = timings
        self._clock = services.clock
        self._chunked = chunked
        self._waiting: list[bytes] = []
        self._size = 0
        self._connection: UpstreamConnection | None = None
        self._is_whole = False
        self.has_begun = False
        self.is_paused = False

    def add(self, data: bytes) -> None:
        if self._connection is not None:
            self._pass_on(self._connection, data)
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._size > _MAX_WAITING:
            self._client.pause_body(True)

    def end(self) -> None:
        self._is_whole = True
        if self._connection is not None:
            self._connection.is_uploading = False
            if self._chunked:
                self._connection.write(b"0\r\n\r\n")

    def connect(self, connection: UpstreamConnection) -> None:
        """The request's head is sent; what waited follows it."""
        self._connection = connection
        connection.is_uploading = True
        for data in self._waiting:
            self._pass_on(connection, data)
        self._waiting.clear()
        if self._is_whole:
            self.end()
        else:
            self._client.pause_body(False)

    def pause(self, paused: bool) -> None:
        """The upstream takes no more for now, or takes it again."""
        self.is_paused = paused
        self._timings.sent = self._clock.monotonic()
        if not self._is_whole:
            self._client.pause_body(paused)

    def _pass_on(self, connection: UpstreamConnection, data: bytes) -> None:
        self.has_begun = True
        connection.write(chunk(data) if self._chunked else data)

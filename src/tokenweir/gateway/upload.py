"""A request body that is passed through as it comes: uploads, and whatever need not be read to be served."""

from ..upstream import UpstreamConnection
from ..wire import chunk
from .request import Client

__all__ = ["Upload"]

# What may wait for its connection before the client is asked to pause.
_MAX_WAITING = 256 * 1024


class Upload:
    """Pieces on their way from a client to an upstream. Once one has left, the request cannot be repeated."""

    def __init__(self, client: Client, *, chunked: bool) -> None:
        self._client = client
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
        if not self._is_whole:
            self._client.pause_body(paused)

    def _pass_on(self, connection: UpstreamConnection, data: bytes) -> None:
        self.has_begun = True
        connection.write(chunk(data) if self._chunked else data)

"""Watches a call by raw HTTP/1.1: every read of the socket has its time, before anything is done with it.

h11 and a blocking socket, and not the gateway's own reader, so that a fault of that cannot hide here.
"""

import socket
import ssl
import zlib
from collections.abc import Iterator
from contextlib import closing

import h11
import msgspec

from .. import __version__
from ..errors import ConfigError
from ..proxies import NoConnection, look_up, reach, secure
from ..records import Clock
from ..upstream import Endpoint
from .headers import shown_headers
from .masking import BodyMask
from .moments import READ_SIZE, Began, BodyPiece, Connected, Ended, Ending, Head, Tell
from .target import StreamTarget

__all__ = ["watch_http"]

_LONGEST_HEAD = 64 * 1024


def watch_http(target: StreamTarget, prompt: str, *, timeout: float, clock: Clock, tell: Tell) -> None:
    """Makes one call and tells its moments, the last of which is always ``Ended``.

    ``timeout`` is how long to wait for a connection, and then for each further byte.
    """
    tell(Began.now(target, "http", clock))
    began = clock.monotonic()
    try:
        connection, connected = _connect(target.endpoint, timeout, clock)
    except NoConnection as error:
        tell(Ended(round(clock.monotonic() - began, 6), "unreachable", str(error)))
        return
    tell(connected)
    with closing(connection):
        exchange = _Exchange(connection, target, clock, tell)
        ended = exchange.run(_request(target, prompt))
    tell(ended)


def _connect(endpoint: Endpoint, timeout: float, clock: Clock) -> tuple[socket.socket, Connected]:
    """A socket on which nothing has been said, and the time that each step took. Through ``HTTPS_PROXY`` where the
    environment names one and the endpoint is TLS, as the official SDKs do. Raises ``NoConnection``."""
    try:
        proxy = endpoint.proxy(None)
    except ConfigError as error:
        raise NoConnection("proxy", f"HTTPS_PROXY or ALL_PROXY: {error}") from error
    host, port = (endpoint.host, endpoint.port) if proxy is None else (proxy.host, proxy.port)
    began = clock.monotonic()
    addresses = look_up(host, port)
    found = clock.monotonic()
    connection = reach(endpoint.host, endpoint.port, proxy, addresses, timeout)
    reached = clock.monotonic()
    address = str(connection.getpeername()[0])
    tls = None
    if endpoint.tls:
        connection = secure(connection, endpoint.host)
        tls = round(clock.monotonic() - reached, 6)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    through = None if proxy is None else str(proxy)
    return connection, Connected(address, round(found - began, 6), round(reached - found, 6), tls, through)


def _request(target: StreamTarget, prompt: str) -> tuple[h11.Request, bytes]:
    body = msgspec.json.encode(target.body(prompt))
    headers = [
        ("host", target.endpoint.authority.decode()),
        ("user-agent", f"tokenweir-stream/{__version__}"),
        ("accept", "text/event-stream, application/json"),
        ("accept-encoding", "identity"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    given = {name.lower() for name, _ in target.headers}
    line = [target.key_line] if target.key_line else []
    headers = [header for header in (*headers, *line) if header[0].lower() not in given]
    return h11.Request(method="POST", target=target.request_target, headers=[*headers, *target.headers]), body


class _Exchange:
    """One request and its answer on one connection."""

    def __init__(self, connection: socket.socket, target: StreamTarget, clock: Clock, tell: Tell) -> None:
        self._socket = connection
        self._clock = clock
        self._tell = tell
        self._secrets = target.secrets
        self._every_header = target.every_header
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._mask = BodyMask(target.secrets)
        self._unpack = _Unpacker(None)
        self._has_head = False
        self._zero = 0.0
        self._at = 0.0  # of the last read

    def run(self, request: tuple[h11.Request, bytes]) -> Ended:
        head, body = request
        data = (self._h11.send(head) or b"") + (self._h11.send(h11.Data(body)) or b"")
        data += self._h11.send(h11.EndOfMessage()) or b""
        self._zero = self._clock.monotonic()
        how, detail = self._converse(data)
        at = self._now()
        if rest := self._mask.feed(self._unpack.finish()) + self._mask.finish():
            self._tell(BodyPiece(self._at, rest, 0))
        return Ended(at if how == "timed_out" else self._at, how, detail)

    def _converse(self, data: bytes) -> tuple[Ending, str]:
        try:
            self._socket.sendall(data)
            while True:
                received = self._socket.recv(READ_SIZE)
                self._at = self._now()
                if not received and not self._has_head:
                    return "closed", "the connection was closed without an answer"
                self._h11.receive_data(received)
                if self._take():
                    return "complete", ""
        except TimeoutError:
            return "timed_out", f"nothing came for {self._socket.gettimeout():g} s"
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return "closed", "the connection was closed without TLS saying so"
        except OSError as error:
            self._at = self._now()
            return "reset", error.strerror or str(error)
        except h11.RemoteProtocolError as error:
            return ("closed" if self._has_head else "not_http"), str(error)

    def _now(self) -> float:
        return round(self._clock.monotonic() - self._zero, 6)

    def _take(self) -> bool:
        """Tells what one read gave; whether the answer is over."""
        body: list[bytes] = []
        try:
            for event in self._events():
                if isinstance(event, h11.Response):
                    self._has_head = True
                    self._tell(self._head(event))
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return True
            return False
        finally:  # also what came before something that is no HTTP
            if packed := b"".join(body):
                self._tell(BodyPiece(self._at, self._mask.feed(self._unpack.feed(packed)), len(packed)))

    def _events(self) -> Iterator[h11.Event]:
        while True:
            event = self._h11.next_event()
            if not isinstance(event, h11.Event):  # more has to be read
                return
            yield event
            if isinstance(event, h11.EndOfMessage):
                return

    def _head(self, response: h11.Response) -> Head:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
        shown, withheld = shown_headers(headers, self._secrets, every=self._every_header)
        head = Head(self._at, response.status_code, shown, withheld)
        self._unpack = _Unpacker(head.header("content-encoding"))
        return head


class _Unpacker:
    """Makes a compressed body readable as it comes. What cannot be unpacked is left as it is."""

    def __init__(self, encoding: str | None) -> None:
        packed = (encoding or "").strip().lower() in ("gzip", "x-gzip", "deflate")
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed else None

    def feed(self, data: bytes) -> bytes:
        if self._inflater is None:
            return data
        try:
            return self._inflater.decompress(data)
        except zlib.error:
            self._inflater = None
            return data

    def finish(self) -> bytes:
        return self._inflater.flush() if self._inflater else b""

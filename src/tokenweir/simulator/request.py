"""One HTTP request as it arrived, and the callbacks by which httptools builds it."""

from collections import deque
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools
import msgspec

__all__ = ["ReceivedRequest", "ReceivedRequestReader"]


class ReceivedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Header names are lower case; of a repeated header the last one counts."""

    method: str
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes = b""
    keep_alive: bool = True
    chunkable: bool = True
    """Whether the client understands chunked answers: HTTP/1.1 does, 1.0 does not (and is not kept)."""

    @property
    def wants_websocket(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"


class _Parser(Protocol):
    def feed_data(self, data: bytes) -> None: ...
    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_keep_alive(self) -> bool: ...


class ReceivedRequestReader:
    """Feeds on bytes and gathers whole requests. Chunked bodies and pipelining are llhttp's work."""

    def __init__(self, on_expect: Callable[[], None]) -> None:
        self.requests: deque[ReceivedRequest] = deque()
        self._on_expect = on_expect
        self._parser: _Parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def feed(self, data: bytes) -> None:
        """Raises httptools.HttpParserError where this is not HTTP, HttpParserUpgrade at an upgrade."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._on_expect()

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        target = urlsplit(self._target.decode("latin-1"))
        modern = self._parser.get_http_version() == "1.1"
        self.requests.append(
            ReceivedRequest(
                method=self._parser.get_method().decode("latin-1"),
                path=unquote(target.path),
                query=dict(parse_qsl(target.query, keep_blank_values=True)),
                headers=self._headers,
                body=b"".join(self._body),
                keep_alive=modern and self._parser.should_keep_alive(),
                chunkable=modern,
            )
        )

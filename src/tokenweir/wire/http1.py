"""HTTP/1.1 as a server reads it: bytes in, request heads and body pieces out (RFC 9112). A pure machine.

Operations: ``feed`` adds bytes, ``next`` takes the next event.
Goals: nothing that two parties could read in two ways is ever accepted; a request that arrives in one
piece costs one split and a lookup a line; the lines that travel on are kept as they came.
Plan: the head is admitted by a grammar, not searched for known attacks. What the grammar does not name
(bare LF, folded lines, NUL, a space before the colon, both length and chunked) cannot pass. A test holds
everything admitted here against llhttp's reading of it.
"""

import re
from typing import Final, Literal

from ..errors import HeadTooLarge, MalformedRequest
from .chunked import ChunkedReader, ChunkError
from .fields import TOKEN, Fields, LineReader, without_options
from .heads import RequestHead
from .request_fields import HEADERS, PRINCIPAL, header_stays, is_secret

__all__ = ["END", "RequestReader", "read_request_head"]

# The longest registered method has 17 letters.
_MAX_METHOD = 32
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]++) HTTP/1\.([01])")
_LENGTH = re.compile(rb"[0-9]{1,15}")
# The record type with which every TLS client begins (RFC 8446, 5.1).
_TLS_HANDSHAKE = b"\x16"
_LENGTH_LINE = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})(?=[ \t]*(?:\r\n|$))", re.IGNORECASE)

_LINES = LineReader(
    read=frozenset(
        [
            *HEADERS,
            *PRINCIPAL,
            b"access-control-request-headers",
            b"access-control-request-method",
            b"apim-debug-authorization",
            b"content-encoding",
            b"content-type",
            b"origin",
            b"traceparent",
            b"user-agent",
        ]
    )
    - {name for name, (fate, _) in HEADERS.items() if fate in ("dropped", "platform's")},
    stays=header_stays,
    forget=lambda name: name in (b"apim-debug-authorization", b"content-length", b"traceparent") or is_secret(name),
    strict=True,
)


class _End:
    """The body is complete; the next event is the next request's head."""

    def __repr__(self) -> str:
        return "END"


END: Final = _End()

Event = RequestHead | bytes | _End


class RequestReader:
    """Reads one connection's requests, one after the other; what lies beyond one waits until asked for."""

    def __init__(self, max_head: int) -> None:
        self._max_head = max_head
        self._data = b""
        self._scanned = 0
        self._passed_empty_line = False
        self._state: Literal["head", "body", "chunked", "end"] = "head"
        self._left = 0
        self._chunks: ChunkedReader | None = None
        # The head read last, cut at the digits of its length: a client's heads mostly differ in nothing else.
        self._last_head: RequestHead | None = None
        self._before_length = self._after_length = b""

    def feed(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data

    @property
    def waiting(self) -> int:
        """Bytes held back for a later event."""
        return len(self._data)

    def take_waiting(self) -> bytes:
        """What lies beyond the last request, where that is none of HTTP's any more."""
        data, self._data = self._data, b""
        return data

    def next(self) -> Event | None:
        """The next event, or ``None`` when more bytes are needed. Raises ``MalformedRequest`` or ``HeadTooLarge``."""
        if self._state == "head":
            return self._next_head()
        if self._state == "end":
            self._state = "head"
            return END
        if not self._data:
            return None
        return self._next_of_length() if self._state == "body" else self._next_chunked()

    def _next_head(self) -> RequestHead | None:
        data = self._data
        # One empty line before a request is to be passed over (RFC 9112, 2.2).
        if data[:2] == b"\r\n" and not self._passed_empty_line:
            data = self._data = data[2:]
            self._passed_empty_line = True
        end = data.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            self._scanned = max(0, len(data) - 3)
            if len(data) > self._max_head:
                raise HeadTooLarge(f"the request's head is larger than {self._max_head} bytes (server.max_head)")
            if data[:1] == _TLS_HANDSHAKE:  # nothing in it would ever look like the end of a head
                raise MalformedRequest(_explain_request_line(data))
            if b"\n\n" in data or data[:1] == b"\n":
                raise MalformedRequest("lines must end with CR LF, not with a bare line feed")
            return None
        if end + 4 > self._max_head:
            raise HeadTooLarge(f"the request's head is larger than {self._max_head} bytes (server.max_head)")
        head = self._same_head(data, end) or self._new_head(data[:end])
        self._data = data[end + 4 :]
        self._scanned = 0
        self._passed_empty_line = False
        if head.content_length is None:
            self._state, self._chunks = "chunked", ChunkedReader()
        elif head.content_length:
            self._state, self._left = "body", head.content_length
        else:
            self._state = "end"
        return head

    def whole(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """``data`` as a whole request whose head differs from the last one's in its length at most; else ``None``,
        and ``data`` is still to be fed. This is how most requests of a client program arrive."""
        if self._data or self._state != "head":
            return None
        end = data.find(b"\r\n\r\n")
        head = self._same_head(data, end) if end > 0 else None
        if head is None or head.content_length != len(data) - end - 4:
            return None
        self._passed_empty_line = False
        return head, data[end + 4 :]

    def _same_head(self, data: bytes, end: int) -> RequestHead | None:
        """The last head with another length, if that is all that differs. Its ``fields`` and ``kept`` are the
        same objects, so that whoever worked something out from them can tell."""
        last, before, after = self._last_head, self._before_length, self._after_length
        if last is None or not data.startswith(before):
            return None
        start, stop = len(before), end - len(after)
        if not 0 < stop - start <= 15 or data[stop:end] != after:
            return None
        length = data[start:stop]
        if not length.isdigit():
            return None
        size = int(length)
        if size == last.content_length:
            return last
        if not size or not last.content_length:
            return None  # whether there is a body at all is more than a length
        return RequestHead(
            last.method,
            last.target,
            last.fields,
            last.kept,
            size,
            last.keep_alive,
            last.http_1_0,
            last.expects_continue,
        )

    def _new_head(self, raw: bytes) -> RequestHead:
        head = read_request_head(raw)
        length = _LENGTH_LINE.search(raw)
        self._last_head = head if length is not None else None
        if length is not None:
            self._before_length, self._after_length = raw[: length.start(1)], raw[length.end(1) :]
        return head

    def _next_of_length(self) -> bytes:
        data = self._data
        piece, self._data = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
        self._left -= len(piece)
        if not self._left:
            self._state = "end"
        return piece

    def _next_chunked(self) -> Event | None:
        chunks = self._chunks
        if chunks is None:
            raise AssertionError("chunked without a reader")
        data, self._data = self._data, b""
        try:
            piece = chunks.feed(data)
        except ChunkError as error:
            raise MalformedRequest(f"the chunked body is broken: {error}") from error
        if chunks.is_whole:
            self._data, self._chunks, self._state = chunks.rest, None, "end"
        if piece:
            return piece
        return self.next() if chunks.is_whole else None


def read_request_head(head: bytes) -> RequestHead:
    """Judges a whole head (without its final empty line). Raises ``MalformedRequest`` saying what is wrong."""
    lines = head.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        raise MalformedRequest(_explain_request_line(lines[0]))
    method, target, minor = line.groups()
    if target[:1] != b"/" or method == b"CONNECT":
        raise MalformedRequest("the request's target must be a path beginning with /, not a full URL or an authority")
    if len(method) > _MAX_METHOD:
        raise MalformedRequest(f"the request's method is longer than {_MAX_METHOD} letters")
    try:
        fields, kept = _LINES.read_lines(lines[1:])
    except ValueError as error:
        raise MalformedRequest(f"{error}") from error
    http_1_0 = minor == b"0"
    if not http_1_0 and b"host" not in fields:
        raise MalformedRequest("an HTTP/1.1 request needs a Host header")
    keep_alive = not http_1_0
    connection = fields.get(b"connection")
    if connection is not None:
        lowered = connection.lower()
        keep_alive = b"close" not in lowered and (keep_alive or b"keep-alive" in lowered)
        kept = without_options(kept, lowered)
    return RequestHead(
        method,
        target,
        fields,
        kept,
        _content_length(fields, http_1_0=http_1_0),
        keep_alive,
        http_1_0,
        not http_1_0 and fields.get(b"expect", b"").lower() == b"100-continue",
    )


def _content_length(fields: Fields, *, http_1_0: bool) -> int | None:
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise MalformedRequest("Content-Length and Transfer-Encoding must not come together")
        if http_1_0:
            raise MalformedRequest("Transfer-Encoding is not part of HTTP/1.0")
        if coding.lower() != b"chunked":
            raise MalformedRequest("the only Transfer-Encoding accepted is chunked")
        return None
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise MalformedRequest("Content-Length is not a number")
    return int(length)


def _explain_request_line(line: bytes) -> str:
    parts = line.split(b" ")
    if line[:1] == _TLS_HANDSHAKE:
        return "this port speaks plain HTTP, and the client began a TLS handshake; use http:// or configure TLS"
    if b"\n" in line or b"\r" in line:
        return "lines must end with CR LF, not with a bare line feed or carriage return"
    if len(parts) != 3:
        return "the first line must be: METHOD SP PATH SP HTTP/1.1"
    if parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return "only HTTP/1.1 and HTTP/1.0 are spoken here"
    return "the first line holds a character that is not allowed there; percent-encode it"

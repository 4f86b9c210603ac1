"""The gateway as an ASGI 3 application, for hosts that bring their own server. The fast server does not pass here.

The host has read the request and cut it into pieces; what it hands over is put back into the lines it came in and
judged by the same reader as on the data port. One task reads (the body, then whether the client is still there), the
caller's own writes, and both talk to the same `Call` as a `ClientConnection` does.

An answer that does not become whole is left without its last message: every host then cuts the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import quote

from ..errors import HeadTooLarge, InvalidApiKey, MalformedRequest, Refusal, RequestTimeout
from ..wire import RequestHead, read_request_head
from .data_plane import DataPlane
from .head_cache import HeadCache
from .request import Client

__all__ = ["OPEN_TO_ALL", "HostedCall", "Message", "Receive", "Scope", "Send", "is_local", "request_head"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What may wait for a host that takes no more: as much as asyncio's own transports hold, and a quarter to go on.
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024

_FOR_STREAMS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))

OPEN_TO_ALL = (
    "No caller has a key, so this gateway serves its own machine only, and the request came from beyond it. "
    "Create a key with `tokenweir keys create NAME`."
)


class HostedCall(Client):
    """One call that a host brings, and its client; ``run`` is its whole life."""

    def __init__(self, data_plane: DataPlane, scope: Scope, receive: Receive, send: Send, *, is_guarded: bool) -> None:
        """``is_guarded``: the host lets in only whom it knows, so that callers need no key of ours."""
        peer = scope.get("client")
        super().__init__(peer[0] if peer else None)
        self._data_plane = data_plane
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_guarded = is_guarded
        self._closes = False
        # for the request
        self._has_begun = False
        self._is_receiving = True
        self._may_read = asyncio.Event()
        self._may_read.set()
        # for the answer
        self._start: Message | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._is_full = False
        self._end: Literal["whole", "broken"] | None = None
        self._changed = asyncio.Event()
        self._patience = asyncio.timeout(None)
        self._call = data_plane.new_call(self, HeadCache())

    async def run(self) -> None:
        """Returns when the host has the answer, or when there will be none that is whole."""
        reading = asyncio.get_running_loop().create_task(self._read())
        try:
            with suppress(TimeoutError, OSError):  # the client takes no more, or is gone: the call hears of it below
                async with self._patience:
                    await self._write()
        finally:
            self._end = self._end or "broken"
            reading.cancel()
            (outcome,) = await asyncio.gather(reading, return_exceptions=True)
            self._client_gone()  # says nothing to a call that has ended
        if isinstance(outcome, Exception):
            raise outcome

    # --- request.Client ---

    def continue_body(self) -> None:
        """The host does that when it is asked for the body."""

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        headers = [
            (name.lower(), value.strip(b" \t"))
            for name, _, value in (line.partition(b":") for line in lines.split(b"\r\n") if line)
        ]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        _keep_flowing(headers)
        if (self._closes or self._is_receiving) and self._scope.get("http_version", "1.1") < "2":
            headers.append((b"connection", b"close"))
        self._start = {"type": "http.response.start", "status": int(line[:3]), "headers": headers}
        if not is_followed:
            self._changed.set()

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)
        self._changed.set()
        if self._held > _HIGH_WATER and not self._is_full:
            self._is_full = True
            self._call.client_paused(True)

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        self.write(data)

    def flush(self) -> None:
        self._changed.set()

    def finish(self) -> None:
        self._ends("whole")

    def break_off(self) -> None:
        self._ends("broken")

    def close_after(self) -> None:
        self._closes = True

    def pause_body(self, paused: bool) -> None:
        if paused:
            self._may_read.clear()
        else:
            self._may_read.set()

    # --- the request ---

    async def _read(self) -> None:
        try:
            if await self._read_request():
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                self._leave()
        except BaseException:
            self._ends("broken")
            raise

    async def _read_request(self) -> bool:
        """Whether it came whole."""
        call, services = self._call, self._data_plane.services
        try:
            message = None
            if self._scope.get("http_version", "1.1") >= "2" and not _has_length(self._scope):
                message = await self._next()  # frames say where a body ends, and only this whether there is one
                if message["type"] == "http.disconnect":
                    self._leave()
                    return False
            has_more = message is not None and bool(message.get("body") or message.get("more_body"))
            head = request_head(self._scope, services.settings.max_head, is_chunked=has_more)
            if services.keyring.is_open and not (self._is_guarded or is_local(self._scope)):
                call.refuse(InvalidApiKey(OPEN_TO_ALL), head)
            else:
                call.begin(head)
            self._has_begun = True
            return await self._read_body(head, message)
        except Refusal as refusal:
            call.refuse(refusal)
            self._has_begun = True
            return False

    async def _read_body(self, head: RequestHead, message: Message | None) -> bool:
        left = head.content_length
        has_more = True
        while has_more:
            if self._end is not None:
                return False
            await self._may_read.wait()
            message = message or await self._next()
            if message["type"] == "http.disconnect":
                self._leave()
                return False
            body, has_more = message.get("body", b""), message.get("more_body", False)
            message = None
            if left is not None:
                left -= len(body)
                if left < 0 or (left and not has_more):
                    raise MalformedRequest("the body is not as long as Content-Length says")
            if body:
                self._call.body_received(body)
        self._is_receiving = False
        self._call.body_ended()
        return True

    async def _next(self) -> Message:
        limit = self._data_plane.services.settings.request_timeout
        try:
            async with asyncio.timeout(limit):
                return await self._receive()
        except TimeoutError:
            raise RequestTimeout(f"The request's body stopped arriving for {limit:g} s.") from None

    def _leave(self) -> None:
        self._client_gone()
        self._ends("broken")

    def _client_gone(self) -> None:
        if self._has_begun:
            self._call.client_gone()

    # --- the answer ---

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            start, end, data, size = self._start, self._end, b"".join(self._pieces), self._held
            self._start = None
            self._pieces.clear()
            if start is not None:
                await self._send(start)
            # Hosts keep a head until something follows it; an empty piece does, and writes nothing else.
            if data or start is not None or end == "whole":
                await self._send({"type": "http.response.body", "body": data, "more_body": end != "whole"})
            if end is not None:
                return
            self._held -= size
            if self._is_full and self._held <= _LOW_WATER:
                self._is_full = False
                self._call.client_paused(False)

    def _ends(self, end: Literal["whole", "broken"]) -> None:
        """What is left goes out first, as long as the client takes it."""
        if self._end is not None:
            return
        self._end = end
        self._changed.set()
        if self._patience.when() is None and not self._patience.expired():
            with suppress(RuntimeError):  # nobody writes yet, or any more
                self._patience.reschedule(
                    asyncio.get_running_loop().time() + self._data_plane.services.settings.keep_alive
                )


def _keep_flowing(headers: list[tuple[bytes, bytes]]) -> None:
    """A host may have a server in front that gathers or keeps answers. Where an upstream's event stream says nothing of
    that, this asks for neither."""
    told = dict(headers)
    if told.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
        headers += [(name, value) for name, value in _FOR_STREAMS if name not in told]


def request_head(scope: Scope, max_head: int, *, is_chunked: bool = False, is_socket: bool = False) -> RequestHead:
    """What a host read, put back into lines and judged as on the data port. With ``is_chunked`` a body without a
    length is to come (HTTP/2 has no line for that); with ``is_socket`` a WebSocket is asked for, by any version of
    HTTP. Raises ``MalformedRequest`` or ``HeadTooLarge``."""
    path = scope.get("raw_path") or quote(scope["path"], safe="/!$&'()*+,;=:@-._~%").encode("ascii")
    root = quote(scope.get("root_path", "")).encode("ascii")
    if root and path.startswith(root + b"/"):
        path = path[len(root) :]
    query = scope.get("query_string", b"")
    minor = b"0" if scope.get("http_version") == "1.0" else b"1"
    lines = [b"%b %b%b HTTP/1.%b" % (scope["method"].encode("latin-1"), path, b"?" + query if query else b"", minor)]
    gone = (b"upgrade", b"connection") if is_socket else (b"upgrade",)
    lines += [name + b": " + value for name, value in scope["headers"] if name.lower() not in gone]
    if is_socket:
        lines += [b"connection: Upgrade", b"upgrade: websocket"]
    if is_chunked:
        lines.append(b"transfer-encoding: chunked")
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise MalformedRequest("a header or the target holds a line feed or a carriage return")
    raw = b"\r\n".join(lines)
    if len(raw) + 4 > max_head:
        raise HeadTooLarge(f"the request's head is larger than {max_head} bytes (server.max_head)")
    return read_request_head(raw)


def _has_length(scope: Scope) -> bool:
    return any(name.lower() == b"content-length" for name, _ in scope["headers"])


def is_local(scope: Scope) -> bool:
    """Whether the request came in where only this machine can reach: loopback, or a socket file."""
    server = scope.get("server")
    return not server or server[1] is None or server[0] in ("localhost", "::1") or server[0].startswith("127.")

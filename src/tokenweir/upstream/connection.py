"""One HTTP/1.1 connection to an upstream. llhttp reads the answer; a receiver is told as it arrives.

Strategy: no task, no queue, no future per chunk. What one read brought is handed on in one call, in the
same turn of the loop. The receiver changes during a call (first the walk, which may still try elsewhere,
then the forwarder), so it is an attribute, not an argument.
"""

import asyncio
from typing import Protocol, cast

import httptools

from ..wire import ResponseHead, read_response_head

__all__ = ["Receiver", "UpstreamConnection"]

# Azure's largest heads have some 4 KB; nginx allows one buffer of 4 or 8 KB, Envoy 60 KB.
_MAX_HEAD = 64 * 1024


class Receiver(Protocol):
    """Who is told about an answer. Order: one head, then bodies, then exactly one of end or broken."""

    def head_received(self, head: ResponseHead) -> None: ...

    def body_received(self, data: bytes) -> None: ...

    def end_received(self) -> None: ...

    def connection_broken(self, reason: str) -> None:
        """The answer will not come, or not come whole; ``reason`` is for a person."""
        ...

    def upload_paused(self, paused: bool) -> None:
        """The upstream takes no more of the request's body for now, or takes it again."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """Carries one call after another. ``release`` is called when it may carry the next one or is closed."""

    def __init__(self, owner: "ConnectionOwner") -> None:
        # for the connection
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # called by llhttp; a C function, so no Python frame per piece
        self._parser = httptools.HttpResponseParser(self)
        self.carried = 0
        self.idle_since = 0.0
        # for the call
        self.receiver: Receiver | None = None
        self._head = b""
        self._in_body = False
        self._ended = False
        self._whole = 0
        self._has_extra = False
        self._keeps_alive = False
        self._until_close = False
        self._is_head_request = False
        self._is_paused = False
        self.is_uploading = False
        """Whether more of the request's body is to be written. Set by whoever writes it; an answer that ends
        sooner leaves a connection that can carry no further call."""
        self.answered = False
        """Whether any byte of the present call's answer has arrived."""

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "busy" if self.receiver else "idle"
        return f"<UpstreamConnection {state}, {self.carried} calls>"

    @property
    def is_closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    # --- the call ---

    def begin(self, receiver: Receiver, data: bytes, *, is_head_request: bool) -> None:
        """Sends a request (or its head) and gives its answer to ``receiver``."""
        self.receiver = receiver
        self.carried += 1
        self.answered = self.is_uploading = False
        self._in_body = self._ended = self._until_close = self._has_extra = False
        self._is_head_request = is_head_request
        self.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self.receiver is not None and not self.is_closed:
            self._is_paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def resume_reading(self) -> None:
        if not self.is_closed:
            self._is_paused = False
            cast(asyncio.Transport, self._transport).resume_reading()

    def abandon(self) -> None:
        """The call is over for whoever began it: nobody is told any more, and the connection closes."""
        self.receiver = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Closes an idle connection."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:  # an answer nobody asked for: the two sides disagree about where calls end
            self.abandon()
            return
        self.answered = True
        if not self._in_body:
            self._read_head(data)
            return
        self._hand_on(receiver, self._feed(data))

    def eof_received(self) -> None:
        if self._in_body and self._until_close and self.receiver is not None:
            self._ended = True
            self._whole = 0
            self._finish(self.receiver)

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self.eof_received()
        if self.receiver is not None:
            self._break("it closed the connection" if error is None else f"the connection broke ({error})")
        self._transport = None
        self._owner.closed(self)

    def pause_writing(self) -> None:
        if self.receiver is not None:
            self.receiver.upload_paused(True)

    def resume_writing(self) -> None:
        if self.receiver is not None:
            self.receiver.upload_paused(False)

    # --- llhttp ---

    def on_message_begin(self) -> None:
        if self._ended:  # bytes beyond the end: the two sides disagree about where calls end
            self._has_extra = True

    def on_message_complete(self) -> None:
        if not self._ended:
            self._ended = True
            self._whole = len(self._pieces)
            # Asked here, because llhttp forgets it when it begins to look for the next message.
            self._keeps_alive = self._parser.should_keep_alive()

    # --- inside ---

    def _read_head(self, data: bytes) -> None:
        rest, self._head = self._head + data, b""
        while True:
            data = rest
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                if len(data) > _MAX_HEAD:
                    self._break("the head of its answer is too large")
                return
            rest = data[end + 4 :]
            try:
                self._parser.feed_data(data[: end + 4])
                head = read_response_head(data[:end])
            except httptools.HttpParserUpgrade:
                self._break("it switched protocols")
                return
            except (httptools.HttpParserError, ValueError) as error:
                self._break(f"its answer is not HTTP/1.1 ({error})")
                return
            if head.status >= 200:
                break
            self._ended = False  # 100 and 103 say nothing final
        self._in_body = True
        self._until_close = head.has_body and head.content_length is None and b"transfer-encoding" not in head.fields
        receiver = self.receiver
        if receiver is None:
            return
        ended = self._ended = self._ended or self._is_head_request
        broken = None if ended or not rest else self._feed(rest)
        head.is_followed = bool(self._pieces) and not ended
        receiver.head_received(head)
        # The receiver may be another one now, or have let go of the connection.
        if self.receiver is None:
            self._pieces.clear()
        elif ended:
            self._finish(self.receiver, reusable=not rest)
        else:
            self._hand_on(self.receiver, broken)

    def _feed(self, data: bytes) -> str | None:
        """Shows llhttp more of the body. Returns why it cannot be the body, if it cannot."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._ended:
                return f"its answer is not HTTP/1.1 ({error})"
            self._has_extra = True
        return None

    def _hand_on(self, receiver: Receiver, broken: str | None) -> None:
        pieces = self._pieces
        if self._ended:
            self._hand_on_last(receiver)
        elif pieces:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            receiver.body_received(body)
        if broken is not None and self.receiver is not None:
            self._break(broken)

    def _hand_on_last(self, receiver: Receiver) -> None:
        body = b"".join(self._pieces[: self._whole])
        self._pieces.clear()
        if body:
            receiver.body_received(body)
        if self.receiver is not None:
            self._finish(self.receiver, reusable=not self._has_extra)

    def _finish(self, receiver: Receiver, *, reusable: bool = True) -> None:
        self.receiver = None
        if self._is_paused:
            self.resume_reading()
        is_whole = reusable and not self._is_head_request and not self._until_close and not self.is_uploading
        if is_whole and self._keeps_alive:
            self._owner.idle(self)
        elif self._transport is not None:
            self._transport.close()
        receiver.end_received()

    def _break(self, reason: str) -> None:
        receiver, self.receiver = self.receiver, None
        if self._transport is not None:
            self._transport.abort()
        if receiver is not None:
            receiver.connection_broken(reason)


class ConnectionOwner(Protocol):
    """Who keeps the connections of one upstream."""

    def idle(self, connection: UpstreamConnection) -> None: ...

    def closed(self, connection: UpstreamConnection) -> None: ...

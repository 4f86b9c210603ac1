"""One HTTP/1.1 connection to an upstream; a receiver is told of the answer as it arrives.

Strategy: no task, no queue, no future per chunk. What one read brought is handed on in one call, in the
same turn of the loop. The receiver changes during a call (first the dispatcher, which may still try elsewhere,
then the response), so it is an attribute, not an argument.
"""

import asyncio
import select
from collections import deque
from typing import Protocol, cast

from ..compiled import mypyc_attr
from ..wire import Body, ChunkedReader, ChunkError, ResponseHead, ResponseHeadReader, SizedBody, UnsizedBody

__all__ = ["Receiver", "UpstreamConnection"]

# Azure's largest heads have some 4 KB; nginx allows one buffer of 4 or 8 KB, Envoy 60 KB.
_MAX_HEAD = 64 * 1024
# What is read at once if more waits. libuv would take up to 32 of these before it is anybody else's turn.
_FULL_READ = 128 * 1024
# What an idle connection must not have: bytes, the other side's end, or an error.
_ANYTHING = select.POLLIN | getattr(select, "POLLRDHUP", 0)


@mypyc_attr(allow_interpreted_subclasses=True)
class Receiver:
    """Who is told about an answer. Order: one head, then bodies, then exactly one of end or broken.

    A base and no protocol: a compiled call of its methods costs a tenth.
    """

    def head_received(self, head: ResponseHead) -> None:
        raise NotImplementedError

    def body_received(self, data: bytes) -> None:
        raise NotImplementedError

    def end_received(self) -> None:
        raise NotImplementedError

    def connection_broken(self, reason: str) -> None:
        """The answer will not come, or not come whole; ``reason`` is for a person."""
        raise NotImplementedError

    def upload_paused(self, paused: bool) -> None:
        """The upstream takes no more of the request's body for now, or takes it again."""
        raise NotImplementedError


class UpstreamConnection:
    """Carries one call after another, and tells its owner when it may carry the next one or is closed.

    An ``asyncio.Protocol`` by its methods. It does not inherit from that: compiled, its fields are those of a C struct.
    """

    def __init__(self, owner: "ConnectionOwner", heads: ResponseHeadReader) -> None:
        # for the connection
        self._owner = owner
        self._heads = heads
        self._transport: asyncio.Transport | None = None
        self._unsent: deque[bytes] = deque()
        """What the transport has no room for yet: it would hand all it has to the kernel in one system call, which
        copies for as long as the other side reads, tens of milliseconds of a body of 50 MB."""
        self._is_full = False
        self.below: asyncio.Transport | None = None
        """The TCP transport under TLS, set by whoever began TLS on it. Only it knows what was not sent yet."""
        self._poll: select.poll | None = None
        self.carried = 0
        self.idle_since = 0.0
        # for the call
        self.receiver: Receiver | None = None
        self._head = b""
        self._body: Body | None = None
        self.chunk = b""
        """What the receiver is being told of, as it came, if that is one chunk of the chunked coding; else empty."""
        self._keeps_alive = False
        self._is_head_request = self._may_switch = False
        self._is_paused = False
        self._waits_a_turn = False
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

    def is_quiet(self) -> bool:
        """Whether nothing waits in the kernel to be read: what an idle connection brings belongs to no call, and
        the loop may not have come to read it yet. One system call, half a microsecond."""
        return self._poll is None or not self._poll.poll(0)

    # --- the call ---

    def begin(self, receiver: Receiver, data: bytes, *, is_head_request: bool, may_switch: bool = False) -> None:
        """Sends a request (or its head) and gives its answer to ``receiver``. ``may_switch``: the answer may be a 101,
        with which the connection is to be handed over."""
        self.receiver = receiver
        self.carried += 1
        self.answered = self.is_uploading = False
        self._body = None
        self._is_head_request, self._may_switch = is_head_request, may_switch
        self.write(data)

    def hand_over(self, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        """Behind a 101: from now on ``protocol`` is told what comes, and has to tell ``connection_lost`` here. Returns
        the transport, and what came with the head."""
        transport = cast(asyncio.Transport, self._transport)
        rest, self._head = self._head, b""
        self.receiver = None
        if self._waits_a_turn:
            self.resume_reading()
        transport.set_protocol(protocol)
        return transport, rest

    def write(self, data: bytes) -> None:
        if self._is_full:
            self._unsent.append(data)
        elif self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self.receiver is not None and not self.is_closed:
            self._is_paused = True
            self._waits_a_turn = False
            cast(asyncio.Transport, self._transport).pause_reading()

    def resume_reading(self) -> None:
        if not self.is_closed:
            self._is_paused = self._waits_a_turn = False
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
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._poll = select.poll()
            self._poll.register(sock.fileno(), _ANYTHING)

    def data_received(self, data: bytes) -> None:
        if len(data) >= _FULL_READ:
            self._wait_a_turn()
        receiver, body = self.receiver, self._body
        if receiver is None:  # an answer nobody asked for: the two sides disagree about where calls end
            self.abandon()
        elif body is None:
            self._read_head(data)
        else:
            broken = None
            try:
                content = body.feed(data)
            except ChunkError as error:
                content, broken = error.before, error
            if content:
                self.chunk = data if body.took_one_chunk else b""
                receiver.body_received(content)
            if body.is_whole:
                self._finish(reusable=not body.rest)
            elif broken is not None:
                self._break_chunks(broken)

    def eof_received(self) -> None:
        if isinstance(self._body, UnsizedBody):
            self._finish(reusable=False)

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self.eof_received()
        if self.receiver is not None:
            self._break("it closed the connection" if error is None else f"the connection broke ({error})")
        self._transport = None
        self._unsent.clear()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        was_full, self._is_full = self._is_full, True
        if self.receiver is not None and not was_full and not self._unsent:
            self.receiver.upload_paused(True)

    def resume_writing(self) -> None:
        self._is_full = False
        while self._unsent and self._transport is not None:
            self._transport.write(self._unsent.popleft())
            if self._is_full:
                return
        if self.receiver is not None:
            self.receiver.upload_paused(False)

    # --- inside ---

    def _wait_a_turn(self) -> None:
        if not self._waits_a_turn and not self._is_paused and not self.is_closed:
            self._waits_a_turn = True
            cast(asyncio.Transport, self._transport).pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._waits_a_turn and not self._is_paused:
            self.resume_reading()

    def _read_head(self, data: bytes) -> None:
        self.answered = True
        if self._head:
            data, self._head = self._head + data, b""
        while True:
            end = data.find(b"\r\n\r\n")
            if max(end, len(data) if end < 0 else 0) > _MAX_HEAD:
                self._break("the head of its answer is too large")
                return
            if end < 0:
                self._head = data
                return
            try:
                head = self._heads.read(data[:end])
            except ValueError as error:
                self._break(f"its answer is not HTTP/1.1 ({error})")
                return
            data = data[end + 4 :]
            if head.status == 101 and not self._may_switch:
                self._break("it switched protocols")
                return
            if head.status == 101:
                self._head = data
                if self.receiver is not None:
                    self.receiver.head_received(head)
                return
            if head.status >= 200:
                break  # 100 and 103 say nothing final
        self._begin_body(head, data)

    def _begin_body(self, head: ResponseHead, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            return
        self._keeps_alive = head.keeps_alive
        if self._is_head_request or not head.has_body:
            receiver.head_received(head)
            self._finish(reusable=not data)
            return
        body: Body
        if head.is_chunked:
            body = ChunkedReader()
        elif head.content_length is not None:
            body = SizedBody(head.content_length)
        else:
            body = UnsizedBody()
        self._body, self.chunk, broken = body, b"", None
        if data:
            try:
                data = body.feed(data)
            except ChunkError as error:
                data, broken = error.before, error
            head.is_followed = bool(data)
        receiver.head_received(head)
        # The receiver may be another one now, or have let go of the connection.
        if data and self.receiver is not None:
            self.receiver.body_received(data)
        if body.is_whole:
            self._finish(reusable=not body.rest)
        elif broken is not None:
            self._break_chunks(broken)

    def _finish(self, *, reusable: bool) -> None:
        receiver = self.receiver
        if receiver is None:
            return  # it has let go
        self.receiver = None
        was_paused = self._is_paused or self._waits_a_turn
        if was_paused:
            self.resume_reading()
        # TLS may have read more while it was paused, and nobody can see that.
        may_hold = was_paused and self.below is not None
        reusable = reusable and self._keeps_alive and not self._is_head_request and not may_hold
        if self._is_sending:  # the next request would stand behind the rest of this one
            self.abandon()
        elif reusable:
            self._owner.idle(self)
        elif self._transport is not None:
            self._transport.close()
        receiver.end_received()

    @property
    def _is_sending(self) -> bool:
        """Whether some of the request is not in the kernel's hands yet."""
        if self.is_uploading or self._unsent:
            return True
        transport = self.below or self._transport
        return transport is not None and transport.get_write_buffer_size() > 0

    def _break_chunks(self, error: ChunkError) -> None:
        self._break(f"its answer is not HTTP/1.1 ({error})")

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

"""The mock upstream: answers as the request's script says, one write for each event, from encoded bytes.

Run as ``python -m benchmarks.upstream PORT [TLS_PORT CERTIFICATE KEY]``; ``GET /counters`` says what it sent.
"""

import asyncio
import json
import re
import ssl
import sys
from collections import deque
from typing import cast

import uvloop
from typing_extensions import override

from .frames import Answer, Script

__all__ = ["Upstream"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TICK = 0.001
"""What uvloop's timers can tell apart."""
_TICKS = 4096
_SCRIPTS_KEPT = 256


class Pacer:
    """Advances every open stream: unpaced ones by one event a turn of the loop, paced ones by a timer wheel.

    One a turn, because uvloop joins what is written in one turn into one system call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._eager: deque[Upstream] = deque()
        self._wheel: list[list[Upstream]] = [[] for _ in range(_TICKS)]
        self._now = 0
        self._open = 0
        self._started_at = 0.0

    def add(self, stream: "Upstream", interval: float) -> None:
        if not interval:
            if not self._eager:
                self._loop.call_soon(self._turn)
            self._eager.append(stream)
            return
        if not self._open:
            self._now, self._started_at = 0, self._loop.time()
            self._loop.call_later(_TICK, self._tick)
        self._open += 1
        self._put(stream, interval)

    def _put(self, stream: "Upstream", interval: float) -> None:
        ticks = min(max(round(interval / _TICK), 1), _TICKS - 1)
        self._wheel[(self._now + ticks) % _TICKS].append(stream)

    def _turn(self) -> None:
        eager = self._eager
        for _ in range(len(eager)):
            stream = eager.popleft()
            if stream.advance():
                eager.append(stream)
        if eager:
            self._loop.call_soon(self._turn)

    def _tick(self) -> None:
        due = int((self._loop.time() - self._started_at) / _TICK)
        while self._now < due:
            self._now += 1
            slot = self._now % _TICKS
            streams, self._wheel[slot] = self._wheel[slot], []
            for stream in streams:
                if stream.advance():
                    self._put(stream, stream.interval)
                else:
                    self._open -= 1
        if self._open:
            self._loop.call_later(_TICK, self._tick)


class Counters:
    """What was sent so far. Usage events, which only a gateway asks for, are counted apart."""

    def __init__(self) -> None:
        self.requests = 0
        self.events = 0
        self.usage_events = 0


class Upstream(asyncio.Protocol):
    """One connection: reads a request, looks its script up by the body's bytes, answers."""

    __slots__ = (
        "_answer",
        "_answers",
        "_counters",
        "_index",
        "_pacer",
        "_paused",
        "_received",
        "_transport",
        "interval",
    )

    def __init__(self, pacer: Pacer, counters: Counters, answers: dict[bytes, Answer]) -> None:
        self._pacer, self._counters, self._answers = pacer, counters, answers
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: Answer | None = None
        self._index = 0
        self._paused = False
        self.interval = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are of no asyncio class.
        self._transport = cast(asyncio.Transport, transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    @override
    def pause_writing(self) -> None:
        self._paused = True

    @override
    def resume_writing(self) -> None:
        self._paused = False

    @override
    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._received = data
            return
        found = _LENGTH.search(data, 0, end)
        end_of_body = end + (int(found[1]) if found else 0)
        if len(data) < end_of_body:
            self._received = data
            return
        self._received = data[end_of_body:]
        if data.startswith(b"POST "):
            self._begin(data[end:end_of_body])
        else:
            self._write(_json_answer(vars(self._counters)))

    def advance(self) -> bool:
        """Write the next event; false once nothing is left or the client has gone."""
        answer, transport = self._answer, self._transport
        if transport is None or answer is None:
            return False
        if self._paused:
            return True
        counters = self._counters
        transport.write(answer.at(self._index))
        self._index += 1
        counters.events += 1
        if self._index < answer.writes:
            return True
        if answer.script.include_usage:
            counters.events -= 1
            counters.usage_events += 1
        self._answer = None
        return False

    def _begin(self, body: bytes) -> None:
        answer = self._answers.get(body)
        if answer is None:
            if len(self._answers) >= _SCRIPTS_KEPT:
                self._answers.clear()
            answer = self._answers[body] = Answer(Script.read(body))
        self._counters.requests += 1
        if not answer.script.stream:
            self._write(answer.whole)
            return
        self._answer, self._index, self.interval = answer, 0, answer.script.interval
        if self.advance():
            self._pacer.add(self, self.interval)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _json_answer(fields: dict[str, int]) -> bytes:
    body = json.dumps(fields).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


async def serve(port: int, tls: tuple[int, str, str] | None) -> None:
    loop = asyncio.get_running_loop()
    pacer, counters, answers = Pacer(loop), Counters(), dict[bytes, Answer]()

    def connection() -> Upstream:
        return Upstream(pacer, counters, answers)

    server = await loop.create_server(connection, "127.0.0.1", port, backlog=4096)
    if tls is not None:
        tls_port, certificate, key = tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        await loop.create_server(connection, "127.0.0.1", tls_port, ssl=context, backlog=4096)
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    port, *tls = arguments
    uvloop.run(serve(int(port), (int(tls[0]), tls[1], tls[2]) if tls else None))


if __name__ == "__main__":
    main(sys.argv[1:])

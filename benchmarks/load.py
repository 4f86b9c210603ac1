"""The load client: keeps connections busy, times answers and first bytes, counts events; prints JSON lines.

``closed``: every connection asks again as soon as it was answered. ``rate``: so many requests a second over
all connections; one that has to wait for a free connection is timed from when it was due, so that a slow
gateway cannot hide behind the load it has slowed down. ``open``: so many streams held open at once.
"""

import argparse
import asyncio
import json
import ssl
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import uvloop
from typing_extensions import override

from .frames import EVENTS, Script, request

_TICK = 0.001
_CONNECT_TIMEOUT = 30.0
_DRAIN_TIMEOUT = 30.0
_OPEN_TIMEOUT = 60.0
_OPENED_PER_SECOND = 2000


@dataclass
class Tally:
    """What all connections have seen. Times in seconds."""

    requests: int = 0
    errors: int = 0
    events: int = 0
    reads: int = 0
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """What is asked, and where the answer is counted."""

    message: bytes
    tally: Tally


class Connection(asyncio.Protocol):
    """One keep-alive connection; ``on_idle`` is called whenever it has been answered whole."""

    def __init__(self, order: Order, on_idle: Callable[["Connection"], None]) -> None:
        self._order, self._tally, self._on_idle = order, order.tally, on_idle
        self._transport: asyncio.Transport | None = None
        self._asked_at = 0.0
        self._head: bytes | None = b""
        self._left: int | None = None
        self._tail = b""
        self.busy = False
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are of no asyncio class.
        self._transport = cast(asyncio.Transport, transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.busy:
            self._tally.errors += 1
            self.busy = False
            if not self.started.done():
                self.started.set_exception(ConnectionError("the gateway hung up before it answered"))

    def ask(self, due_at: float, order: Order | None = None) -> None:
        """Send the request, its own unless told another; it counts from ``due_at`` on the performance counter."""
        order = order or self._order
        self._tally = order.tally
        if self._transport is None:
            self._tally.errors += 1
            return
        self.busy = True
        self._asked_at, self._head, self._left = due_at, b"", None
        self._transport.write(order.message)

    def close(self) -> None:
        self.busy = False
        if self._transport is not None:
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        tally = self._tally
        tally.reads += 1
        if self._head is not None:
            if not self._head:
                tally.first_bytes.append(perf_counter() - self._asked_at)
                if not self.started.done():
                    self.started.set_result(None)
            whole = self._head + data
            end = whole.find(b"\r\n\r\n") + 4
            if end < 4:
                self._head = whole
                return
            self._begin(whole[:end].lower())
            data = whole[end:]
        if self._left is None:
            tally.events += data.count(b"data: ")
            self._tail = (self._tail + data)[-7:]
            if self._tail != b"\r\n0\r\n\r\n":
                return
        else:
            self._left -= len(data)
            if self._left > 0:
                return
        tally.requests += 1
        tally.latencies.append(perf_counter() - self._asked_at)
        self.busy = False
        self._on_idle(self)

    def _begin(self, head: bytes) -> None:
        self._head = None
        self._tail = b""
        if not head.startswith(b"http/1.1 200"):
            self._tally.errors += 1
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self._left = int(head[at + 17 : head.index(b"\r\n", at + 2)])


class Load:
    """Connections, and the order in which they ask."""

    def __init__(self, port: int, script: Script, tls: ssl.SSLContext | None) -> None:
        self.tally = Tally()
        self._port = port
        self._tls = tls
        self._order = Order(encode(*request(script)), self.tally)
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._connections: list[Connection] = []
        self._running = False

    async def connect(self, count: int, on_idle: Callable[[Connection], None]) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            for _ in range(count):
                await self._connect_one(loop, on_idle)

    async def closed(self, connections: int, seconds: float) -> float:
        """Every connection asks again as soon as it is free. Seconds until the last answer."""
        await self.connect(connections, self._ask_again)
        self._running = True
        started = perf_counter()
        for connection in self._connections:
            connection.ask(perf_counter())
        await asyncio.sleep(seconds)
        return await self._drain(started)

    async def rate(self, connections: int, seconds: float, per_second: float) -> float:
        """``per_second`` requests, evenly spaced. Seconds until the last answer."""
        await self.connect(connections, self._take_due)
        self._idle.extend(self._connections)
        started = perf_counter()
        sent = 0
        while (now := perf_counter()) - started < seconds:
            while sent < (now - started) * per_second:
                self._due.append(now)
                sent += 1
            self._send_due()
            await asyncio.sleep(_TICK)
        return await self._drain(started)

    async def open(self, streams: int, seconds: float) -> None:
        """Hold ``streams`` streams open, say so, watch for ``seconds``, say what came, leave."""
        async with asyncio.timeout(_OPEN_TIMEOUT):
            await self._open_all(streams)
        self.tally.events = self.tally.reads = 0
        _say({"open": streams})
        started = perf_counter()
        await asyncio.sleep(seconds)
        _say(report(self.tally, perf_counter() - started))
        for connection in self._connections:
            connection.close()

    async def _open_all(self, streams: int) -> None:
        loop = asyncio.get_running_loop()
        started = perf_counter()
        for number in range(streams):
            connection = await self._connect_one(loop, lambda _: None)
            connection.ask(perf_counter())
            ahead = number / _OPENED_PER_SECOND - (perf_counter() - started)
            if ahead > _TICK:
                await asyncio.sleep(ahead)
        await asyncio.gather(*(connection.started for connection in self._connections))

    async def _connect_one(self, loop: asyncio.AbstractEventLoop, on_idle: Callable[[Connection], None]) -> Connection:
        _, connection = await loop.create_connection(
            lambda: Connection(self._order, on_idle), "127.0.0.1", self._port, ssl=self._tls
        )
        self._connections.append(connection)
        return connection

    def _ask_again(self, connection: Connection) -> None:
        if self._running:
            connection.ask(perf_counter())

    def _take_due(self, connection: Connection) -> None:
        if self._due:
            connection.ask(self._due.popleft())
        else:
            self._idle.append(connection)

    def _send_due(self) -> None:
        while self._due and self._idle:
            self._idle.popleft().ask(self._due.popleft())

    async def _drain(self, started: float) -> float:
        self._running = False
        self._due.clear()
        deadline = perf_counter() + _DRAIN_TIMEOUT
        while any(connection.busy for connection in self._connections):
            if perf_counter() > deadline:
                raise TimeoutError("the gateway did not finish its answers")
            await asyncio.sleep(_TICK)
        return perf_counter() - started


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile, in microseconds."""
    if not values:
        return {}
    ordered = sorted(values)
    return {"p50": percentile(ordered, 0.5) * 1e6, "p99": percentile(ordered, 0.99) * 1e6}


def percentile(ordered: Sequence[float], part: float) -> float:
    """The value that such a part of the ordered ones lies below."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def report(tally: Tally, seconds: float) -> dict[str, object]:
    return {
        "seconds": seconds,
        "requests": tally.requests,
        "errors": tally.errors,
        "events": tally.events,
        "reads": tally.reads,
        "latency_us": percentiles(tally.latencies),
        "first_byte_us": percentiles(tally.first_bytes),
    }


def encode(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The request as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: localhost",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _say(fields: dict[str, object]) -> None:
    print(json.dumps(fields), flush=True)


async def run(options: argparse.Namespace) -> None:
    script = Script(options.stream or options.how == "open", options.events, options.interval)
    tls = ssl.create_default_context(cafile=options.authority) if options.authority else None
    load = Load(options.port, script, tls)
    if options.how == "open":
        await load.open(options.connections, options.seconds)
    elif options.how == "rate":
        _say(report(load.tally, await load.rate(options.connections, options.seconds, options.per_second)))
    else:
        _say(report(load.tally, await load.closed(options.connections, options.seconds)))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("how", choices=["closed", "rate", "open"])
    parser.add_argument("port", type=int)
    parser.add_argument("--authority", help="speak TLS, and trust this PEM file")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--per-second", type=float, default=1000.0)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between the events of a stream")
    uvloop.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])

"""``python -m benchmarks.websockets``: what a WebSocket's frame costs beside nginx's ``proxy_pass``, and an open one.

Sockets send sound as the realtime API has it, so many frames a second in each direction, each written by itself; the
upstream tells a response's end now and then, so that records are made. The gateway has its core for itself; both ends
of the sockets share the other one. CPU is that of the process on the path, for each frame that it has relayed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, cast

import uvloop

from .contenders import CONTENDERS, Gateway, Site
from .frames import API_KEY
from .machine import describe_machine
from .processes import LOAD_CORE, free_port, leave_on_signals, python_module, raise_file_limit, running, talking
from .site import CACHE, prepared_site

_NAMES = ("nginx", "tokenweir")
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n"
_PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_DONE_EVERY = 200
_TICK = 0.002
_USAGE = {"total_tokens": 300, "input_tokens": 200, "output_tokens": 100, "output_token_details": {"audio_tokens": 80}}


def _frame(event: dict[str, Any], mask: bytes = b"") -> bytes:
    payload = json.dumps(event, separators=(",", ":")).encode()
    size, masked = len(payload), 0x80 if mask else 0
    head = bytes([0x81, masked | size]) if size < 126 else bytes([0x81, masked | 126]) + size.to_bytes(2, "big")
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


def _sound(kind: str, size: int, mask: bytes = b"", **more: str) -> bytes:
    return _frame({"type": kind, "event_id": "event_BxTfbQfJWmrJHHfvmPz5c", **more, "delta": "A" * size}, mask)


class Pacer:
    """Lets each of its sockets send in turn, so that all have sent ``rate`` frames in a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._sockets: list[End] = []
        self._due = 0.0
        self._next = 0
        self._before = 0.0

    def add(self, end: "End") -> None:
        self._sockets.append(end)
        if len(self._sockets) == 1 and self._rate:
            self._before = time.perf_counter()
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def remove(self, end: "End") -> None:
        if end in self._sockets:
            self._sockets.remove(end)

    def _tick(self) -> None:
        now = time.perf_counter()
        self._due += min(now - self._before, 0.1) * self._rate * len(self._sockets)
        self._before = now
        while self._due >= 1 and self._sockets:
            self._due -= 1
            self._next = (self._next + 1) % len(self._sockets)
            self._sockets[self._next].send()
        if self._sockets:
            asyncio.get_running_loop().call_later(_TICK, self._tick)


class End(asyncio.Protocol):
    """One end of a socket: says its opening words, then sends its frame whenever it is its turn."""

    sent = received = 0
    """Frames, and bytes, of all ends in this process."""

    def __init__(self, pacer: Pacer, frame: bytes, done: bytes = b"", opening: bytes = b"") -> None:
        self._pacer, self._frame, self._done, self._opening = pacer, frame, done, opening
        self._count = 0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._opening:
            self._transport.write(self._opening)

    def connection_lost(self, error: Exception | None) -> None:
        self._pacer.remove(self)

    def data_received(self, data: bytes) -> None:
        if self.is_open:
            End.received += len(data)
        elif self._opening:
            self.is_open = data.startswith(b"HTTP/1.1 101")
            if not self.is_open:
                raise RuntimeError(f"no socket: {data[:200]!r}")
            self._pacer.add(self)
        elif b"upgrade: websocket" in data.lower():
            self._transport.write(_SWITCHED)
            self.is_open = True
            self._pacer.add(self)
        else:
            self._transport.write(_PLAIN)

    def send(self) -> None:
        self._count += 1
        End.sent += 1
        is_done = self._done and self._count % _DONE_EVERY == 0
        self._transport.write(self._done if is_done else self._frame)


async def _serve(options: argparse.Namespace) -> None:
    pacer = Pacer(options.rate)
    frame = _sound("response.output_audio.delta", options.size, response_id="resp_1", item_id="item_1")
    done = _frame({"type": "response.done", "response": {"id": "resp_1", "status": "completed", "usage": _USAGE}})
    server = await asyncio.get_running_loop().create_server(
        lambda: End(pacer, frame, done), "127.0.0.1", options.port, backlog=8192
    )
    await server.serve_forever()


async def _load(options: argparse.Namespace) -> None:
    """Opens the sockets, says so, and counts frames until it has done so for long enough."""
    pacer = Pacer(options.rate)
    loop = asyncio.get_running_loop()
    frame = _sound("input_audio_buffer.append", options.size, mask=b"\x11\x22\x33\x44")
    down = len(_sound("response.output_audio.delta", options.size, response_id="resp_1", item_id="item_1"))
    head = f"GET /openai/v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: localhost\r\napi-key: {API_KEY}\r\n"
    head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ends = []
    for number in range(options.sockets):
        _, end = await loop.create_connection(
            lambda: End(pacer, frame, opening=head.encode()), "127.0.0.1", options.port
        )
        ends.append(end)
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    while not all(end.is_open for end in ends):  # noqa: ASYNC110 - they say nothing when they are
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    print(json.dumps({"frames": 0}), flush=True)
    sent, received = End.sent, End.received
    await asyncio.sleep(options.seconds)
    print(json.dumps({"frames": End.sent - sent + (End.received - received) / down}), flush=True)
    await asyncio.sleep(3600)


@contextmanager
def _site(rate: float, size: int) -> Iterator[Site]:
    with prepared_site(CACHE) as site:
        site = Site(site.cache, site.run, free_port(), site.upstream_tls_port, site.certificate)
        command = python_module("websockets", "serve", "--port", site.upstream_port, "--rate", rate, "--size", size)
        with running(command, LOAD_CORE, site.run / "sockets.log"):
            time.sleep(1)
            yield site


def _measure(gateway: Gateway, options: argparse.Namespace, sockets: int, rate: float, size: int) -> dict[str, float]:
    gateway.settle()
    before = gateway.resident()
    arguments = (
        "--port",
        gateway.port,
        "--sockets",
        sockets,
        "--rate",
        rate,
        "--size",
        size,
        "--seconds",
        options.seconds,
    )
    with talking(python_module("websockets", "load", *arguments), LOAD_CORE) as lines:
        next(lines)
        cpu, began = gateway.cpu()[0], time.monotonic()
        resident = gateway.resident()
        frames = next(lines)["frames"]
        used, lasted = gateway.cpu()[0] - cpu, time.monotonic() - began
    return {
        "cpu_us": used / frames * 1e6 if frames else 0.0,
        "per_second": frames / lasted,
        "kb": (resident - before) / sockets / 1000,
    }


def _compare(options: argparse.Namespace) -> None:
    print(f"{describe_machine()}\n\n| | {' | '.join(_NAMES)} | ratio |\n|---|{'---|' * (len(_NAMES) + 1)}")
    for size in options.sizes:
        found: dict[str, list[float]] = {name: [] for name in _NAMES}
        with _site(options.rate, size) as site:
            for _ in range(options.rounds):
                for name in _NAMES:
                    with _started(site, name) as gateway:
                        told = _measure(gateway, options, options.sockets, options.rate, size)
                        found[name].append(told["cpu_us"])
                        print(f"{name}: {told}", file=sys.stderr)
        cells = [f"{median(values):.1f} µs" for values in found.values()]
        ratio = median(found["tokenweir"]) / median(found["nginx"])
        print(f"| CPU for a frame with {size} bytes of sound | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
    with _site(0, 100) as site:
        kept = {}
        for name in _NAMES:
            with _started(site, name) as gateway:
                kept[name] = _measure(gateway, options, options.open, 0, 100)["kb"]
    cells = [f"{kept[name]:.1f} KB" for name in _NAMES]
    print(f"| memory for each of {options.open} open sockets | {' | '.join(cells)} | |", flush=True)


@contextmanager
def _started(site: Site, name: str) -> Iterator[Gateway]:
    contender = next(kind for kind in CONTENDERS if kind.name == name)(site)
    with contender.started(tls=False) as gateway:
        yield gateway


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["compare", "serve", "load"], default="compare")
    parser.add_argument("--sizes", type=int, nargs="+", default=[150, 4000], help="bytes of sound in a frame")
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20, help="frames a second of each socket in each direction")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--open", type=int, default=5000, help="sockets for the memory of an open one")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.what == "compare":
        leave_on_signals()
        raise_file_limit()
        _compare(options)
    else:
        uvloop.run(_serve(options) if options.what == "serve" else _load(options))


if __name__ == "__main__":
    main()

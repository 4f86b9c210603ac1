"""An open-loop client for as long as it is let run: so many calls a second, some of them streamed, of several callers.

Calls are timed from when they were due, so that a slow gateway cannot hide behind the load it has slowed down. Prints
a JSON line for each second. On SIGTERM no call is begun any more; those under way are waited for.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import uvloop

from .load import Connection, Order, Tally, encode

__all__ = ["CONTROL", "caller_keys"]

CONTROL = "control"
"""What calls past the gateway say their id is."""

_WINDOW = 1.0
_TICK = 0.001
_DRAIN_SECONDS = 30.0
_CONTROL_SECONDS = 0.1
_MESSAGES = [
    {"role": "system", "content": "You are the assistant of a hydrology department. Answer in plain words."},
    {"role": "user", "content": "How much water passes a small stream between two meadows over the year?"},
]
_TOKENS = 50
_DEPLOYMENTS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1")


def caller_keys(callers: int) -> dict[str, str]:
    """The key of each caller."""
    return {f"team-{number:02}": f"bench-key-of-team-{number:02}" for number in range(callers)}


class Calls:
    """Connections that ask in turn whatever is due."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._answers, self._streams, self._control = Tally(), Tally(), Tally()
        self._orders = self._in_turn()
        self._connections: list[Connection] = []
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        options, loop = self._options, asyncio.get_running_loop()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self._stop.set)
        for number in range(options.connections):
            port = options.ports[number % len(options.ports)]
            self._idle.append(await self._connect(port, self._take_due))
        control = await self._connect(options.control, lambda _: None) if options.control else None
        aside = Order(_message(0, "nobody", stream=False, name=CONTROL), self._control)
        _say({"pid": os.getpid()})
        began = told = asked = perf_counter()
        sent = 0
        while not self._stop.is_set():
            now = perf_counter()
            while sent < (now - began) * options.rate:
                self._due.append(began + sent / options.rate)
                sent += 1
            self._send_due()
            if control is not None and not control.busy and now - asked >= _CONTROL_SECONDS:
                asked = now
                control.ask(now, aside)
            if now - told >= _WINDOW:
                self._tell(now - told)
                told = now
            await asyncio.sleep(_TICK)
        await self._drain()
        self._tell(perf_counter() - told)

    def _in_turn(self) -> Iterator[Order]:
        """Callers in turn, each of them now with an answer, now with a stream."""
        keys = list(enumerate(caller_keys(self._options.callers).values()))
        delay = self._options.chunk_delay
        streams = [Order(_message(*key, stream=True, delay=delay), self._streams) for key in keys]
        answers = [Order(_message(*key, stream=False), self._answers) for key in keys]
        if self._options.streamed == 0:
            return itertools.cycle(answers)
        part = round(1 / self._options.streamed)
        return ((answers if number % part else streams)[number // part % len(keys)] for number in itertools.count())

    async def _connect(self, port: int, on_idle: Callable[[Connection], None]) -> Connection:
        order = Order(b"", self._answers)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(order, on_idle), "127.0.0.1", port)
        self._connections.append(connection)
        return connection

    def _take_due(self, connection: Connection) -> None:
        if self._due:
            connection.ask(self._due.popleft(), next(self._orders))
        else:
            self._idle.append(connection)

    def _send_due(self) -> None:
        while self._due and self._idle:
            self._idle.popleft().ask(self._due.popleft(), next(self._orders))

    async def _drain(self) -> None:
        self._due.clear()
        deadline = perf_counter() + _DRAIN_SECONDS
        while any(one.busy for one in self._connections) and perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_TICK)

    def _tell(self, seconds: float) -> None:
        answers, streams, control = self._answers, self._streams, self._control
        _say(
            {
                "seconds": seconds,
                "calls": answers.requests + streams.requests,
                "errors": answers.errors + streams.errors + control.errors,
                "waiting": len(self._due),
                "answer_ms": _milliseconds(answers.latencies),
                "first_byte_ms": _milliseconds(streams.first_bytes),
                "control_ms": _milliseconds(control.latencies),
            }
        )
        for tally in (answers, streams, control):
            tally.requests = tally.errors = 0
            tally.latencies.clear()
            tally.first_bytes.clear()


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [round(value * 1e3, 3) for value in seconds]


def _message(number: int, key: str, *, stream: bool, delay: str = "0ms", name: str | None = None) -> bytes:
    """Callers differ in what they ask for, so that sums that are equal say something."""
    deployment = _DEPLOYMENTS[number % len(_DEPLOYMENTS)]
    script = {"output_tokens": _TOKENS + number} | ({"chunk_delay": delay} if stream else {})
    body = json.dumps({"messages": _MESSAGES, "model": deployment} | ({"stream": True} if stream else {})).encode()
    headers = {
        "api-key": key,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-simulate": json.dumps(script),
    } | ({"x-client-request-id": name} if name else {})
    return encode(f"/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21", headers, body)


def _ports(text: str) -> list[int]:
    return [int(port) for port in text.split(",")]


def _say(fields: dict[str, object]) -> None:
    print(json.dumps(fields), flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("ports", type=_ports, help="of one gateway, or of several with commas between")
    parser.add_argument("--rate", type=float, default=200, help="calls a second [%(default)s]")
    parser.add_argument("--callers", type=int, default=20)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--streamed", type=float, default=0.5, help="which part of the calls [%(default)s]")
    parser.add_argument("--chunk-delay", default="10ms", help="between the chunks of a stream [%(default)s]")
    parser.add_argument("--control", type=int, help="also ask this port now and then: the simulator itself")
    uvloop.run(Calls(parser.parse_args(arguments)).run())


if __name__ == "__main__":
    main(sys.argv[1:])

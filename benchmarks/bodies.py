"""``python -m benchmarks.bodies``: how long one large request body holds up everybody else, and what 20 take.

A relay in a process of its own, with real sockets; its loop notes how much CPU time passes between two of its beats.
CPU time, as other programs of the machine are not the relay's doing. An upstream reads everything and answers shortly.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from time import process_time
from typing import cast

import uvloop

from tokenweir.deployments import Catalogue, DeploymentSettings, TargetSettings
from tokenweir.gateway import DataPlane, ServerSettings, Tracing
from tokenweir.policy import CallerSettings, Keyring, TracingSettings, hash_key
from tokenweir.records import CallRecord, Size, SystemClock
from tokenweir.upstream import CredentialSettings, UpstreamSettings, open_upstreams

from .frames import API_KEY
from .machine import describe_machine

_BEAT_SECONDS = 0.001
_ANSWER = b'{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
_BEGIN = b'{"model":"bench","stream":true,"messages":'


def _bodies(size: int) -> dict[str, bytes]:
    return {
        "one long text (an image)": _BEGIN + b'["' + b"a" * size + b'"]}',
        "many objects": _BEGIN + b"[" + b'{"role":"user"},' * (size // 16) + b"1]}",
        "many members": b'{"model":"bench",' + b'"a":1,' * (size // 6) + b'"stream":true}',
        "many numbers": _BEGIN + b"[" + b"0.25," * (size // 5) + b"1]}",
        "brackets, eight deep": _BEGIN + b"[" + b"[[[[[[[[1]]]]]]]]," * (size // 18) + b"1]}",
        "escapes": _BEGIN + b'["' + b"\\n" * (size // 2) + b'"]}',
        "half a character at the end": _BEGIN + b"[" + b'{"role":"user"},' * (size // 16) + b'"\\ud83d"]}',
        "cut off": _BEGIN + b"[" + b'{"role":"user"},' * (size // 16),
        "something behind the end": _BEGIN + b"[" + b'{"role":"user"},' * (size // 16) + b"1]} x",
        "nested without end": _BEGIN + b"[" * size,
    }


class _Forgetful:
    """A journal that keeps nothing."""

    replica = "bench"
    accepts_calls = True

    def next_seq(self) -> int:
        return 0

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None: ...


def _relay(pipe: Connection, upstream: int) -> None:
    uvloop.run(_serve(pipe, upstream))


async def _serve(pipe: Connection, upstream: int) -> None:
    clock, loop = SystemClock(), asyncio.get_running_loop()
    settings = ServerSettings(max_buffered=Size(4 * 1024**3))
    tracing = Tracing(TracingSettings(), "no token is issued here", clock)
    url = f"http://127.0.0.1:{upstream}"
    upstreams = open_upstreams([UpstreamSettings("mock", url, CredentialSettings(key="k"), proxy="")], {}, clock)
    catalogue = Catalogue([DeploymentSettings("bench", [TargetSettings("mock", "there")])], {"mock": "azure"}, clock)
    keyring = Keyring([CallerSettings("bench", hash_key(API_KEY))], [])
    data_plane = DataPlane(
        settings,
        _Forgetful(),
        clock,
        tracing,
        keyring,
        catalogue,
        upstreams,
        is_strict=False,
        keeps_content=False,
    )
    server = await loop.create_server(data_plane.new_connection, "127.0.0.1", 0)
    longest, last = 0.0, process_time()

    def beat() -> None:
        nonlocal longest, last
        now = process_time()
        longest, last = max(longest, now - last), now
        loop.call_later(_BEAT_SECONDS, beat)

    done = asyncio.Event()

    def told() -> None:
        nonlocal longest
        if pipe.recv() == "end":
            done.set()
        pipe.send((longest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
        longest = 0.0

    loop.add_reader(pipe.fileno(), told)
    beat()
    pipe.send(server.sockets[0].getsockname()[1])
    await done.wait()


class _Upstream(asyncio.Protocol):
    """Reads requests that say how long they are."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not registered as such
        self._head, self._left = b"", 0

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self._head = b""
        self._left -= len(data)
        if not self._left:
            self._transport.write(_REPLY)


def _upstream_port() -> int:
    """Starts the upstream in a thread that ends with this process."""
    ready: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        started.set()
        await server.serve_forever()

    threading.Thread(target=lambda: uvloop.run(serve()), daemon=True).start()
    started.wait()
    return ready[0]


def _send(port: int, body: bytes) -> int:
    """The answer's status."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\napi-key: {API_KEY}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode())
        client.sendall(body)
        return int(client.recv(65536).split(b" ")[1])


class _Started:
    """A relay of which the numbers can be asked."""

    def __init__(self, upstream: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_relay, args=(theirs, upstream), daemon=True)
        self._process.start()
        self.port: int = self._pipe.recv()

    def numbers(self, word: str = "go on") -> tuple[float, int]:
        """The longest stall since they were last asked for, in seconds; the most memory ever, in bytes."""
        self._pipe.send(word)
        longest, memory = self._pipe.recv()
        return longest, memory


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies", description="What a large body holds up.")
    parser.add_argument("--megabytes", type=int, default=60, help="of one body [%(default)s]")
    parser.add_argument("--together", type=int, default=20, help="bodies of 50 MB at the same time [%(default)s]")
    given = parser.parse_args(arguments)
    upstream = _upstream_port()
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print(f"\n| {given.megabytes} MB | status | longest stall, CPU ms |\n|---|--:|--:|")
    relay = _Started(upstream)
    for name, body in _bodies(given.megabytes * 1_000_000).items():
        relay.numbers()
        status = _send(relay.port, body)
        print(f"| {name} | {status} | {relay.numbers()[0] * 1e3:.0f} |", flush=True)
    relay.numbers("end")
    if given.together:
        relay = _Started(upstream)
        before = relay.numbers()[1]
        body = json.dumps({"model": "bench", "input": "a" * 50_000_000}).encode()
        clients = [threading.Thread(target=_send, args=(relay.port, body)) for _ in range(given.together)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        stall, memory = relay.numbers("end")
        share = (memory - before) / (given.together * len(body))
        print(
            f"\n{given.together} bodies of 50 MB together: {(memory - before) / 1e6:.0f} MB at most, {share:.2f} of "
            f"their size; longest stall {stall * 1e3:.0f} ms of CPU."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What strangers can learn and hold: `python -m benchmarks.strangers keys`, `python -m benchmarks.strangers readers`.

``keys`` times the refusal of wrong keys that are near to a right one, and of others that are not. ``readers`` opens as
many streams as the descriptors allow, reads none of them, and says what the relay holds for them and until when.
"""

import argparse
import asyncio
import os
import random
import resource
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tokenweir.errors import InvalidApiKey
from tokenweir.policy import CallerSettings, Keyring, hash_key
from tokenweir.serve.gateway_process import free_port, running_gateway

_EVENT = b"data: " + b"x" * 4000 + b"\n\n"
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_BODY = b'{"stream":true,"messages":[{"role":"user","content":"x"}]}'
_ASKED = (
    b"POST /openai/deployments/gpt-4o/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: k\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_IDLE_SECONDS = 30
_NOW = datetime.now(UTC)


def _keys(rounds: int) -> None:
    right = "tw-" + secrets.token_urlsafe(32)
    names = [CallerSettings(f"team-{number}", hash_key(secrets.token_hex())) for number in range(1000)]
    keyring = Keyring([*names, CallerSettings("team", hash_key(right))], [])
    near = [right[:-1] + other for other in "AbC-_9" if other != right[-1]]
    far = ["tw-" + secrets.token_urlsafe(32) for _ in near]
    times: dict[str, list[float]] = {"near": [], "far": []}
    kinds = [("near", key.encode()) for key in near] + [("far", key.encode()) for key in far]
    for _ in range(rounds):
        random.shuffle(kinds)
        for kind, key in kinds:
            times[kind].append(_refusal(keyring.identify, key))
    medians = {kind: statistics.median(found) * 1e9 for kind, found in times.items()}
    spread = statistics.quantiles(times["far"], n=4)
    print(f"- {rounds * len(near):,} refusals of each kind, 1,001 keys known")
    print(f"- a wrong key that differs in its last letter: median {medians['near']:.0f} ns")
    print(f"- a wrong key that differs from its first: median {medians['far']:.0f} ns")
    print(f"- half of the latter lie within {(spread[2] - spread[0]) * 1e9:.0f} ns of each other")


def _refusal(identify: Callable[[bytes, datetime], object], key: bytes) -> float:
    began = time.perf_counter()
    try:
        identify(key, _NOW)
    except InvalidApiKey:
        return time.perf_counter() - began
    raise AssertionError("a wrong key was taken")


class _Flood(asyncio.Protocol):
    """An upstream that sends as much as is taken, once it is asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        transport.set_write_buffer_limits(0)
        self._may_send = False

    def data_received(self, data: bytes) -> None:
        self._transport.write(_HEAD)
        self._may_send = True
        self._send()

    def pause_writing(self) -> None:
        self._may_send = False

    def resume_writing(self) -> None:
        self._may_send = True
        self._send()

    def _send(self) -> None:
        while self._may_send and not self._transport.is_closing():
            self._transport.write(_CHUNK)


async def _readers(count: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Flood, "127.0.0.1", 0, backlog=4096)
    with tempfile.TemporaryDirectory() as folder:
        data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        file = Path(folder) / "tokenweir.toml"
        file.write_text(
            f'[server]\ndata = "{data}"\nadmin = "{admin}"\nkeys = "{folder}/keys.json"\n'
            f'max_clients = {count + 10}\nmax_clients_per_address = {count + 10}\nkeep_alive = "10s"\n'
            f'[journal]\ndirectory = "{folder}/journal"\n[ledger]\nurl = "duckdb:{folder}/ledger"\n'
            f'[[upstreams]]\nname = "flood"\nendpoint = "http://127.0.0.1:{server.sockets[0].getsockname()[1]}"\n'
            f'credential = {{ key = "k" }}\nidle_timeout = "{_IDLE_SECONDS}s"\n'
        )
        with running_gateway(file, data, admin, log=Path(folder) / "log"):
            relay = int((Path(folder) / "journal/relay-0/lock").read_text().split()[0])
            host, _, port = data.partition(":")
            at_rest = _resident(relay)
            began, most = time.monotonic(), 0
            readers = [await _reader((host, int(port))) for _ in range(count)]
            opened = time.monotonic()
            print(f"- {count:,} streams of which nothing is read, opened in {opened - began:.0f} s", flush=True)
            while time.monotonic() - opened < _IDLE_SECONDS * 2 / 3:
                most = max(most, _resident(relay))
                await asyncio.sleep(1)
            print(f"- the relay's memory: {at_rest >> 20} MB before, {most >> 20} MB at most", end="")
            print(f", {(most - at_rest) / count / 1024:.0f} KB a stream", flush=True)
            while (held := len(os.listdir(f"/proc/{relay}/fd"))) > count // 50 + 40:  # noqa: ASYNC110 - another process
                await asyncio.sleep(1)
            print(f"- {held} descriptors are left {time.monotonic() - opened:.0f} s after the last was opened", end="")
            print(f" (idle_timeout {_IDLE_SECONDS} s, keep_alive 10 s)")
            for reader in readers:
                reader.close()
    server.close()


async def _reader(address: tuple[str, int]) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, address)
    await loop.sock_sendall(reader, _ASKED)
    return reader


def _resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.strangers", description="What strangers learn and hold."
    )
    parser.add_argument("what", choices=["keys", "readers"])
    parser.add_argument("--rounds", type=int, default=20_000, help="of keys [%(default)s]")
    parser.add_argument("--count", type=int, default=9000, help="of readers; each takes two descriptors [%(default)s]")
    options = parser.parse_args(arguments)
    if options.what == "keys":
        _keys(options.rounds)
    else:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        print(f"- descriptors for a process: {hard:,}")
        asyncio.run(_readers(options.count))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m benchmarks.hostile``: a relay in memory and a million answers whose usage makes no sense.

Each call has to end for its client and to leave exactly one record that can be encoded. What is drawn depends on the
seed alone. Half of the answers are bodies, half are streams; one in eight is broken off.
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from tokenweir.deployments import Catalogue
from tokenweir.gateway import DataPlane, ServerSettings, Tracing
from tokenweir.journal.payload import encode
from tokenweir.policy import CallerSettings, Keyring, TracingSettings, hash_key
from tokenweir.records import CallRecord, SystemClock
from tokenweir.upstream import CredentialSettings, UpstreamConnection, UpstreamSettings, open_upstreams

from .tracing import MemoryWire

_KEY = "hostile-caller-key"
_NAMES = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "cached_tokens",
    "audio_tokens",
    "x_details",
]
_SCALARS = [
    "0",
    "1",
    "7",
    "-1",
    "0.5",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "true",
    "false",
    '"7"',
    '""',
    '"\\ud800"',
    '"\\u0000"',
    "9007199254740992",
    "18446744073709551616",
    "[]",
    "{}",
    "[[]]",
    "1.0",
    "1e3",
] + ["9" * 400, "[" * 300 + "]" * 300, '"' + "x" * 300 + '"']


class _Line(MemoryWire):
    def abort(self) -> None: ...

    def close(self) -> None: ...


class _Log:
    """Encodes and counts."""

    replica = "hostile"
    accepts_calls = True

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.records = 0
        self._seq = 0

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        encode(record)
        self.records += 1
        self.seen[f"{record.outcome}, {record.usage.source}, {record.usage.reason}"] += 1


class Draw:
    """Odd JSON, by chance."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def value(self, depth: int = 0) -> str:
        chance = self._chance
        if depth > 2 or chance.random() < 0.55:
            return chance.choice(_SCALARS)
        if chance.random() < 0.2:
            return "[" + ",".join(self.value(depth + 1) for _ in range(chance.randrange(3))) + "]"
        return self.usage(depth + 1)

    def usage(self, depth: int = 0) -> str:
        members = (f'"{self._chance.choice(_NAMES)}":{self.value(depth)}' for _ in range(self._chance.randrange(5)))
        return "{" + ",".join(members) + "}"

    def answer(self) -> str:
        chance = self._chance
        usage = self.usage() if chance.random() < 0.8 else self.value()
        names = ["id", "model", "choices", "error", "type", "response", "service_tier"]
        odd = "".join(f',"{name}":{self.value()}' for name in names if chance.random() < 0.05)
        return f'{{"id":"a","model":"m","choices":[{{"index":0,"delta":{{"content":"hi"}}}}],"usage":{usage}{odd}}}'

    def told(self) -> tuple[bytes, bool]:
        """An answer as it comes from an upstream, and whether it is whole."""
        chance = self._chance
        streams = chance.random() < 0.5
        body = self.answer()
        if streams:
            body = "".join(f"data: {self.answer()}\n\n" for _ in range(chance.randrange(1, 3)))
            body += "data: [DONE]\n\n" if chance.random() < 0.7 else ""
        data = body.encode(errors="replace")
        kind = "text/event-stream" if streams else "application/json"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode()
        is_whole = chance.random() < 0.875
        return head + (data if is_whole else data[: len(data) // 2]), is_whole

    def cut(self, told: bytes) -> list[bytes]:
        at = self._chance.randrange(len(told))
        return [told[:at], told[at:]]


async def _run(calls: int, seed: int) -> tuple[_Log, float]:
    clock, log, draw = SystemClock(), _Log(), Draw(seed)
    settings = UpstreamSettings("mock", "http://127.0.0.1:9", CredentialSettings(key="k"), proxy="")
    upstreams = open_upstreams([settings], {}, clock)
    data_plane = DataPlane(
        ServerSettings(),
        log,
        clock,
        Tracing(TracingSettings(), "none", clock),
        Keyring([CallerSettings("hostile", hash_key(_KEY))], []),
        Catalogue([], {"mock": "azure"}, clock),
        upstreams,
        is_strict=False,
        keeps_content=False,
    )
    pool = upstreams["mock"].pool
    began = monotonic()
    for number in range(1, calls + 1):
        told, _ = draw.told()
        streams = b"event-stream" in told[:80]
        api = ("chat/completions", "completions", "embeddings", "responses", "images/generations")[number % 5]
        body = json.dumps({"model": "m", "stream": streams, "messages": [{"role": "user", "content": "hi"}]}).encode()
        upstream = UpstreamConnection(pool, pool._heads)
        upstream.connection_made(_Line())
        pool._open.add(upstream)
        pool.idle(upstream)
        client = data_plane.new_connection()
        client.connection_made(_Line())
        head = f"POST /v1/{api} HTTP/1.1\r\nHost: g\r\napi-key: {_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.data_received(head.encode() + body)
        for piece in draw.cut(told):
            upstream.data_received(piece)
        upstream.connection_lost(None)
        client.connection_lost(None)
        if number % 200 == 0:
            while data_plane.services.estimator.pending:  # noqa: ASYNC110 - they end in this loop
                await asyncio.sleep(0)
    while data_plane.services.estimator.pending:  # noqa: ASYNC110 - they end in this loop
        await asyncio.sleep(0)
    if data_plane.calls:
        raise SystemExit(f"{len(data_plane.calls)} calls have no end")
    took = monotonic() - began
    await data_plane.drain(1.0)
    return log, took


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description="Answers that make no sense.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="[%(default)s]")
    options: Any = parser.parse_args(arguments)
    log, took = asyncio.run(_run(options.calls, options.seed))
    print(f"{options.calls} calls, {log.records} records, {took:.0f} s")
    for what, count in log.seen.most_common():
        print(f"{count:>9}  {what}")
    return 0 if log.records == options.calls else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

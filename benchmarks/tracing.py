"""``python -m benchmarks.tracing``: what it costs to trace calls, in CPU time of one relay.

One client and one upstream in memory: bytes are handed to the relay's two protocols, and what it writes is thrown
away, so that neither kernel nor disk is in the numbers, but reading, metering, the record and its encoding are.
Ways take turns, the least time of all rounds counts.
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

from tokenweir.deployments import Catalogue
from tokenweir.gateway import DataPlane, LimitRule, ServerSettings, Tracing
from tokenweir.journal.payload import encode
from tokenweir.policy import CallerSettings, Keyring, TracingSettings, hash_key
from tokenweir.records import CallRecord, Clock, Duration, SystemClock
from tokenweir.upstream import CredentialSettings, UpstreamConnection, UpstreamSettings, open_upstreams

from .frames import API_KEY, EVENTS, Answer, Script, request
from .machine import describe_machine

_NEVER = Duration(1e9)
_WAYS = {
    "no call": TracingSettings(failed=False, slow_call=_NEVER, slow_first_byte=_NEVER),
    "failed and slow calls (the default); this one is neither": TracingSettings(),
    "every call": TracingSettings(sample=1.0),
}


class MemoryWire(asyncio.Transport):
    """Takes everything, keeps nothing."""

    def write(self, data: Any) -> None: ...

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class EncodingLog:
    """Encodes each record, as the journal does, and forgets it."""

    replica = "bench-relay-0"
    accepts_calls = True
    _seq = 0

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        encode(record)


def memory_call(
    settings: TracingSettings, script: Script, limits: Callable[[Clock], LimitRule | None] = lambda clock: None
) -> Callable[[], None]:
    """One call through a relay with these settings."""
    clock = SystemClock()
    tracing = Tracing(settings, "no token is issued here", clock)
    upstreams = open_upstreams(
        [UpstreamSettings("mock", "http://127.0.0.1:9", CredentialSettings(key="k"), proxy="")], {}, clock
    )
    keyring, catalogue = (
        Keyring([CallerSettings("bench", hash_key(API_KEY))], []),
        Catalogue([], {"mock": "azure"}, clock),
    )
    data_plane = DataPlane(
        ServerSettings(),
        EncodingLog(),
        clock,
        tracing,
        keyring,
        catalogue,
        upstreams,
        limits(clock),
        is_strict=False,
        keeps_content=False,
    )
    pool = upstreams["mock"].pool
    upstream = UpstreamConnection(pool, pool._heads)
    upstream.connection_made(MemoryWire())
    pool._open.add(upstream)
    pool.idle(upstream)
    client = data_plane.new_connection()
    client.connection_made(MemoryWire())
    path, headers, body = request(script)
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    asked = "\r\n".join(lines).encode() + body
    answer = Answer(script)
    pieces = [answer.at(number) for number in range(answer.writes)] if script.stream else [answer.whole]

    def call() -> None:
        client.data_received(asked)
        for piece in pieces:
            upstream.data_received(piece)

    return call


async def _measure(rounds: int) -> dict[tuple[str, bool], float]:
    """Seconds a call, by way and whether it streams."""
    calls = {
        (way, streams): memory_call(settings, Script(stream=streams, include_usage=streams))
        for way, settings in _WAYS.items()
        for streams in (False, True)
    }
    for call in calls.values():
        call()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for key, call in calls.items():
            times = 100 if key[1] else 500
            began = process_time()
            for _ in range(times):
                call()
            least[key] = min(least[key], (process_time() - began) / times)
    return least


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracing", description="What it costs to trace calls.")
    parser.add_argument("--rounds", type=int, default=60, help="[%(default)s]")
    least = asyncio.run(_measure(parser.parse_args(arguments).rounds))
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print(
        f"\n| traced | an answer, CPU µs | more | a stream of {EVENTS} events, CPU µs | more |\n|---|--:|--:|--:|--:|"
    )
    (first, *_) = _WAYS
    for way in _WAYS:
        cells = [least[way, streams] * 1e6 for streams in (False, True)]
        more = [cell - least[first, streams] * 1e6 for cell, streams in zip(cells, (False, True), strict=True)]
        print(f"| {way} | {cells[0]:.1f} | {more[0]:+.1f} | {cells[1]:.1f} | {more[1]:+.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

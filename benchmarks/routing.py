"""``python -m benchmarks.routing``: what it costs to choose among targets, and what calls notice of bad ones.

In memory: CPU time of whole answers through one relay, as `benchmarks.tracing` does it, by how their target is chosen;
ways take turns, the least time of all rounds counts. ``--sockets``: a gateway and a simulator as processes; one of
three targets says 429 to everything and another one takes no connection; the same calls go to a deployment that has
the good target alone, and to one that has all three.
"""

import argparse
import asyncio
import gc
import http.client
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import process_time

from tokenweir.deployments import Candidates, Catalogue, DeploymentSettings, TargetSettings
from tokenweir.gateway import DataPlane, ServerSettings, Tracing
from tokenweir.policy import CallerSettings, Keyring, TracingSettings, hash_key
from tokenweir.records import SystemClock
from tokenweir.upstream import CredentialSettings, UpstreamConnection, UpstreamSettings, open_upstreams

from .frames import API_KEY, DEPLOYMENT, Answer, Script, request
from .machine import describe_machine
from .parts import run_folder, simulator, wait_until
from .processes import ANY_CORE, free_port, running, tokenweir
from .tracing import EncodingLog, MemoryWire

_THREE = [TargetSettings("mock", name, weight=weight) for name, weight in (("a", 5), ("b", 3), ("c", 2))]
_WAYS: dict[str, list[DeploymentSettings]] = {
    "one target": [DeploymentSettings(DEPLOYMENT, [TargetSettings("mock", "a")])],
    "three, by weight": [DeploymentSettings(DEPLOYMENT, _THREE)],
    "three, by headroom": [DeploymentSettings(DEPLOYMENT, _THREE, balance="headroom")],
    "three, by how the prompt begins": [DeploymentSettings(DEPLOYMENT, _THREE, affinity=["prompt"])],
}
_CONNECT_SECONDS = 0.5


def _call(deployments: list[DeploymentSettings]) -> tuple[Callable[[], None], Callable[[], None]]:
    """One call through a relay with these deployments; and the choice alone."""
    clock = SystemClock()
    upstreams = open_upstreams(
        [UpstreamSettings("mock", "http://127.0.0.1:9", CredentialSettings(key="k"), proxy="")], {}, clock
    )
    catalogue = Catalogue(deployments, {"mock": "azure"}, clock)
    data_plane = DataPlane(
        ServerSettings(),
        EncodingLog(),
        clock,
        Tracing(TracingSettings(), "no token is issued here", clock),
        Keyring([CallerSettings("bench", hash_key(API_KEY))], []),
        catalogue,
        upstreams,
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
    script = Script(stream=False, include_usage=False)
    path, headers, body = request(script)
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    asked, answer = "\r\n".join(lines).encode() + body, Answer(script).whole
    told = answer.partition(b"\r\n\r\n")[0]

    def call() -> None:
        client.data_received(asked)
        upstream.data_received(answer)

    def choice() -> None:
        chosen = catalogue.pool(DEPLOYMENT, "deployments")
        affinity = chosen.policy.affinity if chosen.policy is not None else None
        candidates = Candidates(chosen, affinity.key({}, body) if affinity is not None else 0)
        candidates.next()
        if candidates.member is not None:
            candidates.answered(200, told)

    return call, choice


async def _measure(rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds a call, and a choice, by way."""
    calls = {way: _call(deployments) for way, deployments in _WAYS.items()}
    for call, choice in calls.values():
        call()
        choice()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    least = {way: [float("inf")] * 2 for way in calls}
    for _ in range(rounds):
        for way, both in calls.items():
            for index, do in enumerate(both):
                times = (500, 2000)[index]
                began = process_time()
                for _ in range(times):
                    do()
                least[way][index] = min(least[way][index], (process_time() - began) / times)
    return {way: (whole, choice) for way, (whole, choice) in least.items()}


# --- with sockets ---


class _Busy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"error":{"code":"429","message":"later"}}'
        self.send_response(429)
        self.send_header("retry-after", "1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def _busy() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Busy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@contextmanager
def _silent() -> Iterator[int]:
    """A port whose queue of connections is full."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def _ask(port: int, deployment: str, count: int, latencies: list[float], statuses: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = b'{"messages":[{"role":"user","content":"What does a weir do?"}]}'
    for _ in range(count):
        began = time.perf_counter()
        path = f"/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        latencies.append(time.perf_counter() - began)
        statuses.append(answer.status)


def _sockets(calls: int, clients: int) -> None:
    with run_folder() as run, simulator(run, ANY_CORE) as good, _busy() as busy, _silent() as silent:
        port, admin = free_port(), free_port()
        names = {"good": good.port, "busy": busy, "silent": silent}
        config = run / "tokenweir.toml"
        config.write_text(_config(run, port, admin, names))
        with running(tokenweir("serve", "--config", config), ANY_CORE, run / "log") as child:
            wait_until(lambda: _is_ready(admin), child)
            print("\n| deployment | calls | success | p50 ms | p99 ms | most ms |\n|---|--:|--:|--:|--:|--:|")
            for deployment in ("alone", "three"):
                latencies: list[float] = []
                statuses: list[int] = []
                asked = (port, deployment, calls // clients, latencies, statuses)
                threads = [threading.Thread(target=_ask, args=asked) for _ in range(clients)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                p99 = statistics.quantiles(latencies, n=100)[98]
                times = (statistics.median(latencies), p99, max(latencies))
                told = " | ".join(f"{seconds * 1000:,.1f}" for seconds in times)
                print(f"| {deployment} | {len(statuses)} | {statuses.count(200) / len(statuses):.2%} | {told} |")
            print(f"\nThe breaker's first detection is `connect_within`, here {_CONNECT_SECONDS * 1000:g} ms.")


def _config(run: Path, port: int, admin: int, upstreams: dict[str, int]) -> str:
    tables = [
        f'[server]\ndata = "127.0.0.1:{port}"\nadmin = "127.0.0.1:{admin}"',
        f'[journal]\ndirectory = "{run}/journal"\n[ledger]\nurl = "duckdb:{run}/ledger.duckdb"',
        *(
            f'[[upstreams]]\nname = "{name}"\nendpoint = "http://127.0.0.1:{at}"\ncredential = {{ key = "k" }}'
            for name, at in upstreams.items()
        ),
        '[[deployments]]\nname = "alone"\ntargets = [{ upstream = "good" }]',
        '[[deployments]]\nname = "three"',
        'targets = [{ upstream = "good" }, { upstream = "busy" }, { upstream = "silent" }]',
        f'[deployments.breaker]\nconnect_within = "{_CONNECT_SECONDS}s"',
    ]
    return "\n".join(tables) + "\n"


def _is_ready(admin: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description="What choosing a target costs.")
    parser.add_argument("--rounds", type=int, default=30, help="[%(default)s]")
    parser.add_argument("--sockets", action="store_true", help="what calls notice of bad targets, with processes")
    parser.add_argument("--calls", type=int, default=4000, help="with --sockets [%(default)s]")
    parser.add_argument("--clients", type=int, default=8, help="with --sockets [%(default)s]")
    given = parser.parse_args(arguments)
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    if given.sockets:
        _sockets(given.calls, given.clients)
        return 0
    least = asyncio.run(_measure(given.rounds))
    first = next(iter(least.values()))[0]
    print("\n| target | an answer, CPU µs | more | the choice and what is noted, CPU µs |\n|---|--:|--:|--:|")
    for way, (whole, choice) in least.items():
        print(f"| {way} | {whole * 1e6:.2f} | {(whole - first) * 1e6:+.2f} | {choice * 1e6:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

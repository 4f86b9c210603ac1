"""What is asked of a gateway, and what is measured while it answers. One class for each question."""

import http.client
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from time import sleep
from typing import Any

from typing_extensions import override

from .contenders import Gateway, Site, fill
from .frames import API_KEY, EVENTS, Script, request
from .processes import LOAD_CORE, ask, python_module, talking

__all__ = ["SCENARIOS", "Scenario", "Values", "has_wrk", "warm_up"]

Values = Mapping[str, float]
"""``cpu_us`` and ``aside_us`` are microseconds of CPU for each answer or event, ``per_second`` counts those;
``…_ms`` are milliseconds, ``…_mb`` and ``…_kb`` a million and a thousand bytes."""

_WRK_LUA = Path(__file__).parent / "configs" / "wrk.lua"


class Scenario(ABC):
    """One question. Its docstring is the method, as printed above its results."""

    name: str
    title: str
    size_is = "connections"
    sizes: tuple[int, ...] = (1, 32, 256)
    quick_sizes: tuple[int, ...] = (32,)
    slow_sizes: tuple[int, ...] = ()
    """What a slow contender is asked for."""
    tls_sizes: tuple[int, ...] = (1, 32, 256)
    """What is asked with a TLS upstream."""
    quick_tls = False
    """Whether a quick run asks anything with a TLS upstream."""
    rounds = 3
    seconds = 2
    fresh = False
    """Whether every size needs a gateway that has not served anything yet."""
    with_direct = False
    """Whether the load client without a gateway tells something."""

    @property
    def method(self) -> str:
        return " ".join((self.__doc__ or "").split())

    @abstractmethod
    def measure(self, gateway: Gateway, site: Site, size: int, seconds: int) -> Values:
        """Put the load of one size on the gateway. Raises RuntimeError if calls failed."""

    def files_needed(self, size: int) -> int:
        """Open files of the process that needs most."""
        return 2 * size + 512


class Requests(Scenario):
    """Answers of 1.4 KB, as fast as the connections take them (wrk, closed loop)."""

    name = "requests"
    title = "Answers, not streamed"
    slow_sizes = (1, 32)
    quick_tls = True
    with_direct = True

    @override
    def measure(self, gateway: Gateway, site: Site, size: int, seconds: int) -> Values:
        before = gateway.cpu()
        result = _wrk(gateway, site, Script(), size, seconds)
        return _costs(gateway, before, result["requests"], result["seconds"])


class Streams(Scenario):
    """Streams of 69 events of about 300 bytes, begun evenly; in each of them one event is written every
    (connections ÷ 10) ms, not under 1 ms, so that about 10,000 events a second pass and each is relayed
    by itself. “Alone” is reads ÷ events at the client: well under 1, the machine was too busy, events
    were lumped together, and their price is too low. The client does not ask for usage. Where the gateway
    asks, the usage event that it takes out again is extra work, and not counted as an event."""

    name = "streams"
    title = "Streams, event by event"
    slow_sizes = (1, 32)
    quick_tls = True
    _per_second = 10_000

    @override
    def measure(self, gateway: Gateway, site: Site, size: int, seconds: int) -> Values:
        interval = max(size / self._per_second, 0.001)
        starts = self._per_second / EVENTS
        before = gateway.cpu()
        result = _load("rate", gateway, size, seconds, "--stream", "--interval", interval, "--per-second", starts)
        costs = _costs(gateway, before, result["events"], result["seconds"])
        return {**costs, "alone": result["reads"] / result["events"]}


class Flood(Scenario):
    """Streams of 69 events without any pause between them (wrk, closed loop). The upstream is faster than
    any gateway, so events travel several to a read, the more the slower the gateway is: this tells what
    can pass. For the price of an event see the table above."""

    name = "flood"
    title = "Streams, as fast as they go"
    sizes = (32, 256)
    tls_sizes = (32,)
    quick_sizes = ()
    rounds = 2
    with_direct = True

    @override
    def measure(self, gateway: Gateway, site: Site, size: int, seconds: int) -> Values:
        before, events = gateway.cpu(), _events_sent(site)
        result = _wrk(gateway, site, Script(stream=True), size, seconds)
        return _costs(gateway, before, _events_sent(site) - events, result["seconds"])


class Latency(Scenario):
    """1,000 answers a second, evenly spaced, then 200 streams a second whose 20 events are spread so that
    four fifths of the connections are in use; with one connection, one call after the other. A call that waits for a
    free connection is timed from when it was due. Shown is the difference to the same load without a
    gateway in the same round (in brackets: that load itself; with a TLS upstream, the load client then
    does the TLS). “First byte” is that of the streams."""

    name = "latency"
    title = "Added latency"
    slow_sizes = (1,)
    tls_sizes = (32,)
    rounds = 2
    with_direct = True
    _answers, _streams, _events = 1000, 200, 20

    @override
    def measure(self, gateway: Gateway, site: Site, size: int, seconds: int) -> Values:
        events = ("--events", self._events)
        if size == 1:
            answers = _load("closed", gateway, size, seconds)
            streams = _load("closed", gateway, size, seconds, "--stream", *events)
        else:
            # Not all: the usage that a gateway asks for is one event more, and would make the next call wait.
            interval = 0.8 * size / self._streams / self._events
            paced = ("--per-second", self._streams, "--interval", interval)
            answers = _load("rate", gateway, size, seconds, "--per-second", self._answers)
            streams = _load("rate", gateway, size, seconds, "--stream", *paced, *events)
        whole, first = answers["latency_us"], streams["first_byte_us"]
        return {
            "p50_ms": whole["p50"] / 1e3,
            "p99_ms": whole["p99"] / 1e3,
            "first_p50_ms": first["p50"] / 1e3,
            "first_p99_ms": first["p99"] / 1e3,
        }


class Open(Scenario):
    """Many streams open at once, with 5,000 events a second over all of them: one a second in each of 5,000
    streams, fifty in each of 100, so that only their number differs. Memory is what the relaying process
    has grown by since it had served its first calls, divided by the streams. Every line is a gateway
    started afresh."""

    name = "open"
    title = "Many open streams"
    sizes = (100, 1000, 5000)
    tls_sizes = (1000, 5000)
    quick_sizes = (100, 1000)
    rounds = 2
    seconds = 3
    size_is = "streams"
    fresh = True
    _per_second = 5000
    _without_end = 1_000_000

    @override
    def measure(self, gateway: Gateway, site: Site, size: int, seconds: int) -> Values:
        paced = ("--events", self._without_end, "--interval", size / self._per_second)
        idle = gateway.resident()
        with talking(_load_command("open", gateway, size, seconds, *paced), LOAD_CORE) as lines:
            next(lines)  # It says so once all streams are open.
            before = gateway.cpu()
            sleep(seconds / 2)
            resident = gateway.resident()
            result = _checked(next(lines), "events")
            used, aside = (now - then for now, then in zip(gateway.cpu(), before, strict=True))
        events = result["events"]
        return {
            "cpu_us": used / events * 1e6,
            "aside_us": aside / events * 1e6,
            "per_second": events / result["seconds"],
            "alone": result["reads"] / events,
            "resident_mb": resident / 1e6,
            "stream_kb": (resident - idle) / size / 1e3,
        }


SCENARIOS: tuple[Scenario, ...] = (Requests(), Streams(), Flood(), Latency(), Open())


def has_wrk() -> bool:
    """Whether the quicker load client is there for what it can do; ours does it otherwise."""
    return shutil.which("wrk") is not None


def warm_up(gateway: Gateway) -> None:
    """Let a gateway open its connections and run its code once before it is measured."""
    for kind in ((), ("--stream",)):
        _load("closed", gateway, 32, 0.3, *kind)
    gateway.settle()


def _costs(gateway: Gateway, before: tuple[float, float], units: float, seconds: float) -> Values:
    rate = {"per_second": units / seconds}
    if not gateway.pids:
        return rate
    resident = gateway.resident()
    gateway.settle()
    used, aside = (now - then for now, then in zip(gateway.cpu(), before, strict=True))
    costs = {"cpu_us": used / units * 1e6, "aside_us": aside / units * 1e6}
    return rate | costs | {"resident_mb": resident / 1e6}


def _wrk(gateway: Gateway, site: Site, script: Script, connections: int, seconds: int) -> dict[str, Any]:
    if not has_wrk():
        return _load("closed", gateway, connections, seconds, *(["--stream"] if script.stream else []))
    path, _, body = request(script)
    lua = site.run / "wrk.lua"
    lua.write_text(fill(_WRK_LUA.read_text(), PATH=path, API_KEY=API_KEY, BODY=body.decode()))
    url = f"{'https' if gateway.authority else 'http'}://127.0.0.1:{gateway.port}"
    options = [
        "--threads",
        "1",
        "--connections",
        str(connections),
        "--duration",
        f"{seconds}s",
        "--timeout",
        "30s",
    ]
    return _checked(ask(["wrk", *options, "--script", str(lua), url], LOAD_CORE))


def _load_command(how: str, gateway: Gateway, connections: int, seconds: float, *more: object) -> list[str]:
    trust = ("--authority", gateway.authority) if gateway.authority else ()
    size = ("--connections", connections, "--seconds", seconds)
    return python_module("load", how, gateway.port, *size, *trust, *more)


def _load(how: str, gateway: Gateway, connections: int, seconds: float, *more: object) -> dict[str, Any]:
    return _checked(ask(_load_command(how, gateway, connections, seconds, *more), LOAD_CORE))


def _checked(result: dict[str, Any], what: str = "requests") -> dict[str, Any]:
    if result["errors"] or not result[what]:
        raise RuntimeError(f"{result['errors']} calls failed; {what}: {result[what]}")
    return result


def _events_sent(site: Site) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", site.upstream_port, timeout=10)
    try:
        connection.request("GET", "/counters")
        return int(json.loads(connection.getresponse().read())["events"])
    finally:
        connection.close()

"""A thousand calls at once against one limit, on two relays, while what can be killed is killed."""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event

import httpx
import pytest

from support.redis_server import running_redis
from tokenweir.serve.gateway_process import GatewayProcess, free_port, running_gateway
from tokenweir.simulator import HostedSimulator

CALLS = 1000
AT_ONCE = 100
BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}


def written(folder: Path, sim: HostedSimulator, limits: str, admission: str = "") -> tuple[Path, str, str]:
    """A configuration, and its two addresses."""
    file, data, admin = folder / "tokenweir.toml", f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    file.write_text(
        f"""
[server]
data = "{data}"
admin = "{admin}"
relays = 2
keys = "{folder}/keys.json"
shutdown_grace = "3s"

[journal]
directory = "{folder}/journal"

[ledger]
url = "duckdb:{folder}/ledger.duckdb"

[[upstreams]]
name = "sim"
endpoint = "{sim.url}"
credential = {{ key = "upstream-key" }}

[[limits]]
name = "everybody"
limits = {{ {limits} }}

[admission]
{admission}
"""
    )
    return file, data, admin


async def called(gateway: GatewayProcess, count: int) -> list[httpx.Response | None]:
    """As many at once as a client can; ``None`` where a killed relay gave no answer."""
    url = f"{gateway.url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    limits, places = httpx.Limits(max_connections=AT_ONCE), asyncio.Semaphore(AT_ONCE)  # its own queue is slow

    async with httpx.AsyncClient(limits=limits, timeout=60, headers={"api-key": "any"}) as client:

        async def one() -> httpx.Response | None:
            async with places:
                try:
                    return await client.post(url, json=BODY)
                except httpx.TransportError:
                    return None

        return await asyncio.gather(*[one() for _ in range(count)])


def statuses(answers: list[httpx.Response | None]) -> Counter[int]:
    return Counter(answer.status_code if answer is not None else 0 for answer in answers)


def processes(gateway: GatewayProcess) -> list[int]:
    """Relays, books and the holder of the limits."""
    found = subprocess.run(["ps", "--ppid", str(gateway.process.pid), "-o", "pid="], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def tokens_of(answers: list[httpx.Response | None]) -> int:
    return sum(
        answer.json()["usage"]["total_tokens"] for answer in answers if answer is not None and answer.status_code == 200
    )


@pytest.mark.parametrize("holder", ["process", pytest.param("redis", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("limits", "refused"), [("requests_per_day = 300", 403), ("requests_per_minute = 300", 429)], ids=["quota", "rate"]
)
def test_of_a_thousand_calls_at_once_as_many_are_let_in_as_there_are(
    tmp_path: Path, sim: HostedSimulator, holder: str, limits: str, refused: int
) -> None:
    with running_redis(tmp_path / "redis") as server:
        admission = f'holder = "{server.url}"' if holder == "redis" else ""
        config, data, admin = written(tmp_path, sim, limits, admission)
        with running_gateway(config, data, admin, log=tmp_path / "log") as gateway:
            found = statuses(asyncio.run(called(gateway, CALLS)))
    assert found.keys() <= {200, refused}
    assert 290 <= found[200] <= 300


def test_tokens_of_all_relays_together_stay_within_a_quota(tmp_path: Path, sim: HostedSimulator) -> None:
    config, data, admin = written(tmp_path, sim, "tokens_per_day = 5000")
    with running_gateway(config, data, admin, log=tmp_path / "log") as gateway:
        answers = asyncio.run(called(gateway, CALLS))
    assert 4500 <= tokens_of(answers) <= 5000


def hit(gateway: GatewayProcess, action: Callable[[], object], rounds: int) -> list[httpx.Response | None]:
    """Calls in rounds of a hundred, between which something is done to the gateway."""
    answers: list[httpx.Response | None] = []
    for _ in range(rounds):
        answers += asyncio.run(called(gateway, 100))
        action()
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("limits", ["requests_per_day = 300", "requests_per_minute = 300"])
def test_no_more_is_let_in_while_relays_and_the_holder_are_killed(
    tmp_path: Path, sim: HostedSimulator, limits: str
) -> None:
    config, data, admin = written(tmp_path, sim, limits)
    before = len(sim.calls)
    with running_gateway(config, data, admin, log=tmp_path / "log") as gateway:
        victims = iter(range(100))

        def kill_one() -> None:
            """Each in its turn: relays, books, the holder."""
            alive = processes(gateway)
            os.kill(alive[next(victims) % len(alive)], signal.SIGKILL)
            pause = Event()
            while len(processes(gateway)) < len(alive):
                pause.wait(0.01)

        hit(gateway, kill_one, 12)
    assert 150 <= len(sim.calls) - before <= 300


@pytest.mark.slow
@pytest.mark.parametrize(("on_outage", "least", "most"), [("closed", 30, 300), ("open", 100, 330)])
def test_how_much_is_let_in_while_redis_is_killed_and_forgets_everything(
    tmp_path: Path, sim: HostedSimulator, on_outage: str, least: int, most: int
) -> None:
    before = len(sim.calls)
    with running_redis(tmp_path / "redis") as server:
        settings = f'holder = "{server.url}"\non_outage = "{on_outage}"'
        config, data, admin = written(tmp_path, sim, "requests_per_day = 300", settings)
        with running_gateway(config, data, admin, log=tmp_path / "log") as gateway:
            seen: Counter[int] = Counter()
            for _ in range(4):
                seen += statuses(asyncio.run(called(gateway, 60)))
                server.kill()
                seen += statuses(asyncio.run(called(gateway, 60)))
                server.start()
                seen += statuses(asyncio.run(called(gateway, 60)))
    assert least <= len(sim.calls) - before <= most
    assert seen.keys() <= {200, 403, 503}

"""kill -9 of a relay, again and again, under load: what a client saw end is in the books, once, to the token."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from tokenweir.config import load
from tokenweir.ledger import open_ledger
from tokenweir.serve.books import catch_up
from tokenweir.serve.hosting import HostedGateway, free_port, running_gateway
from tokenweir.simulator import HostedSimulator, running_simulator

CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"

# In batch durability a record is on disk some milliseconds after the answer's end. A machine that runs two test
# workers and this gateway on two cores schedules its threads late, so the last quarter of a second is left out.
BATCH_WINDOW_SECONDS = 0.25


class SeenCall(msgspec.Struct):
    """A call whose whole answer a client has read, and when it had."""

    call_id: str
    ended_at: float


class Load:
    """Clients that call until they are told to stop, and note what they saw end."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._url = url
        self._chance = chance
        self.seen: list[SeenCall] = []
        self.stopped = False
        self._wanted = 0
        self._reached = asyncio.Event()

    async def until_seen(self, more: int) -> None:
        """Returns when so many more calls have ended."""
        self._wanted = len(self.seen) + more
        self._reached.clear()
        await self._reached.wait()

    async def client(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=20) as http:
            while not self.stopped:
                try:
                    await self._call(http)
                except httpx.TransportError:
                    await asyncio.sleep(0)  # cut off by the kill; nothing was seen to end

    async def _call(self, http: httpx.AsyncClient) -> None:
        stream = self._chance.random() < 0.5
        script = {"output_tokens": self._chance.randrange(5, 60), "chunk_delay": "2ms" if stream else "0ms"}
        body = {"stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"x-simulate": msgspec.json.encode(script).decode()}
        answer = await http.post(CHAT, json=body, headers=headers)
        whole = answer.text.endswith("data: [DONE]\n\n") if stream else answer.status_code == 200
        if answer.status_code == 200 and whole:
            self.seen.append(SeenCall(answer.headers["x-tokenweir-call-id"], time.monotonic()))
            if len(self.seen) >= self._wanted:
                self._reached.set()


def config_file(folder: Path, upstream: str, durability: str) -> tuple[Path, str, str]:
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    file = folder / "tokenweir.toml"
    file.write_text(
        f"""
[server]
data = "{data}"
admin = "{admin}"
keys = "{folder}/keys.json"
shutdown_grace = "5s"
[journal]
directory = "{folder}/journal"
durability = "{durability}"
[ledger]
url = "duckdb:{folder}/ledger.duckdb"
[[upstreams]]
name = "sim"
endpoint = "{upstream}"
credential = {{ key = "upstream-key" }}
"""
    )
    return file, data, admin


async def kill_under_load(gateway: HostedGateway, folder: Path, kills: int) -> tuple[list[SeenCall], list[float]]:
    chance = random.Random(20261122)
    load_ = Load(gateway.url, chance)
    clients = [asyncio.ensure_future(load_.client()) for _ in range(8)]
    lock = folder / "journal/relay-0/lock"
    moments: list[float] = []
    for _ in range(kills):
        await load_.until_seen(chance.randrange(100, 400))  # more than a fast machine does within the window
        moments.append(time.monotonic())
        os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
    await load_.until_seen(20)
    load_.stopped = True
    await asyncio.gather(*clients)
    return load_.seen, moments


def assert_books_agree(
    file: Path, sim: HostedSimulator, seen: list[SeenCall], kills: list[float], window: float
) -> None:
    config = load(file, os.environ).config
    ledger = open_ledger(config.ledger.url)
    try:
        catch_up(config, ledger)
        records = ledger.calls(1_000_000)
    finally:
        ledger.close()
    posted = {record["call_id"]: record for record in records}
    sent = {call.id: call for call in sim.calls}
    assert len(posted) == len(records)

    # After a kill too: what the dead relay had still sent lies in the client's socket for a moment.
    due = [call for call in seen if not any(abs(kill - call.ended_at) < window for kill in kills)]
    assert len(due) > 20 * len(kills)
    missing = [call.call_id for call in due if call.call_id not in posted]
    assert missing == []
    for record in records:
        call = sent.get(record["upstream_request_id"])
        if call is not None and record["usage_source"] == "reported":
            assert (record["input_tokens"], record["output_tokens"]) == (call.prompt_tokens, call.completion_tokens)


def prove(folder: Path, durability: str, kills: int, window: float) -> None:
    with running_simulator() as sim:
        file, data, admin = config_file(folder, sim.url, durability)
        with running_gateway(file, data, admin, log=folder / "log") as gateway:
            seen, moments = asyncio.run(kill_under_load(gateway, folder, kills))
        assert len(moments) == kills
        assert_books_agree(file, sim, seen, moments, window)


@pytest.mark.timeout(120)
def test_strict_a_call_that_was_seen_to_end_is_never_lost(tmp_path: Path) -> None:
    prove(tmp_path, "strict", 4, 0.0)


@pytest.mark.timeout(120)
def test_batch_only_the_last_moment_before_a_kill_can_be_lost(tmp_path: Path) -> None:
    prove(tmp_path, "batch", 4, BATCH_WINDOW_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("durability", "window"), [("strict", 0.0), ("batch", BATCH_WINDOW_SECONDS)])
def test_forty_kills_at_random_moments(tmp_path: Path, durability: str, window: float) -> None:
    prove(tmp_path, durability, 40, window)

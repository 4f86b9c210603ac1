"""A gateway of real processes under load, for tests that kill some of them, and what its books must then say."""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tokenweir.config import load
from tokenweir.journal import read_missing
from tokenweir.ledger import open_ledger
from tokenweir.records import Duration
from tokenweir.serve.books import catch_up
from tokenweir.serve.gateway_process import free_port
from tokenweir.simulator import HostedSimulator, Script

from .ways import WAYS

__all__ = ["CHAT", "Load", "SeenCall", "assert_books_agree", "config_file", "records_of"]

CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"


class SeenCall(msgspec.Struct):
    """A call whose whole answer a client has read; when it began to ask, and when it had read it."""

    call_id: str
    began_at: float
    ended_at: float
    is_counted: bool = False

    @property
    def relay(self) -> str:
        """Which process answered: its part of the call's id."""
        return self.call_id[14:23]


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
                    await asyncio.sleep(0.02)  # cut off by the kill; nothing was seen to end

    async def _call(self, http: httpx.AsyncClient) -> None:
        """One of any surface."""
        way = self._chance.choice(WAYS)
        stream = way.streams and self._chance.random() < 0.5
        delay = Duration(0.002 if stream else 0)
        script = Script(output_tokens=self._chance.randrange(5, 60), chunk_delay=delay)
        began_at = time.monotonic()
        answer = await http.send(way.request(self._url, "any", script, self._chance, stream=stream))
        if answer.status_code == 200:
            call_id = answer.headers["x-tokenweir-call-id"]
            self.seen.append(SeenCall(call_id, began_at, time.monotonic(), way.is_counted))
            if len(self.seen) >= self._wanted:
                self._reached.set()


def config_file(folder: Path, upstream: str, durability: str, grace: str = "5s") -> tuple[Path, str, str]:
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    file = folder / "tokenweir.toml"
    file.write_text(
        f"""
[server]
data = "{data}"
admin = "{admin}"
keys = "{folder}/keys.json"
shutdown_grace = "{grace}"
[journal]
directory = "{folder}/journal"
durability = "{durability}"
[ledger]
url = "duckdb:{folder}/ledger.duckdb"
[[upstreams]]
name = "sim"
endpoint = "{upstream}"
credential = {{ key = "upstream-key" }}
[[upstreams]]
name = "claude"
kind = "anthropic"
endpoint = "{upstream}/anthropic"
credential = {{ key = "upstream-key" }}
"""
    )
    return file, data, admin


def records_of(file: Path) -> list[dict[str, Any]]:
    """All calls in the ledger, once it has what the journals have."""
    config = load(file, os.environ).config
    ledger = open_ledger(config.ledger.url)
    try:
        catch_up(config, ledger)
        return ledger.calls(1_000_000)
    finally:
        ledger.close()


def assert_books_agree(file: Path, sim: HostedSimulator, seen: list[SeenCall], *, kills: int | None = None) -> None:
    """Every call that was seen to end is in the books, once, to the token.

    With ``kills`` of a relay in batch durability the last ones before each may be missing, whatever time a busy machine
    takes to write them: never one that had ended before another one began that is there, unless its usage had to be
    counted first, and none but those that the journal says are missing.
    """
    records = records_of(file)
    posted = {record["call_id"]: record for record in records}
    sent = {call.id: call for call in sim.calls}
    assert len(posted) == len(records)

    lost = [call for call in seen if call.call_id not in posted]
    if kills is None:
        assert lost == []
    last_begun: dict[str, float] = {}
    for call in seen:
        if call.call_id in posted:
            last_begun[call.relay] = max(call.began_at, last_begun.get(call.relay, 0.0))
    overtaken = [call for call in lost if call.ended_at < last_begun.get(call.relay, 0.0)]
    assert [call for call in overtaken if not call.is_counted] == []
    missing = read_missing(Path(load(file, os.environ).config.journal.directory) / "relay-0")
    assert len(lost) <= sum(one.records for one in missing)
    assert len(seen) - len(lost) > 20 * (kills or 0)
    for record in records:
        told = sent.get(record["upstream_request_id"])
        if told is not None and record["usage_source"] == "reported":
            assert (record["input_tokens"], record["output_tokens"]) == (told.prompt_tokens, told.completion_tokens)
            amounts = {name: quantity.amount for name, quantity in record["quantities"].items()}
            assert amounts == told.quantities

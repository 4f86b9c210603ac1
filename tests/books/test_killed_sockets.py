"""kill -9 of a relay with open WebSockets: each response whose end a client saw is in the books, once, to the token."""

import asyncio
import json
import os
import random
import signal
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from support.under_load import config_file, records_of
from tokenweir.serve.gateway_process import GatewayProcess, running_gateway
from tokenweir.simulator import running_simulator

_ASK = json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}})


class Talkers:
    """Clients that talk until they are told to stop, and connect anew when they are cut off."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.replace('http', 'ws')}/openai/v1/realtime?model=gpt-realtime"
        self.seen: dict[str, int] = {}
        """Responses whose end was seen, and their tokens."""
        self.stopped = False
        self._more = asyncio.Event()

    async def talk(self) -> None:
        while not self.stopped:
            try:
                async with connect(self._url, compression=None) as socket:
                    while not self.stopped:
                        await socket.send(_ASK)
                        await self._hear_to_its_end(socket)
            except (OSError, WebSocketException, EOFError):
                await asyncio.sleep(0.01)

    async def _hear_to_its_end(self, socket: ClientConnection) -> None:
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "response.done":
                self.seen[event["response"]["id"]] = event["response"]["usage"]["total_tokens"]
                self._more.set()
                return

    async def until_more(self, count: int) -> None:
        wanted = len(self.seen) + count
        while len(self.seen) < wanted:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 30)


async def kill_while_talking(gateway: GatewayProcess, folder: Path, kills: int) -> dict[str, int]:
    chance = random.Random(20261130)
    talkers = Talkers(gateway.url)
    clients = [asyncio.ensure_future(talkers.talk()) for _ in range(6)]
    lock = folder / "journal/relay-0/lock"
    for _ in range(kills):
        await talkers.until_more(chance.randrange(30, 120))
        os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
    await talkers.until_more(20)
    talkers.stopped = True
    await asyncio.gather(*clients)
    return talkers.seen


@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_a_response_that_was_seen_to_end_is_not_lost_but_in_the_last_moment_before_a_kill(
    tmp_path: Path, durability: str
) -> None:
    """In strict durability not even then."""
    with running_simulator() as sim:
        file, data, admin = config_file(tmp_path, sim.url, durability)
        with running_gateway(file, data, admin, log=tmp_path / "log") as gateway:
            seen = asyncio.run(kill_while_talking(gateway, tmp_path, 3))
        records = [record for record in records_of(file) if record["operation"] == "realtime"]
        sent = {call.id: call for call in sim.calls}
    told = [record for record in records if record["usage_source"] == "reported"]
    booked = {record["response_id"]: record["total_tokens"] for record in told}
    assert len(booked) == len(told)
    lost = seen.keys() - booked.keys()
    assert len(lost) <= (0 if durability == "strict" else len(seen) // 4)
    assert {id: booked[id] for id in seen.keys() - lost} == {id: seen[id] for id in seen.keys() - lost}
    for record in told:
        charged = sent[record["response_id"]]
        assert (record["input_tokens"], record["output_tokens"]) == (charged.prompt_tokens, charged.completion_tokens)

"""kill -9 of the books and of the supervisor under load: neither of them loses a call, nor posts one twice."""

import asyncio
import os
import random
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from support.under_load import CHAT, Load, SeenCall, assert_books_agree, config_file, records_of
from tokenweir.serve.gateway_process import GatewayProcess, running_gateway
from tokenweir.simulator import running_simulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLIENTS = 8


def books_of(gateway: GatewayProcess, folder: Path) -> int:
    """The process id of the books: of the supervisor's two children the one that is not the relay."""
    relay = int((folder / "journal/relay-0/lock").read_text().split()[0])
    supervisor = gateway.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    (books,) = {*map(int, children)} - {relay}
    return books


async def until_ready(gateway: GatewayProcess) -> None:
    while not await asyncio.to_thread(gateway.is_ready):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_killed_books_post_every_call_once(tmp_path: Path, durability: str) -> None:
    kills = 12
    with running_simulator() as sim:
        file, data, admin = config_file(tmp_path, sim.url, durability)
        with running_gateway(file, data, admin, log=tmp_path / "log") as gateway:
            seen = asyncio.run(_kill_books(gateway, tmp_path, kills))
        assert_books_agree(file, sim, seen)
    assert len(seen) > 20 * kills


async def _kill_books(gateway: GatewayProcess, folder: Path, kills: int) -> list[SeenCall]:
    chance = random.Random(20261130)
    load = Load(gateway.url, chance)
    clients = [asyncio.ensure_future(load.client()) for _ in range(CLIENTS)]
    async with httpx.AsyncClient(base_url=gateway.admin_url) as admin:
        for _ in range(kills):
            await until_ready(gateway)
            await load.until_seen(chance.randrange(20, 200))
            asking = asyncio.ensure_future(admin.get("/api/usage?by=caller", timeout=20))
            await asyncio.sleep(chance.random() * 0.5)  # somewhere in a posting, a question, or neither
            os.kill(books_of(gateway, folder), signal.SIGKILL)
            await asyncio.gather(asking, return_exceptions=True)
            await load.until_seen(20)  # no call waits for the books
        await until_ready(gateway)
    load.stopped = True
    await asyncio.gather(*clients)
    return load.seen


@pytest.mark.parametrize("durability", ["batch", "strict"])
def test_a_killed_supervisor_takes_no_call_with_it_and_another_takes_over_at_once(
    tmp_path: Path, durability: str
) -> None:
    kills = 6
    with running_simulator() as sim:
        file, data, admin = config_file(tmp_path, sim.url, durability)
        seen = asyncio.run(_kill_supervisors(file, data, admin, tmp_path, kills))
        assert_books_agree(file, sim, seen)
    assert len(seen) > 20 * kills


async def _kill_supervisors(file: Path, data: str, admin: str, folder: Path, kills: int) -> list[SeenCall]:
    chance = random.Random(20261130)
    load = Load(f"http://{data}", chance)
    clients = [asyncio.ensure_future(load.client()) for _ in range(CLIENTS)]
    for number in range(kills + 1):
        with ExitStack() as stack:
            gateway = await asyncio.to_thread(_started, stack, file, data, admin, folder / f"log-{number}")
            await load.until_seen(chance.randrange(20, 300))
            if number < kills:
                gateway.process.kill()
                gateway.process.wait()
            else:
                load.stopped = True
                await asyncio.gather(*clients)
    return load.seen


def _started(stack: ExitStack, file: Path, data: str, admin: str, log: Path) -> GatewayProcess:
    """A gateway started as systemd starts one: at once. Raises ``TokenweirError`` where it gives up."""
    return stack.enter_context(running_gateway(file, data, admin, log=log))


def test_a_stream_under_way_comes_whole_from_the_old_relay_while_the_new_one_waits_for_its_journal(
    tmp_path: Path,
) -> None:
    with running_simulator() as sim:
        file, data, admin = config_file(tmp_path, sim.url, "batch", "20s")
        with ExitStack() as stack:
            old = _started(stack, file, data, admin, tmp_path / "log-old")
            script = {"output_tokens": 90, "chunk_delay": "400ms"}
            asked = {"stream": True, "messages": [{"role": "user", "content": "Hello"}]}
            headers = {"x-simulate": msgspec.json.encode(script).decode()}
            with httpx.stream("POST", old.url + CHAT, json=asked, headers=headers, timeout=60) as answer:
                lines = answer.iter_lines()
                next(lines)
                old.process.kill()
                old.process.wait()
                new = _started(stack, file, data, admin, tmp_path / "log-new")
                *_, last, _ = lines
            assert last == "data: [DONE]"
            assert httpx.post(new.url + CHAT, json=asked, timeout=20).status_code == 200
            assert new.stop() == 0
        assert "waiting for it" in (tmp_path / "log-new").read_text()
        records = records_of(file)
    assert sorted(record["outcome"] for record in records) == ["completed", "completed"]
    assert answer.headers["x-tokenweir-call-id"] in {record["call_id"] for record in records}

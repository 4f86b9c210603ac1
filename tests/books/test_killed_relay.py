"""kill -9 of a relay, again and again, under load: what a client saw end is in the books, once, to the token."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from support.under_load import Load, SeenCall, assert_books_agree, config_file
from tokenweir.serve.gateway_process import GatewayProcess, running_gateway
from tokenweir.simulator import running_simulator


async def kill_under_load(gateway: GatewayProcess, folder: Path, kills: int) -> list[SeenCall]:
    chance = random.Random(20261122)
    load_ = Load(gateway.url, chance)
    clients = [asyncio.ensure_future(load_.client()) for _ in range(8)]
    lock = folder / "journal/relay-0/lock"
    for _ in range(kills):
        await load_.until_seen(chance.randrange(100, 400))
        os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
    await load_.until_seen(20)
    load_.stopped = True
    await asyncio.gather(*clients)
    return load_.seen


def prove(folder: Path, durability: str, kills: int) -> None:
    with running_simulator() as sim:
        file, data, admin = config_file(folder, sim.url, durability)
        with running_gateway(file, data, admin, log=folder / "log") as gateway:
            seen = asyncio.run(kill_under_load(gateway, folder, kills))
        assert_books_agree(file, sim, seen, kills=kills if durability == "batch" else None)


@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_a_call_that_was_seen_to_end_is_not_lost_but_in_the_last_moment_before_a_kill(
    tmp_path: Path, durability: str
) -> None:
    """In strict durability not even then."""
    prove(tmp_path, durability, 3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_forty_kills_at_random_moments(tmp_path: Path, durability: str) -> None:
    prove(tmp_path, durability, 40)

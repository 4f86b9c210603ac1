"""kill -9 of a relay, again and again, under load: what a client saw end is in the books, once, to the token."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from support.under_load import Load, SeenCall, assert_books_agree, config_file
from tokenweir.serve.gateway_process import GatewayProcess, running_gateway
from tokenweir.simulator import running_simulator

# In batch durability a record is on disk some milliseconds after the answer's end. A machine that runs other tests at
# the same time schedules a thread late, so the last half second is left out.
BATCH_WINDOW_SECONDS = 0.5


async def kill_under_load(gateway: GatewayProcess, folder: Path, kills: int) -> tuple[list[SeenCall], list[float]]:
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


def prove(folder: Path, durability: str, kills: int, window: float) -> None:
    with running_simulator() as sim:
        file, data, admin = config_file(folder, sim.url, durability)
        with running_gateway(file, data, admin, log=folder / "log") as gateway:
            seen, moments = asyncio.run(kill_under_load(gateway, folder, kills))
        assert len(moments) == kills
        assert_books_agree(file, sim, seen, moments, window)


def test_strict_a_call_that_was_seen_to_end_is_never_lost(tmp_path: Path) -> None:
    prove(tmp_path, "strict", 3, 0.0)


def test_batch_only_the_last_moment_before_a_kill_can_be_lost(tmp_path: Path) -> None:
    prove(tmp_path, "batch", 3, BATCH_WINDOW_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("durability", "window"), [("strict", 0.0), ("batch", BATCH_WINDOW_SECONDS)])
def test_forty_kills_at_random_moments(tmp_path: Path, durability: str, window: float) -> None:
    prove(tmp_path, durability, 40, window)

"""A world in which things go wrong.

When a test is over, each relay it started is asked one more call: it is answered and recorded, no other record
has come since, no walk is left over, and nothing was logged as an error but what the test took note of.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.world import World
from tokenweir.simulator import HostedSimulator, running_simulator


@pytest.fixture(scope="session")
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def world(tmp_path: Path, sim: HostedSimulator, request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        world = World(tmp_path, sim, stack, getattr(request, "param", "fast"))
        logging.getLogger().addHandler(world.errors)
        stack.callback(logging.getLogger().removeHandler, world.errors)
        yield world
        world.check()
    assert world.errors.taken() == []

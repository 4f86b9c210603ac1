"""A simulator, a relay in front of it, and the official SDKs pointed at the relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AzureOpenAI, OpenAI

from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.simulator import HostedSimulator, running_simulator


@pytest.fixture
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def relay(sim: HostedSimulator, tmp_path: Path) -> Iterator[RelayThread]:
    with running_relay(tmp_path, sim.url) as running:
        yield running


@pytest.fixture
def azure(relay: RelayThread) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(azure_endpoint=relay.url, api_key=KEY, api_version="2024-10-21", max_retries=0) as client:
        yield client


@pytest.fixture
def openai_v1(relay: RelayThread) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY, max_retries=0) as client:
        yield client

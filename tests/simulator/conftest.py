"""A simulator for each test, and the official SDKs talking to it."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import AzureOpenAI, OpenAI

from tokenweir.simulator import HostedSimulator, running_simulator
from tokenweir.simulator.request import ReceivedRequest

Chat = Callable[..., ReceivedRequest]
Talk = Callable[[bytes], bytes]

AZURE_CHAT = "/openai/deployments/gpt-4o/chat/completions"


@pytest.fixture
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def azure(sim: HostedSimulator) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(azure_endpoint=sim.url, api_key="any", api_version="2024-10-21", max_retries=0) as client:
        yield client


@pytest.fixture
def openai(sim: HostedSimulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{sim.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def chat() -> Chat:
    """Makes a chat request as the simulator reads it: ``chat(stream=True, script={...}, path=...)``."""

    def make(path: str = AZURE_CHAT, script: dict[str, Any] | None = None, **body: Any) -> ReceivedRequest:
        body = {"messages": [{"role": "user", "content": "Hello"}], **body}
        headers = {"x-simulate": json.dumps(script)} if script is not None else {}
        return ReceivedRequest(
            method="POST",
            path=path,
            query={"api-version": "2024-10-21"},
            headers=headers,
            body=json.dumps(body).encode(),
        )

    return make


@pytest.fixture
def talk(sim: HostedSimulator) -> Talk:
    """Sends bytes on a connection of its own and reads until the simulator closes it."""
    address = urlsplit(sim.url)

    def send(request: bytes) -> bytes:
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer

    return send

"""The simulator over TLS, on both event loops: what it writes, and how it breaks off."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvloop

from tokenweir.simulator import Script, Simulator, SimulatorSettings

Run = Callable[..., Any]
CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
BODY = {"stream": True, "messages": [{"role": "user", "content": "Hello"}]}
AUTHORITY = trustme.CA()


@pytest.fixture
def settings(tmp_path: Path) -> SimulatorSettings:
    issued = AUTHORITY.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    return SimulatorSettings(certificate=str(tmp_path / "server.pem"))


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_stream_arrives_whole_and_is_known_to_have_been_taken(run: Run, settings: SimulatorSettings) -> None:
    async def ask() -> None:
        script = Script(output_tokens=20_000, chunk_tokens=1)
        async with Simulator(settings) as sim, httpx.AsyncClient(verify=trusting()) as web:
            assert sim.url.startswith("https://")
            answer = await web.post(sim.url + CHAT, json=BODY, headers=script.headers())
            assert answer.text.count("data: {") == 1 + 1 + 20_000 + 1
            [call] = await sim.wait_for_calls(1)
            assert (call.finished, call.visible_tokens) == (True, 20_000)

    run(ask())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("script", [Script(reset_after=3), Script(close_after=3)])
def test_a_fault_breaks_off_after_its_chunks(run: Run, settings: SimulatorSettings, script: Script) -> None:
    async def ask() -> None:
        received = ""
        async with Simulator(settings) as sim, httpx.AsyncClient(verify=trusting()) as web:
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                async with web.stream("POST", sim.url + CHAT, json=BODY, headers=script.headers()) as answer:
                    async for piece in answer.aiter_text():
                        received += piece
            assert received.count("data: {") == 1 + 1 + 3
            [call] = await sim.wait_for_calls(1)
            assert (call.finished, call.visible_tokens) == (False, 9)

    run(ask())

"""Sessions that pass by the gateway, and whose usage is heard by the books on a WebSocket of their own."""

import asyncio
import json
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from websockets.asyncio.client import ClientConnection, connect

from support.whole_gateway import WholeGateway, kill_books, whole_gateway
from tokenweir.errors import JournalError
from tokenweir.jobs import open_jobs
from tokenweir.simulator import HostedSimulator

SETTINGS = """
[jobs]
listen = true
"""
SAY = json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}})


def make_call(gateway: WholeGateway) -> str:
    """By WebRTC, as the SDK makes one; the id of the call."""
    with OpenAI(base_url=f"{gateway.url}/openai/v1", api_key="any", max_retries=0) as client:
        made = client.realtime.calls.create(sdp="v=0\r\n", session={"type": "realtime", "model": "gpt-realtime"})
        return made.response.headers["location"].rpartition("/")[2]


def until_heard(folder: Path, times: int = 1) -> None:
    """Until the books' sockets to all open sessions have been opened so often."""
    while True:
        try:
            jobs = open_jobs(folder / "journal")
        except JournalError:  # just being made
            continue
        if jobs and all(job.asked >= times for job in jobs):
            return


def direct(sim: HostedSimulator, call_id: str) -> AbstractAsyncContextManager[ClientConnection]:
    """A socket past the gateway, which makes the session say something."""
    return connect(f"{sim.url.replace('http', 'ws')}/v1/realtime?call_id={call_id}")


async def say(socket: ClientConnection) -> str:
    await socket.send(SAY)
    async for message in socket:
        event = json.loads(message)
        if event["type"] == "response.done":
            return str(event["response"]["id"])
    raise AssertionError("it closed")


def calls(gateway: WholeGateway, count: int, **wanted: str) -> list[dict[str, Any]]:
    """Records with these fields, once there are so many."""
    while True:
        try:
            found = httpx.get(f"{gateway.admin_url}/api/calls?limit=1000").json()
        except (httpx.HTTPError, json.JSONDecodeError):  # while its process is away
            continue
        chosen = [call for call in found if all(call.get(name) == value for name, value in wanted.items())]
        if len(chosen) >= count:
            return chosen


def hang_up(sim: HostedSimulator, call_id: str) -> None:
    assert httpx.post(f"{sim.url}/v1/realtime/calls/{call_id}/hangup").status_code == 200


def test_what_a_session_uses_that_passes_by_is_recorded_once_for_whoever_made_it(
    sim: HostedSimulator, tmp_path: Path
) -> None:
    with whole_gateway(tmp_path, sim.url, SETTINGS) as gateway:
        call_id = make_call(gateway)
        until_heard(tmp_path)

        async def talk() -> list[str]:
            relayed = f"{gateway.url.replace('http', 'ws')}/v1/realtime?call_id={call_id}"
            async with direct(sim, call_id) as socket, connect(relayed) as other:  # which hears the same
                await other.recv()
                return [await say(socket) for _ in range(3)]

        said = asyncio.run(talk())
        hang_up(sim, call_id)
        (session,) = [call for call in calls(gateway, 2, operation="session") if call["job"]]  # and the relayed one
        (made,) = calls(gateway, 1, operation="realtime/calls")
        heard = calls(gateway, 3, operation="realtime")
    assert sorted(call["response_id"] for call in heard) == sorted(said)
    sent = {call.id: call for call in sim.calls if call.prompt_tokens or call.completion_tokens}
    assert {call["response_id"]: call["output_tokens"] for call in heard} == {
        name: call.completion_tokens for name, call in sent.items()
    }
    assert {call["session_id"] for call in [made, session, *heard]} == {call_id}
    assert (made["usage_source"], made["usage_reason"]) == ("none", "later")
    by_the_books = [call for call in heard if call["job"]]
    assert {(call["caller"], call["job"]["made_by"]) for call in by_the_books} == {(made["caller"], made["call_id"])}
    assert (session["outcome"], session["deployment"]) == ("completed", "gpt-realtime")


def test_books_that_are_killed_listen_again_and_nothing_counts_twice(sim: HostedSimulator, tmp_path: Path) -> None:
    with whole_gateway(tmp_path, sim.url, SETTINGS) as gateway:
        ids = [make_call(gateway), make_call(gateway)]

        async def talk() -> list[str]:
            said = []
            for times in (1, 2, 3):
                await asyncio.to_thread(until_heard, tmp_path, times)
                for call_id in ids:
                    async with direct(sim, call_id) as socket:
                        said += [await say(socket), await say(socket)]
                await asyncio.to_thread(calls, gateway, len(said), operation="realtime")
                if times < 3:
                    kill_books(tmp_path)
            return said

        said = asyncio.run(talk())
        for call_id in ids:
            hang_up(sim, call_id)
        sessions = calls(gateway, 2, operation="session")
        heard = calls(gateway, 12, operation="realtime")
        assert open_jobs(tmp_path / "journal") == []
    assert Counter(call["response_id"] for call in heard) == Counter(said)
    sent = [call for call in sim.calls if call.completion_tokens]
    assert sum(call["total_tokens"] for call in heard) == sum(
        call.prompt_tokens + call.completion_tokens for call in sent
    )
    assert [call["outcome"] for call in sessions] == ["upstream_broken", "upstream_broken"]  # nobody heard meanwhile


def test_a_session_that_cannot_be_listened_to_is_given_up_and_said(sim: HostedSimulator, tmp_path: Path) -> None:
    with whole_gateway(tmp_path, sim.url, SETTINGS) as gateway:
        call_id = make_call(gateway)
        hang_up(sim, call_id)
        (given_up,) = calls(gateway, 1, error_code="given_up")
        assert (given_up["operation"], given_up["usage_reason"]) == ("job", "given_up")
        assert "404" in given_up["job"]["gave_up"]
        assert open_jobs(tmp_path / "journal") == []


@pytest.mark.parametrize("path", ["realtime/client_secrets", "realtime/calls"])
def test_without_the_setting_and_of_mere_keys_the_usage_is_elsewhere(
    sim: HostedSimulator, tmp_path: Path, path: str
) -> None:
    listens = "true" if path == "realtime/client_secrets" else "false"
    with whole_gateway(tmp_path, sim.url, SETTINGS.replace("true", listens)) as gateway:
        httpx.post(f"{gateway.url}/v1/{path}", json={"session": {"type": "realtime", "model": "gpt-realtime"}})
        (made,) = calls(gateway, 1, operation=path)
    assert made["usage_reason"] == "elsewhere"

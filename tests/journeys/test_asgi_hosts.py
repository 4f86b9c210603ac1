"""The official SDK through the ASGI application in each of the servers that people run."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.scripted import Line, Play, scripted
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from support.websocket_frames import frame as frame_of
from tokenweir.journal import JournalReader
from tokenweir.records import CallRecord
from tokenweir.serve.gateway_process import free_port
from tokenweir.simulator import HostedSimulator
from websockets import Subprotocol

HOSTS = {
    "uvicorn": ["-m", "uvicorn", "tokenweir.asgi:app", "--host", "127.0.0.1", "--port"],
    "granian": ["-m", "granian", "--interface", "asgi", "tokenweir.asgi:app", "--host", "127.0.0.1", "--port"],
    "hypercorn": ["-m", "hypercorn", "tokenweir.asgi:app", "--bind"],
}
PATIENCE = 30.0
MESSAGES: Any = [{"role": "user", "content": "What does a weir do?"}]


@contextmanager
def gateway_in(host: str, folder: Path, upstream: str) -> Iterator[str]:
    """A server of its own process with the application in it. Gives its URL; ends it with SIGTERM, in order."""
    port = free_port()
    place = f"127.0.0.1:{port}" if host == "hypercorn" else str(port)
    environment = {
        **os.environ,
        "AZURE_OPENAI_BASE_URL": upstream,
        "AZURE_OPENAI_KEY": "upstream-key",
        "AZURE_OPENAI_API_VERSION": "2024-10-21",
    }
    process = subprocess.Popen([sys.executable, *HOSTS[host], place], cwd=folder, env=environment)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            pause.wait(0.02)
    raise TimeoutError(f"the server did not start: {process.args!r}")


def records(folder: Path) -> list[CallRecord]:
    return JournalReader(folder / "tokenweir-data/journal/hosted-0", None).read(100).records


def sdk(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/openai/v1", api_key="none is asked for", max_retries=0)


def one_by_one(seen: threading.Semaphore, *, ends: bool) -> Play:
    """An upstream that sends its next chunk only when the client has seen the last one."""

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD)
        for word in ("Water ", "flows ", "over."):
            assert seen.acquire(timeout=20)
            line.send(chunked(frame(word)))
        assert seen.acquire(timeout=20)
        if ends:
            line.send(chunked(USAGE, DONE) + LAST_CHUNK)
        line.socket.close()

    return play


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_comes_chunk_by_chunk(host: str, tmp_path: Path) -> None:
    seen = threading.Semaphore(0)
    said = []
    with (
        scripted(one_by_one(seen, ends=True)) as upstream,
        gateway_in(host, tmp_path, upstream.url) as url,
        sdk(url) as client,
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream,
    ):
        seen.release()  # the head has come alone
        for chunk in stream:
            said.append(chunk.choices[0].delta.content)
            seen.release()
    (record,) = records(tmp_path)

    assert said == ["Water ", "flows ", "over."]
    assert (record.outcome, record.usage.source, record.usage.total_tokens) == ("completed", "reported", 16)


@pytest.mark.parametrize("host", HOSTS)
def test_a_stream_that_breaks_does_not_look_whole(host: str, tmp_path: Path) -> None:
    seen = threading.Semaphore(0)
    with scripted(one_by_one(seen, ends=False)) as upstream, gateway_in(host, tmp_path, upstream.url) as url:
        body = json.dumps({"model": "m", "messages": MESSAGES, "stream": True})
        with httpx.stream("POST", f"{url}/openai/v1/chat/completions", content=body, timeout=20) as answer:
            seen.release()
            pieces = []
            with pytest.raises(httpx.RemoteProtocolError):
                for piece in answer.iter_raw():
                    pieces.append(piece)
                    seen.release()
    (record,) = records(tmp_path)

    assert b"".join(pieces).count(b"data:") == 3
    assert (record.outcome, record.usage.source) == ("upstream_broken", "estimated")


@pytest.mark.parametrize("host", HOSTS)
def test_a_client_that_leaves_closes_the_upstream(host: str, tmp_path: Path) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("Water ")))
        line.wait_closed()

    with scripted(play) as upstream, gateway_in(host, tmp_path, upstream.url) as url:
        with sdk(url) as client, client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
            next(iter(stream))
        upstream.wait_for_end()
    (record,) = records(tmp_path)

    assert (record.outcome, record.usage.source) == ("client_gone", "estimated")


@pytest.mark.parametrize("ends", [True, False], ids=["whole", "broken"])
def test_http_2(ends: bool, tmp_path: Path) -> None:
    seen = threading.Semaphore(100)
    body = json.dumps({"model": "m", "messages": MESSAGES, "stream": True}).encode()
    with (
        scripted(one_by_one(seen, ends=ends)) as upstream,
        gateway_in("hypercorn", tmp_path, upstream.url) as url,
        httpx.Client(http1=False, http2=True, timeout=20) as client,
        # An iterator has no length, so nothing but the frames says that there is a body.
        client.stream("POST", f"{url}/openai/v1/chat/completions", content=iter([body])) as answer,
    ):
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        if ends:
            assert answer.read().count(b"data:") == 4
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
    (record,) = records(tmp_path)

    assert record.outcome == ("completed" if ends else "upstream_broken")
    assert record.bytes_in == len(body)


@pytest.mark.parametrize("host", HOSTS)
def test_a_websocket_is_relayed_and_metered(host: str, sim: HostedSimulator, tmp_path: Path) -> None:
    async def talk(url: str) -> list[str]:
        events: list[str] = []
        async with (
            AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="none is asked for") as client,
            client.realtime.connect(model="gpt-realtime") as connection,
        ):
            await connection.response.create(response={"output_modalities": ["audio"]})
            async for event in connection:
                events.append(event.type)
                if event.type == "response.done":
                    break
        return events

    with gateway_in(host, tmp_path, sim.url) as url:
        events = asyncio.run(talk(url))
    assert events[0] == "session.created" and "response.output_audio.delta" in events
    response, session = sorted(records(tmp_path), key=lambda record: record.operation)
    (sent,) = [call for call in sim.calls if call.completion_tokens]
    assert (response.response_id, response.usage.output_tokens) == (sent.id, sent.completion_tokens)
    assert (session.operation, session.outcome, session.status) == ("session", "completed", 101)
    assert session.session_id == response.session_id


@pytest.mark.parametrize("host", HOSTS)
def test_a_websocket_that_the_upstream_refuses_is_refused(host: str, tmp_path: Path) -> None:
    def refuse(line: Line) -> None:
        line.read_head()
        line.send(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")
        line.wait_closed()

    async def ask(url: str) -> int:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{url.replace('http', 'ws')}/openai/v1/realtime?model=gpt-realtime")
        return refused.value.response.status_code

    with scripted(refuse) as upstream, gateway_in(host, tmp_path, upstream.url) as url:
        assert asyncio.run(ask(url)) in (403, 404)  # by whether the host can pass an answer on
    (record,) = records(tmp_path)
    assert (record.status, record.outcome, record.operation) == (404, "upstream_error", "realtime")


@pytest.mark.parametrize("host", HOSTS)
def test_messages_and_close_codes_pass_in_both_directions(host: str, tmp_path: Path) -> None:
    big = bytes(range(256)) * 4096
    came: list[bytes] = []

    def play(line: Line) -> None:
        came.append(line.read_head())
        accepted = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: realtime\r\nX-Odd: kept\r\n\r\n"
        )
        line.send(accepted + frame_of(1, b"he", fin=False) + frame_of(9, b"?") + frame_of(0, "llö".encode()))
        line.send(frame_of(2, big))
        came.append(line.read(2 + 4 + 1))  # the pong
        came.append(line.read(2 + 4 + 4))
        line.send(frame_of(8, b"\x10\x04" + b"bye"))  # 4100
        line.wait_closed()

    async def talk(url: str) -> tuple[list[str | bytes], int | None, str | None]:
        path = f"{url.replace('http', 'ws')}/openai/v1/realtime?model=gpt-realtime"
        subprotocols = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.any")]
        async with connect(path, subprotocols=subprotocols) as socket:
            seen = [await socket.recv(), await socket.recv()]
            await socket.send(b"back")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return seen, socket.close_code, socket.subprotocol

    with scripted(play) as upstream, gateway_in(host, tmp_path, upstream.url) as url:
        seen, code, subprotocol = asyncio.run(talk(url))
    assert (seen, code, subprotocol) == (["hellö", big], 4100, "realtime")
    head, pong, message = came
    assert b"sec-websocket-extensions" not in head.lower() and b"api-key.any" not in head
    assert pong[0] == 0x8A
    assert bytes(byte ^ message[2 + at % 4] for at, byte in enumerate(message[6:])) == b"back"
    (record,) = records(tmp_path)
    assert (record.outcome, record.error_code) == ("upstream_error", "websocket_close_4100")

"""The gateway as a host meets it: its start, its end, and who is let in."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from support.scripted import Line, scripted
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from tokenweir.config import load
from tokenweir.errors import ConfigError
from tokenweir.serve.asgi_app import GatewayApp

PROXY = {"AZURE_OPENAI_BASE_URL": "http://127.0.0.1:9", "AZURE_OPENAI_KEY": "upstream-key"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_OPENAI_KEY", "upstream-key")
    return tmp_path


def gateway(environ: dict[str, str] = PROXY, **options: Any) -> GatewayApp:
    return GatewayApp(lambda: load(None, environ), **options)


async def answered(app: GatewayApp, body: bytes = b"{}", **scope: Any) -> list[dict[str, Any]]:
    """The messages of the answer to a call."""
    usual: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/nothing",
        "raw_path": b"/nothing",
        "query_string": b"",
        "headers": [(b"host", b"gateway"), (b"content-length", b"%d" % len(body))],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    waiting = [{"type": "http.request", "body": body}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    await app({**usual, **scope}, receive, send)
    return sent


def error_of(messages: list[dict[str, Any]]) -> tuple[int, str]:
    start, *body = messages
    return start["status"], json.loads(b"".join(message["body"] for message in body))["error"]["code"]


@pytest.mark.parametrize(
    ("server", "is_guarded", "expected"),
    [
        (("127.0.0.1", 80), False, (404, "unknown_route")),
        (("/run/gateway.sock", None), False, (404, "unknown_route")),
        (("10.0.0.4", 80), False, (401, "invalid_api_key")),
        (("10.0.0.4", 80), True, (404, "unknown_route")),
    ],
)
def test_while_no_caller_has_a_key_only_this_machine_or_a_guarding_host_is_served(
    server: tuple[str, int | None], is_guarded: bool, expected: tuple[int, str]
) -> None:
    async def run() -> tuple[int, str]:
        app = gateway(is_guarded=is_guarded)
        messages = await answered(app, path="/openai/nothing", raw_path=b"/nothing", server=server)
        await app.stop()
        return error_of(messages)

    assert asyncio.run(run()) == expected


def test_a_body_that_is_not_as_long_as_its_length_says_is_refused() -> None:
    async def run() -> list[tuple[int, str]]:
        app = gateway()
        headers = [(b"host", b"gateway"), (b"content-length", b"4")]
        path = b"/openai/deployments/m/audio/transcriptions"
        told = [error_of(await answered(app, body, headers=headers, raw_path=path)) for body in (b"12345", b"123")]
        await app.stop()
        return told

    assert asyncio.run(run()) == [(400, "malformed_request")] * 2


def test_a_configuration_that_cannot_be_used_stops_the_hosts_start_or_fails_the_call() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(gateway({})({"type": "lifespan"}, receive, send))
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "upstreams" in sent[0]["message"]
    with pytest.raises(ConfigError):
        asyncio.run(answered(gateway({})))


def test_each_process_of_a_host_has_a_journal_of_its_own(folder: Path) -> None:
    async def run() -> None:
        first, second = gateway(), gateway()
        await answered(first)
        await answered(second)
        await first.stop()
        await second.stop()

    asyncio.run(run())
    assert sorted(path.name for path in (folder / "tokenweir-data/journal").iterdir()) == ["hosted-0", "hosted-1"]


def test_without_a_disk_strict_durability_is_refused_and_no_directory_made(folder: Path) -> None:
    with pytest.raises(ConfigError, match="strict"):
        asyncio.run(answered(gateway({**PROXY, "TOKENWEIR_JOURNAL__DURABILITY": "strict"}, has_disk=False)))
    assert list(folder.iterdir()) == []


async def streamed(upstream: str, folder: Path, environ: dict[str, str] | None = None) -> list[tuple[bytes, int]]:
    """Each piece of a stream's answer, and how many events were in the sink's file when it was sent."""
    sinks = json.dumps([{"name": "lines", "kind": "file", "connection": {"path": str(folder / "events.jsonl")}}])
    settings = {**PROXY, "AZURE_OPENAI_BASE_URL": upstream, "TOKENWEIR_SINKS": sinks, **(environ or {})}
    app = gateway(settings, has_disk=False, is_guarded=True)
    pieces: list[tuple[bytes, int]] = []
    body = json.dumps({"model": "gpt-4o", "messages": [], "stream": True}).encode()
    path = "/openai/deployments/gpt-4o/chat/completions"
    waiting = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        file = folder / "events.jsonl"
        if message["type"] == "http.response.body" and message["body"]:
            pieces.append((message["body"], len(file.read_bytes().splitlines()) if file.exists() else 0))

    headers = [(b"host", b"gateway"), (b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "query_string": b"api-version=1"}
    await app({**scope, "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}, receive, send)
    await app.stop()
    return pieces


def a_stream(line: Line) -> None:
    line.read_request()
    line.send(STREAM_HEAD + chunked(frame("Water ")) + chunked(USAGE, DONE) + LAST_CHUNK)


def test_without_a_disk_the_event_is_sent_before_the_answer_ends_and_the_call_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with scripted(a_stream) as upstream:
        *_, (last, events) = asyncio.run(streamed(upstream.url, folder))
    assert DONE in last
    assert events == 1
    (told,) = [record.getMessage() for record in caplog.records if "chat" in record.getMessage()]
    assert "chat_completions gpt-4o by anonymous: 200 completed in" in told
    assert "tokens (reported)" in told


def test_who_asks_for_batches_does_not_wait_for_the_sink(folder: Path) -> None:
    with scripted(a_stream) as upstream:
        *_, (last, events) = asyncio.run(streamed(upstream.url, folder, {"TOKENWEIR_JOURNAL__DURABILITY": "batch"}))
    assert DONE in last
    assert events == 0


@pytest.mark.parametrize("on_outage", ["pass", "refuse"])
def test_a_sink_that_takes_nothing_lets_calls_pass_or_refuses_them_and_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture, on_outage: str
) -> None:
    (folder / "events.jsonl").mkdir()  # no file can be there

    async def run(url: str) -> list[tuple[int, str | None]]:
        sinks = json.dumps([{"name": "lines", "kind": "file", "connection": {"path": str(folder / "events.jsonl")}}])
        settings = {"TOKENWEIR_SINKS": sinks, "TOKENWEIR_JOURNAL__SHIP_TIMEOUT": "1ms"}
        settings |= {"TOKENWEIR_JOURNAL__ON_OUTAGE": on_outage, "AZURE_OPENAI_BASE_URL": url}
        app = gateway({**PROXY, **settings}, has_disk=False, is_guarded=True)
        told = []
        for _ in range(2):
            start, *pieces = await answered(app, path="/openai/models", raw_path=b"/openai/models", method="GET")
            body = json.loads(b"".join(piece["body"] for piece in pieces))
            told.append((start["status"], body.get("error", {}).get("code")))
        await app.stop()
        return told

    def play(line: Line) -> None:
        while line.read_request():
            line.send(answer(b"{}"))

    with scripted(play) as upstream:
        first, second = asyncio.run(run(upstream.url))
    assert first == (200, None)
    assert second == ((200, None) if on_outage == "pass" else (503, "journal_unavailable"))
    assert "answers end before their events are sent" in caplog.text
    assert "what is not sent waits in memory only" in caplog.text
    assert "nothing is lost" not in caplog.text

"""The gateway as a host meets it: its start, its end, and who is let in."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

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

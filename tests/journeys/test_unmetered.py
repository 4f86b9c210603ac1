"""Nothing is silently zero: what is relayed and not understood says so, with its bytes, and is listed by path."""

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from support.relay_thread import KEY, RelayThread
from tokenweir.cli import app
from tokenweir.ledger import open_ledger
from tokenweir.records import NO_USAGE, Quantity, from_fields
from tokenweir.simulator import HostedSimulator

THREADS = "/openai/threads/thread_abc123abc123abc/runs"
QUERY = "?api-version=2024-10-21"


def test_a_call_that_nobody_understands_is_unmetered_with_its_bytes(relay: RelayThread, sim: HostedSimulator) -> None:
    answer = httpx.post(f"{relay.url}{THREADS}{QUERY}", json={"assistant_id": "a"}, headers={"api-key": KEY})
    record = relay.record()
    assert (record.api, record.usage.source, record.usage.reason) == ("other", "none", "unmetered")
    size = record.bytes_in + len(answer.content)
    assert record.usage.quantities == {"unmetered_bytes": Quantity(size, "counted")}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", THREADS),
        ("POST", "/openai/assistants"),
        ("POST", "/openai/v1/conversations"),
        ("DELETE", "/openai/threads/thread_1"),
    ],
)
def test_what_only_reads_or_keeps_is_not(relay: RelayThread, method: str, path: str) -> None:
    httpx.request(method, f"{relay.url}{path}{QUERY}", headers={"api-key": KEY})
    assert relay.record().usage == NO_USAGE


def test_what_was_refused_is_not(relay: RelayThread, sim: HostedSimulator) -> None:
    headers = {"api-key": KEY, "x-simulate": '{"status": 429}'}
    httpx.post(f"{relay.url}{THREADS}{QUERY}", json={}, headers=headers)
    record = relay.record()
    assert (record.status, record.usage) == (429, NO_USAGE)


def test_they_are_listed_by_path_most_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokenweir.toml").write_text('[ledger]\nurl = "duckdb:ledger.duckdb"\n')
    ledger = open_ledger("duckdb:ledger.duckdb")
    said = [
        ("/openai/threads/thread_abc123abc123abc/runs", "unmetered", 100),
        ("/openai/threads/thread_def456def456def/runs", "unmetered", 11),
        ("/openai/v1/chat/completions", "unreadable", None),
        ("/openai/v1/responses", "later", None),
        ("/openai/v1/files", None, None),
    ]
    calls = [
        from_fields(
            call_id=f"c{number}",
            started_at=datetime(2026, 3, 1, tzinfo=UTC),
            path=path,
            usage_reason=reason,
            quantities={"unmetered_bytes": Quantity(size, "counted")} if size else {},
        )
        for number, (path, reason, size) in enumerate(said)
    ]
    ledger.post(calls, "relay-1", "1")
    ledger.close()
    ran = CliRunner().invoke(app, ["usage", "--unmetered", "--format", "json", "--config", "tokenweir.toml"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == [
        {"path": "/openai/threads/{id}/runs", "usage_reason": "unmetered", "calls": 2, "unmetered_bytes": 111},
        {"path": "/openai/v1/chat/completions", "usage_reason": "unreadable", "calls": 1, "unmetered_bytes": None},
    ]

"""The Function Apps in the real Functions runtime, which needs Python 3.13."""

import json
import os
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from support.amqp.emulator import running_event_hubs
from support.apim_events import LoggedCall, our_event
from support.azurite import azurite_by_identity
from support.ingestion import Answer, Request, accepted, serving_ingestion, some_of
from support.scripted import Line, scripted
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from tokenweir.records import SystemClock

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "deploy/azure/functions"
HOST = Path(__file__).with_name("mini_host.py")
CACHE = Path.home() / ".cache/tokenweir-tests/functions-3.13-2"
NEEDED = ["azure-functions", "azure-functions-runtime", "azurefunctions-extensions-http-fastapi"]
NEEDED += [f"{ROOT}[azure,insights]"]


def python_3_13() -> str | None:
    """An interpreter that starts; pyenv has names for some that do not."""
    pyenv = sorted((Path.home() / ".pyenv/versions").glob("3.13.*/bin/python"))
    for found in [*map(str, pyenv), shutil.which("python3.13")]:
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """A Python 3.13 with the runtime and what the gateway needs; made once for this machine."""
    ready = CACHE / "ready"
    if not ready.exists():
        found = python_3_13()
        if found is None:
            pytest.skip("SKIPPED LOUDLY: no Python 3.13 here, so the Functions runtime does not run")
        subprocess.run([found, "-m", "venv", "--clear", str(CACHE)], check=True)
        installed = subprocess.run([str(CACHE / "bin/python"), "-m", "pip", "install", "-qq", *NEEDED])
        if installed.returncode != 0:
            pytest.skip("SKIPPED LOUDLY: the Functions runtime could not be installed")
        ready.touch()
    return CACHE / "bin/python"


def run_host(
    interpreter: Path, folder: Path, variables: dict[str, str], *arguments: str | Path
) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
    """What the host told by lines of JSON, and its process, which has ended."""
    host = subprocess.run(
        [str(interpreter), str(HOST), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return [json.loads(line) for line in host.stdout.splitlines() if line.startswith("{")], host


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_runtime_indexes_the_app_and_streams_through_it_chunk_by_chunk(interpreter: Path, tmp_path: Path) -> None:
    seen = threading.Semaphore(0)
    heads: list[bytes] = []

    def play(line: Line) -> None:
        heads.append(line.read_request()[0])
        line.send(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nx-ms-region: Sweden Central\r\n\r\n"))
        for word in ("Water ", "flows "):
            assert seen.acquire(timeout=20)
            line.send(chunked(frame(word)))
        assert seen.acquire(timeout=20)
        line.send(chunked(USAGE, DONE) + LAST_CHUNK)

    told: list[dict[str, object]] = []
    lines: list[bytes] = []
    sent: list[int] = []
    body = json.dumps({"model": "gpt-4o", "messages": [], "stream": True})
    path = "/api/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21&code=secret"
    with scripted(play) as upstream, running_event_hubs() as hubs:
        variables = {"AZURE_OPENAI_BASE_URL": upstream.url, "AZURE_OPENAI_KEY": "upstream-key"}
        variables |= {"AZURE_EVENTHUB_CONN_STR": hubs.connection_string(), "AZURE_EVENTHUB_NAME": "llm"}
        variables |= {"TOKENWEIR_JOURNAL__SHIP_TIMEOUT": "20s"}  # the SDK's first connection, on a busy machine
        host = subprocess.Popen(
            [str(interpreter), str(HOST), "http", str(APPS / "gateway"), path, body, "1"],
            cwd=tmp_path,
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
        )
        try:
            assert host.stdout is not None
            for line in host.stdout:
                if line.startswith(b"{"):  # the others are the web server's, and the log
                    told.append(json.loads(line))
                    sent.append(hubs.deliveries)
                    if "loaded" not in told[-1]:
                        seen.release()
                else:
                    lines.append(line)
        finally:
            received = [event for events in hubs.received("llm").values() for event in events]
            host.kill()
            host.wait()
            if host.stdout is not None:
                host.stdout.close()

    assert told.pop(0) == {"loaded": 1}
    assert told[0] == {"status": 200, "region": "Sweden Central"}
    [event] = [json.loads(event.body) for event in received]
    assert (event["type"], event["content"]) == ("stream_completion", "Water flows ")
    last = next(number for number, piece in enumerate(told, 1) if "[DONE]" in str(piece.get("piece")))
    assert (sent[1], sent[last]) == (0, 1)  # the event was with the hub before the answer's last bytes were out
    assert len([line for line in lines if b"chat_completions gpt-4o by anonymous: 200 completed" in line]) == 1
    assert [piece["piece"] for piece in told[1:3]] == [frame("Water ").decode(), frame("flows ").decode()]
    assert told[-2:] == [{"whole": True}, {"invocation": 1}]
    assert b"secret" not in heads[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("on_outage", "statuses"), [("pass", [200, 200]), ("refuse", [200, 503])])
def test_in_the_runtime_a_hub_that_is_away_lets_calls_pass_or_refuses_them_and_both_is_said(
    interpreter: Path, tmp_path: Path, on_outage: str, statuses: list[int]
) -> None:
    def play(line: Line) -> None:
        while line.read_request():
            line.send(STREAM_HEAD + chunked(frame("Water "), USAGE, DONE) + LAST_CHUNK)

    body = json.dumps({"model": "gpt-4o", "messages": [], "stream": True})
    path = "/api/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    with scripted(play) as upstream, running_event_hubs() as hubs:
        hubs.stop()
        variables = {
            "AZURE_OPENAI_BASE_URL": upstream.url,
            "AZURE_OPENAI_KEY": "upstream-key",
            "AZURE_EVENTHUB_CONN_STR": hubs.connection_string("llm"),
            "TOKENWEIR_JOURNAL__SHIP_TIMEOUT": "200ms",
            "TOKENWEIR_JOURNAL__ON_OUTAGE": on_outage,
        }
        told, host = run_host(interpreter, tmp_path, variables, "http", APPS / "gateway", path, body, "2")
    assert [one["status"] for one in told if "status" in one] == statuses, host.stderr
    assert "ERROR" in host.stderr and "answers end before their events are sent" in host.stderr
    assert host.stdout.count("chat_completions gpt-4o by anonymous") == 2
    said = host.stdout + host.stderr
    assert "the journal" not in said
    assert "nothing is lost" not in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_runtime_indexes_the_meter_and_gives_it_a_batch(interpreter: Path, tmp_path: Path) -> None:
    answer = json.dumps({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})
    events = [our_event(LoggedCall(request='{"messages": []}', response=answer)), "odd"]
    (tmp_path / "events").write_text("\n".join(events))
    with serving_ingestion() as ingestion:
        variables = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string,
            "TOKENWEIR_INTAKE__DEAD_LETTERS": str(tmp_path / "dead.jsonl"),
            "NO_PROXY": "127.0.0.1",
        }
        told, host = run_host(interpreter, tmp_path, variables, "hub", APPS / "meter", tmp_path / "events")
    assert told == [{"loaded": 1}, {"invocation": 1}], host.stderr
    (event,) = ingestion.events
    assert (event["name"], event["properties"]["TotalTokens"]) == ("Azure OpenAI Tokens", "12")
    (letter,) = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert (letter["place"], letter["body"]) == ("sequence number 1", "odd")


def no_older_than_two_days(request: Request) -> Answer:
    """As Application Insights takes events."""
    oldest = SystemClock().now() - timedelta(days=2)
    times = [datetime.fromisoformat(item["time"]) for item in request.items]
    old = [
        (index, 400, "103: Field 'time' on type 'Envelope' is older") for index, at in enumerate(times) if at < oldest
    ]
    return some_of(request, *old) if old else accepted(request)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_the_runtime_what_waited_for_days_is_charged_and_what_is_refused_is_in_blobs(
    interpreter: Path, tmp_path: Path
) -> None:
    answer = json.dumps({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})
    ids = [f"00000000-0000-7000-8000-{number:012}" for number in range(3)]
    old = datetime(2026, 1, 2, tzinfo=UTC)
    calls = [LoggedCall(request='{"messages": []}', response=answer, request_id=one, ended_at=old) for one in ids]
    (tmp_path / "events").write_text("\n".join(our_event(call) for call in calls))

    def judge(request: Request) -> Answer:
        refused = [(index, 400, "odd") for index, one in enumerate(request.call_ids) if one == ids[1]]
        return some_of(request, *refused) if refused else no_older_than_two_days(request)

    with (
        serving_ingestion() as ingestion,
        pytest.MonkeyPatch.context() as patch,
        azurite_by_identity(tmp_path, patch) as azurite,
    ):
        ingestion.answer = judge
        container = azurite.make_container()
        variables = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string,
            "TOKENWEIR_INTAKE__DEAD_LETTERS": f"{azurite.url}/{container}",
            "REQUESTS_CA_BUNDLE": str(azurite.ca_bundle),
            "NO_PROXY": "127.0.0.1",
        }
        told, host = run_host(interpreter, tmp_path, variables, "hub", APPS / "meter", tmp_path / "events")
        assert told == [{"loaded": 1}, {"invocation": 1}], host.stderr
        connection = azurite.connection_string()
        with ContainerClient.from_connection_string(
            connection, container, connection_verify=azurite.ca_bundle
        ) as client:
            [blob] = list(client.list_blobs(name_starts_with="sinks/application-insights/"))
            [letter] = [json.loads(line) for line in client.download_blob(blob.name).readall().splitlines()]
    assert ingestion.call_ids == [ids[0], ids[2]]
    assert all(event["properties"]["Timestamp"].startswith("2026-01-0") for event in ingestion.events)
    assert letter["call_id"] == ids[1]

"""The streaming tool as a process, at a real gateway: each call has its record, and what had come is always shown."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.relay_thread import KEY, RelayThread

SIMULATE = {"output_tokens": 600, "chunk_delay": "20ms"}


@pytest.fixture(autouse=True)
def sigint_is_not_ignored() -> Iterator[None]:
    """As it is for tests in the background, and for what they start."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def started(relay: RelayThread, folder: Path, *arguments: str, **simulate: Any) -> "subprocess.Popen[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "OPENAI_"))}
    script = json.dumps({**SIMULATE, **simulate})
    return subprocess.Popen(
        [sys.executable, "-m", "tokenweir", "stream", "Hello", "--header", f"x-simulate: {script}", *arguments],
        cwd=folder,
        env={**environ, "AZURE_OPENAI_ENDPOINT": relay.url, "AZURE_OPENAI_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: "subprocess.Popen[str]", pattern: str) -> str:
    assert process.stdout is not None
    printed = ""
    while not re.search(pattern, printed):
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        printed += line
    return printed


@pytest.mark.parametrize("via", ["http", "sdk"])
def test_the_gateways_record_is_of_the_call_that_was_shown(relay: RelayThread, tmp_path: Path, via: str) -> None:
    process = started(relay, tmp_path, "--json", "--via", via, output_tokens=30)
    out, err = process.communicate(timeout=50)
    call = json.loads(out.splitlines()[-1])
    record = relay.record()

    assert (process.returncode, err) == (0, "")
    assert call["headers"]["x-tokenweir-call-id"] == record.call_id
    assert call["headers"]["x-ms-stream"] == "True"
    assert call["usage"]["output_tokens"] == record.usage.output_tokens == 30
    assert call["findings"] == []


@pytest.mark.parametrize("via", ["http", "sdk"])
def test_ctrl_c_shows_and_saves_what_had_come(relay: RelayThread, tmp_path: Path, via: str) -> None:
    process = started(relay, tmp_path, "--save", "left.jsonl", "--via", via)
    printed = read_until(process, r"  text .*\n.*  text ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)

    assert (process.returncode, err) == (130, "")
    assert "Stopped before the end" in out
    assert re.search(r"^first token +\d", out, re.M)
    shown = len(re.findall("  text ", printed + out))
    kept = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
    assert kept[-1]["how"] == "interrupted"
    assert shown >= 2
    assert KEY not in printed + out + json.dumps(kept)
    assert relay.record().outcome == "client_gone"


def test_ctrl_c_among_many_calls_sums_up_those_that_had_begun(relay: RelayThread, tmp_path: Path) -> None:
    process = started(relay, tmp_path, "--json", "--repeat", "50", "--concurrency", "4", output_tokens=30)
    read_until(process, '"type":"call"')
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=50)
    summary = json.loads(out.splitlines()[-1])

    assert process.returncode == 130
    assert summary["type"] == "summary"
    assert 1 <= sum(column["calls"] for column in summary["columns"].values()) < 50


def test_a_reader_that_has_enough_is_no_error_worth_a_word(relay: RelayThread, tmp_path: Path) -> None:
    process = started(relay, tmp_path, "--json")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(50)
    process.stderr.close()

    assert first["type"] == "began"
    assert err == ""


def test_a_key_that_the_gateway_does_not_know_is_explained(relay: RelayThread, tmp_path: Path) -> None:
    process = started(relay, tmp_path, "--key", "nobody-0123456789")
    out, err = process.communicate(timeout=50)
    assert process.returncode == 1
    assert "the answer is 401: This API key is not known here" in out
    assert "nobody-0123456789" not in out + err

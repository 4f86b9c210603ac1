"""``tokenweir simulate`` as a process: what it prints, that it serves, how it ends."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tokenweir.cli.app import new_app
from tokenweir.cli.simulate import simulate
from tokenweir.simulator import script_from

PROGRAM = "import typer; from tokenweir.cli.simulate import simulate; typer.run(simulate)"

app = new_app("The simulator alone.")
app.command()(simulate)
app.callback()(lambda: None)  # or typer would make the one command the whole line


@contextmanager
def command(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command running, and the address it printed."""
    started = [sys.executable, "-c", PROGRAM, "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert address is not None
            yield process, address[0]
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end_and_ends_cleanly(how: signal.Signals, tmp_path: Path) -> None:
    ledger = tmp_path / "calls.jsonl"
    with command("--key", "k", "--region", "Norway East", "--ledger", str(ledger)) as (process, url):
        answer = httpx.get(f"{url}/openai/models?api-version=2024-10-21", headers={"api-key": "k"})
        assert (answer.status_code, answer.headers["x-ms-region"]) == (200, "Norway East")
        process.send_signal(how)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    assert json.loads(ledger.read_text())["status"] == 200


def test_the_printed_example_works() -> None:
    with command() as (process, url):
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed:
            printed += process.stdout.readline()
        path = re.search(r"curl -N '[^']*?(/openai[^']+)'", printed)
        script = re.search(r"-H 'x-simulate: ([^']+)'", printed)
        body = re.search(r"-d '([^']+)'", printed)
        assert path and script and body
        answer = httpx.post(url + path[1], content=body[1], headers={"x-simulate": script[1]})
        assert answer.text.endswith("data: [DONE]\n\n")
        assert '"usage":{"completion_tokens":60' in answer.text


def test_an_address_that_cannot_be_used_is_said_plainly() -> None:
    result = CliRunner().invoke(app, ["simulate", "--listen", "127.0.0.1:notaport"])
    assert result.exit_code == 2
    assert result.stderr.startswith("tokenweir: Cannot listen on '127.0.0.1:notaport'")


def test_the_help_shows_each_default() -> None:
    shown = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "200"}).stdout
    shown = " ".join(shown.split())
    for default in ("127.0.0.1:9000", "any key, or none", "no file", "Sweden Central", "plain HTTP"):
        assert default in shown


def test_requests_that_say_nothing_follow_the_usual_script_and_the_limit() -> None:
    with command("--script", '{"output_tokens": 7}', "--requests-per-minute", "2") as (_, url):
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
        answers = [httpx.post(f"{url}/v1/chat/completions", json=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].json()["usage"]["completion_tokens"] == 7
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60


def test_a_usual_script_that_cannot_be_followed_is_said_plainly() -> None:
    result = CliRunner().invoke(app, ["simulate", "--script", '{"ouput_tokens": 3}'])
    assert result.exit_code == 2
    assert "did you mean output_tokens?" in result.stderr


def test_every_script_in_the_guide_can_be_followed() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/simulator.md").read_text("utf-8")
    scripts = [text for text in re.findall(r"[`']({\".*?})[`']", guide) if "model" not in text]
    assert len(scripts) >= 18
    for text in scripts:
        script_from(text)

"""``tokenweir estimate``: a request counted, recordings compared, and what is wrong said plainly."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokenweir.cli.commands import app
from tokenweir.vocabulary import count

HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_request_is_counted_before_it_is_sent(tmp_path: Path) -> None:
    body = tmp_path / "request.json"
    body.write_text(json.dumps(HELLO))
    told = CliRunner().invoke(app, ["estimate", str(body)])
    assert json.loads(told.stdout) == {
        "api": "chat_completions",
        "model": "gpt-4o",
        "encoding": "o200k_base",
        "input_tokens": 8,
    }


@pytest.mark.parametrize(
    ("body", "api"),
    [
        ({"input": "Hello", "model": "gpt-4o"}, "responses"),
        ({"input": "Hello", "model": "text-embedding-3-small"}, "embeddings"),
        ({"prompt": "Hello"}, "completions"),
        ({"model": "claude-sonnet-5-5", "messages": []}, "messages"),
    ],
)
def test_the_surface_follows_from_the_body(body: dict[str, object], api: str) -> None:
    told = CliRunner().invoke(app, ["estimate", "-"], input=json.dumps(body))
    assert json.loads(told.stdout)["api"] == api


def recording(
    tmp_path: Path, name: str, reported: int, url: str = "https://api.openai.com/v1/chat/completions"
) -> None:
    message = {"role": "assistant", "content": "Good day."}
    usage = {"prompt_tokens": reported, "completion_tokens": 3, "total_tokens": reported + 3}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    answer = {"model": "gpt-4o-2024-08-06", "choices": choices, "usage": usage}
    call = {
        "request": {"url": url, "body": json.dumps(HELLO)},
        "response": {"status": 200, "headers": {}, "body": json.dumps(answer)},
    }
    (tmp_path / name).write_text(json.dumps(call))


def test_recordings_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    assert count("Good day.", "o200k_base") == 3
    recording(tmp_path, "a.json", 8)
    recording(tmp_path, "b.json", 10)
    recording(tmp_path, "c.json", 8, "https://api.openai.com/v1/models")
    recording(tmp_path, "d.json", 99)
    (tmp_path / "e.json").write_text("no JSON")
    (tmp_path / "index.jsonl").write_text('{"file": "d.json", "notes": "maybe edited by hand"}\n')
    told = CliRunner().invoke(app, ["estimate", "--recordings", str(tmp_path), "--format", "json"])
    rows = {row["kind"]: row for row in json.loads(told.stdout)}
    assert rows["prompt: text"] == {
        "kind": "prompt: text",
        "calls": 2,
        "exact": "50%",
        "within 2": "100%",
        "within 5": "100%",
        "in sum": "-11.1%",
    }
    assert rows["answer: text"]["exact"] == "100%"
    halves = [
        json.loads(
            CliRunner()
            .invoke(app, ["estimate", "--recordings", str(tmp_path), "--half", half, "--format", "json"])
            .stdout
        )
        for half in ("0", "1")
    ]
    assert sum(row["calls"] for rows in halves for row in rows if row["kind"] == "prompt: text") == 2


@pytest.mark.parametrize(
    ("arguments", "body", "words"),
    [
        (["-"], "[]", "The request's body is no JSON object."),
        (["-", "--api", "chat"], "{}", "--api is one of chat_completions"),
        (["nowhere.json"], "", "The request cannot be read"),
        (["--recordings", "/nowhere"], "", "There are no recordings"),
        ([], "", "Give the file of a request's body, or --recordings."),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], body: str, words: str) -> None:
    told = CliRunner().invoke(app, ["estimate", *arguments], input=body)
    assert told.exit_code == 2
    assert words in " ".join(told.stderr.replace("│", " ").split())

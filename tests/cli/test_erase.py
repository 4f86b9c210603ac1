"""`tokenweir erase`: after it, nobody finds whom it was about, and every amount is as before."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.delivery import Rejected
from tokenweir.delivery.dead_letters import DeadEvents
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.sinks import JsonEvent
from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import from_fields, new_call_id
from tokenweir.serve.gateway_process import free_port

from .test_books import gateway

Tokenweir = Callable[..., Any]

CONFIG = """\
[server]
data = "127.0.0.1:{data}"
admin = "127.0.0.1:{admin}"
[journal]
archive = "archive"
[[upstreams]]
name = "sweden"
endpoint = "http://127.0.0.1:9"
credential = {{ key = "sk-upstream" }}
[[sinks]]
name = "file"
kind = "file"
connection = {{ path = "events.jsonl" }}
[[sinks]]
name = "hook"
kind = "webhook"
dead_letters = "dead.jsonl"
connection = {{ url = "http://127.0.0.1:9/" }}
"""

NAMES = [("caller", "ada lovelace"), ("subject", "ada@example.org")]


def call(number: int) -> None:
    """A run of a relay with two calls, one of them Ada's."""
    journal = Journal.open(Path("tokenweir-data/journal/relay-7"), JournalSettings(), JumpingClock(NOW))
    for seq, (caller, subject) in enumerate([("ada lovelace", "ada@example.org"), ("bob", "bob@example.org")], 1):
        journal.append(
            from_fields(
                call_id=new_call_id(),
                started_at=NOW + timedelta(hours=number),
                replica=journal.replica,
                seq=seq,
                caller=caller,
                subject=subject,
                client_address="192.0.2.7",
                key_id="key_of_ada",
                usage_source="reported",
                input_tokens=10 * number,
                total_tokens=10 * number,
                request_body=f"I am {subject}",
            )
        )
    journal.close()


@pytest.fixture
def here_with_calls(here: Path) -> Path:
    (here / "tokenweir.toml").write_text(CONFIG.format(data=free_port(), admin=free_port()))
    return here


def remains(folder: Path, text: str) -> list[str]:
    """The files in which a text is to be found; in DuckDB's, what was removed stays until its blocks are used again."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes() and "ledger.duckdb" not in path.name
    ]


def sums(tokenweir: Tokenweir, by: str) -> Any:
    return json.loads(tokenweir("usage", "--by", by, "--format", "json").out)


def bury_letters() -> None:
    letters = DeadEvents(LetterFile(Path("dead.jsonl")), "hook", JumpingClock(NOW))
    for name in ("ada", "bob"):
        event = {
            "call_id": name,
            "caller": "ada lovelace" if name == "ada" else "bob",
            "subject": f"{name}@example.org",
        }
        body = json.dumps(event, separators=(",", ":")).encode()
        letters.bury(Rejected("too large", [JsonEvent(body=body, call_id=name, properties={})]))


@pytest.mark.parametrize(("column", "name"), NAMES)
def test_with_a_gateway_it_is_gone_from_everywhere_here(
    tokenweir: Tokenweir, here_with_calls: Path, column: str, name: str
) -> None:
    for number in range(1, 4):
        call(number)
    with gateway(here_with_calls):
        while (here_with_calls / "events.jsonl").exists() is False or (
            (here_with_calls / "events.jsonl").read_bytes().count(b"\n") < 6
        ):
            pass
        # A sink that is away keeps the segments that it has begun; those behind are written anew.
        before = sums(tokenweir, "day")
        bury_letters()
        assert remains(here_with_calls, name)
        ran = tokenweir("erase", f"--{column}", name, "--yes")
        assert "erased: 3 calls in the ledger" in ran.out
        assert "3 lines of file sinks, 1 dead letters" in ran.out
        assert "not from here: sink hook (webhook)" in ran.err
        assert sums(tokenweir, "day") == before
        assert name not in tokenweir("calls", "--format", "json").out
        assert "bob" in tokenweir("calls", "--format", "json").out
    [line] = (here_with_calls / "tokenweir-data/audit.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["action"], told["of"], told["by"], told["calls"]) == ("erase", column, "the admin port", 3)
    assert name not in line


@pytest.mark.parametrize(("column", "name"), NAMES)
def test_without_a_gateway_no_file_has_it_any_more(
    tokenweir: Tokenweir, here_with_calls: Path, column: str, name: str
) -> None:
    text = (here_with_calls / "tokenweir.toml").read_text()
    (here_with_calls / "tokenweir.toml").write_text(text.partition("[[sinks]]")[0])
    for number in range(1, 4):
        call(number)
    before = sums(tokenweir, "day")
    ran = tokenweir("erase", f"--{column}", name, "--yes")
    assert (ran.exit_code, ran.err.count("again")) == (0, 0)
    assert "erased: 3 calls in the ledger" in ran.out
    assert "3 records in segments" in ran.out
    assert remains(here_with_calls, name) == []
    assert remains(here_with_calls, "bob@example.org") != []
    assert sums(tokenweir, "day") == before
    call(4)
    assert len(json.loads(tokenweir("calls", "--format", "json").out)) == 8
    assert "is older" not in tokenweir("doctor").out
    assert tokenweir("erase", f"--{column}", name, "--yes").out.startswith("erased: 1 calls in the ledger")
    assert tokenweir("erase", f"--{column}", name, "--yes").out.startswith("erased: 0 calls in the ledger")


def test_it_asks_before_and_wants_one_name(tokenweir: Tokenweir, here_with_calls: Path) -> None:
    call(1)
    assert tokenweir("erase", "--caller", "bob", stdin="n\n").exit_code == 1
    assert json.loads(tokenweir("calls", "--caller", "bob", "--format", "json").out) != []
    for arguments in ([], ["--caller", "a", "--subject", "b"], ["--caller", " "]):
        assert tokenweir("erase", *arguments, "--yes").exit_code == 2


def test_a_caller_gets_a_pseudonym_and_its_keys_are_told(tokenweir: Tokenweir, here_with_calls: Path) -> None:
    call(1)
    tokenweir("keys", "create", "bob")
    ran = tokenweir("erase", "--caller", "bob", "--yes")
    [pseudonym] = {row["caller"] for row in sums(tokenweir, "caller")} - {"ada lovelace"}
    assert pseudonym.startswith("erased-")
    assert f"it is called {pseudonym} now" in ran.out
    assert "its keys: they are still known by its name" in ran.err

"""The books give the same answers whether or not a gateway is running, with all that the journals hold."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.engines import SHARED, Engine, new_engine
from tokenweir.cli.admin_client import AdminClient
from tokenweir.config import load
from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import SystemClock, from_fields, new_call_id
from tokenweir.serve.gateway_process import free_port

Tokenweir = Callable[..., Any]

START = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
RECORDS = [
    from_fields(
        call_id=new_call_id(),
        replica="r",
        seq=number,
        started_at=START + timedelta(hours=number),
        api="chat_completions",
        deployment="gpt-4o",
        response_model="gpt-4o-2024-11-20",
        caller="team-a" if number % 2 else "team-b",
        tags={"cost_centre": "4711"},
        status=200,
        usage_source="reported",
        input_tokens=1000 * number,
        output_tokens=7,
        total_tokens=1000 * number + 7,
        cost=Decimal("0.000000000123") * number,
        currency="EUR",
        latency_ms=12.5,
        request_body='{"prompt": "hello"}',
    )
    for number in range(1, 6)
]

CONFIG = """\
[server]
data = "127.0.0.1:{data}"
admin = "127.0.0.1:{admin}"
admin_token = "sk-admin"

[[upstreams]]
name = "sweden"
endpoint = "http://127.0.0.1:9"
credential = {{ key = "sk-upstream" }}
"""

QUESTIONS: list[list[str]] = [
    ["usage", "--format", "json"],
    ["usage", "--by", "day,tag:cost_centre", "--since", "2026-11-20T14:00:00Z", "--format", "csv"],
    ["usage", "--by", "caller", "--until", "2026-11-20"],
    ["usage", "--by", ""],
    ["usage", "--by", "month,caller", "--timezone", "Pacific/Auckland", "--month", "2026-11"],
    ["usage", "--by", "sku,tier,price_id", "--caller", "team-a", "--tag", "cost_centre=4711", "--format", "json"],
    ["usage", "--only", "model=nosuch"],
    ["usage", "--month", "2026-11", "--since", "2d"],
    ["usage", "--tag", "cost_centre"],
    ["calls", "--format", "json"],
    ["calls", "--caller", "team-a", "--limit", "2"],
    ["calls", "--since", "2026-11-20T15:30:00Z", "--format", "csv"],
    ["call", RECORDS[2].call_id, "--format", "json"],
    ["call", "nosuch/../x"],
    ["query", "calls | summarize tokens = sum(total_tokens) by caller | order by caller asc", "--format", "json"],
    ["query", "SELECT caller, sum(cost) AS cost FROM calls GROUP BY 1 ORDER BY 1", "--format", "json"],
    [
        "query",
        "SELECT a.seq AS n FROM calls a, calls b, calls c, calls d, calls e, calls f ORDER BY 1",
        "--format",
        "csv",
    ],
    ["query", "SELECT nosuch FROM calls"],
    ["query", "SELECT nosuch FROM calls", "--format", "csv"],
    ["query", "calls | take 1", "--format", "parquet"],
    ["query", "DROP TABLE calls", "--sql"],
    ["usage", "--by", "colour"],
]


@pytest.fixture
def books(here: Path) -> Path:
    """A directory with a configuration and a journal of five calls that nobody has read yet."""
    (here / "tokenweir.toml").write_text(CONFIG.format(data=free_port(), admin=free_port()))
    asyncio.run(_write_journal(here / "tokenweir-data/journal/relay-7"))
    return here


async def _write_journal(directory: Path) -> None:
    journal = Journal.open(directory, JournalSettings(), SystemClock())
    for record in RECORDS:
        journal.append(record)
    journal.close()


@contextmanager
def gateway(books: Path) -> Iterator[None]:
    """A gateway that runs inside the block, and has opened the ledger."""
    command = [sys.executable, "-m", "tokenweir", "serve"]
    with subprocess.Popen(command, cwd=books, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            listening = next((line for line in process.stderr if "admin port" in line), None)
            assert listening, "it ended before it listened"
            # Who asks now waits until the books answer, and this question has them open the ledger.
            AdminClient(load(None, os.environ).config).get("/api/calls?limit=1")
            yield
        finally:
            process.terminate()
            process.stderr.read()
    assert process.returncode == 0


def assert_same_answers(tokenweir: Tokenweir, books: Path) -> None:
    with gateway(books):
        running = {tuple(question): tokenweir(*question) for question in QUESTIONS}
    for question in QUESTIONS:
        offline = tokenweir(*question)
        assert (running[tuple(question)].out, running[tuple(question)].exit_code) == (offline.out, offline.exit_code)
        assert bool(running[tuple(question)].err) == bool(offline.err)


def test_the_answers_are_the_same_with_and_without_a_gateway(tokenweir: Tokenweir, books: Path) -> None:
    assert_same_answers(tokenweir, books)


@pytest.fixture(params=SHARED)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


def test_nor_do_they_change_where_the_ledger_is_behind_a_server(
    tokenweir: Tokenweir, books: Path, engine: Engine
) -> None:
    from_a_file = [tokenweir(*question).out for question in QUESTIONS]
    with (books / "tokenweir.toml").open("a") as config:
        config.write(f'[ledger]\nurl = "{engine.url}"\n')
    assert_same_answers(tokenweir, books)
    assert [tokenweir(*question).out for question in QUESTIONS] == from_a_file
    assert not [*books.glob("postgresql*"), *books.glob("clickhouse*")]


def test_usage_counts_every_call_in_the_journal_and_money_is_exact(tokenweir: Tokenweir, books: Path) -> None:
    rows = json.loads(tokenweir("usage", "--by", "caller", "--format", "json").out)
    assert [(row["caller"], row["calls"], row["input_tokens"], row["cost"], row["currency"]) for row in rows] == [
        ("team-a", 3, 9000, "0.000000001107", "EUR"),
        ("team-b", 2, 6000, "0.000000000738", "EUR"),
    ]
    assert "0.000000001107" in tokenweir("usage", "--by", "caller").out


def test_asking_twice_counts_nothing_twice(tokenweir: Tokenweir, books: Path) -> None:
    assert tokenweir("usage").out == tokenweir("usage").out


def test_calls_are_newest_first_and_json_has_every_field(tokenweir: Tokenweir, books: Path) -> None:
    rows = json.loads(tokenweir("calls", "--limit", "3", "--format", "json").out)
    assert [row["call_id"] for row in rows] == [record.call_id for record in RECORDS[:1:-1]]
    assert rows[0]["tags"] == {"cost_centre": "4711"}
    assert rows[0]["started_at"].startswith("2026-11-20T17:00:00.123456")


def test_one_call_is_shown_whole_and_an_unknown_one_is_exit_code_1(tokenweir: Tokenweir, books: Path) -> None:
    record = json.loads(tokenweir("call", RECORDS[0].call_id, "--format", "json").out)
    assert record["request_body"] == '{"prompt": "hello"}'
    assert record["cost"] == "0.000000000123"
    ran = tokenweir("call", "nosuch")
    assert (ran.exit_code, ran.err) == (1, "tokenweir: there is no call nosuch\n")


def test_a_query_can_come_from_standard_input(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("query", "-", "--format", "csv", stdin="calls\n| count")
    assert ran.out.splitlines()[1:] == ["5"]


@pytest.mark.parametrize("name", ["count.kql", "count.sql"])
def test_a_query_can_come_from_a_file(tokenweir: Tokenweir, books: Path, name: str) -> None:
    (books / "count.kql").write_text("// How many?\ncalls\n| count")
    (books / "count.sql").write_text("-- How many?\nSELECT count(*) FROM calls")
    assert tokenweir("query", f"@{name}", "--format", "csv").out.splitlines()[1:] == ["5"]


def test_a_file_that_cannot_be_read_is_said(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("query", "@nosuch.kql")
    assert ran.exit_code == 2
    assert "nosuch.kql" in ran.err
    (books / "binary.kql").write_bytes(b"\xff\xfe")
    assert tokenweir("query", "@binary.kql").exit_code == 2


def test_a_wrong_question_is_exit_code_2_with_the_reason(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("query", "SELECT nosuch FROM calls")
    assert ran.exit_code == 2
    assert ran.err.startswith("tokenweir: ") and "nosuch" in ran.err
    assert tokenweir("query", "calls", "--kql", "--sql").exit_code == 2


def test_the_wrong_directory_is_said_and_no_ledger_is_made_in_it(tokenweir: Tokenweir, here: Path) -> None:
    ran = tokenweir("usage")
    assert ran.exit_code == 2
    assert "there are no books here" in ran.err and "--config" in ran.err
    assert list(here.iterdir()) == []


def test_another_admin_token_is_said(tokenweir: Tokenweir, books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(books):
        monkeypatch.setenv("TOKENWEIR_SERVER__ADMIN_TOKEN", "sk-other")
        ran = tokenweir("usage")
    assert ran.exit_code == 2
    assert "TOKENWEIR_SERVER__ADMIN_TOKEN" in ran.err
    assert "sk-other" not in ran.err


def test_a_ledger_held_by_a_stranger_is_told_from_one_held_by_a_gateway(tokenweir: Tokenweir, books: Path) -> None:
    """Somebody has it open in the DuckDB shell, and no gateway runs."""
    tokenweir("usage")
    program = (
        "import duckdb, sys; c = duckdb.connect('tokenweir-data/ledger.duckdb'); print(flush=True); sys.stdin.read()"
    )
    stranger = subprocess.Popen(
        [sys.executable, "-c", program], cwd=books, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        ran = tokenweir("usage")
    assert ran.exit_code == 2
    assert "is open in" in ran.err and "no gateway answers on the admin port" in ran.err


def test_a_gateway_that_ends_during_an_export_leaves_no_file(
    tokenweir: Tokenweir, books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: AdminClient, path: str, body: Any) -> Iterator[Any]:
        yield {"columns": ["n"], "kinds": ["plain"]}
        yield [[1]]

    monkeypatch.setattr(AdminClient, "lines", cut)
    with gateway(books):
        ran = tokenweir("query", "calls", "--format", "csv", "--output", "calls.csv")
    assert ran.exit_code == 2 and "ended before its answer did" in ran.err
    assert not Path("calls.csv").exists()


def test_the_doctor_knows_a_gateway_that_runs_and_its_ports(tokenweir: Tokenweir, books: Path) -> None:
    with gateway(books):
        ran = tokenweir("doctor")
    assert "is held by the gateway that is running" in ran.out
    assert "is open in the gateway that is running" in ran.out
    assert "✗ data port" not in ran.out and "✗ ledger" not in ran.out


def test_the_doctor_counts_what_is_not_in_the_ledger_yet(tokenweir: Tokenweir, books: Path) -> None:
    assert "! journal of relay-7: 5 records are not in the ledger yet" in tokenweir("doctor").out
    tokenweir("usage")
    assert "✓ journal of relay-7: every record that it holds is in the ledger" in tokenweir("doctor").out

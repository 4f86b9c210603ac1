"""Statements, months and re-rating at a prompt, with a gateway that has the ledger open, and without one."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import SystemClock, from_fields, new_call_id
from tokenweir.serve.gateway_process import free_port

from .test_books import gateway

Tokenweir = Callable[..., Any]

CONFIG = """\
[server]
data = "127.0.0.1:{data}"
admin = "127.0.0.1:{admin}"
[statements]
organisation = "Contoso AG"
[[statements.rates]]
currency = "EUR"
into = "USD"
rate = "1.25"
[[upstreams]]
name = "sweden"
endpoint = "http://127.0.0.1:9"
credential = {{ key = "sk-upstream" }}
[[prices]]
model = "gpt-4o"
currency = "EUR"
input = "{price}"
output = "10"
"""
STARTED = datetime(2024, 10, 20, 12, tzinfo=UTC)


def configure(here: Path, price: str, ports: tuple[int, int]) -> None:
    (here / "tokenweir.toml").write_text(CONFIG.format(price=price, data=ports[0], admin=ports[1]))


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def books(here: Path, ports: tuple[int, int], tokenweir: Tokenweir) -> Path:
    """Three calls of two teams in October 2024, of which one has no price, and one in November."""
    configure(here, "2.50", ports)
    asyncio.run(_write_journal(here / "tokenweir-data/journal/relay-7"))
    assert tokenweir("usage").exit_code == 0
    return here


async def _write_journal(directory: Path) -> None:
    journal = Journal.open(directory, JournalSettings(), SystemClock())
    for number, (team, model) in enumerate(
        [("4711", "gpt-4o"), ("4712", "gpt-4o"), ("4712", "new"), ("4711", "gpt-4o")]
    ):
        journal.append(
            from_fields(
                call_id=new_call_id(),
                replica="r",
                seq=number,
                started_at=STARTED + timedelta(days=4 * number),
                caller=f"team-{team}",
                tags={"cost_centre": team},
                response_model=model,
                usage_source="reported",
                input_tokens=1_000_000 * (number + 1),
                output_tokens=1000,
            )
        )
    journal.close()


def amounts(tokenweir: Tokenweir, month: str) -> dict[tuple[str, str, str], str]:
    rows = csv.DictReader(io.StringIO(tokenweir("statement", "--month", month, "--format", "csv").out))
    return {(row["cost_centre"], row["kind"], row["meter"] + "@" + row["rate"]): row["amount"] for row in rows}


def test_a_month_is_told_closed_and_adjusted_and_stays_as_it_was(
    tokenweir: Tokenweir, books: Path, ports: tuple[int, int]
) -> None:
    before = amounts(tokenweir, "2024-10")
    assert before == {
        ("4711", "charge", "input@2.5"): "2.50",
        ("4711", "charge", "output@10"): "0.01",
        ("4712", "charge", "input@2.5"): "5.00",
        ("4712", "charge", "output@10"): "0.01",
        ("4712", "charge", "input@"): "",
        ("4712", "charge", "output@"): "",
    }
    configure(books, "2.00", ports)
    with gateway(books):
        assert amounts(tokenweir, "2024-10") == before
        closed = tokenweir("months", "close", "2024-10")
        assert closed.out.startswith("2024-10 is closed: 3 calls from 2024-10-01 00:00 until 2024-11-01 00:00 UTC")
        again = tokenweir("months", "close", "2024-10")
        assert (again.exit_code, again.out) == (2, "") and "2024-10 was closed at" in again.err
        looked = tokenweir("rerate", "--since", "2024-10-01", "--dry-run", "--format", "json")
        assert [(row["caller"], row["difference"]) for row in json.loads(looked.out)] == [
            ("team-4711", "-2.50"),
            ("team-4712", "-1.00"),
        ]
        assert "2 of them are of 2024-10, which is closed" in looked.err
        booked = tokenweir("rerate", "--since", "2024-10-01", "--yes")
        assert "booked as run 1: 3 correcting entries" in booked.out, booked.err
        nothing = tokenweir("rerate", "--since", "2024-10-01", "--yes")
        assert nothing.out.endswith("0 cost something else now\nnothing is to be booked\n")
        assert "3 correcting entries of `tokenweir rerate`" in tokenweir("usage").err
        running = [tokenweir(*question).out for question in QUESTIONS]
        assert tokenweir("months", "verify", "2024-10").exit_code == 0
    assert [tokenweir(*question).out for question in QUESTIONS] == running
    assert amounts(tokenweir, "2024-10") == before
    assert amounts(tokenweir, "2024-11") == {
        ("4711", "charge", "input@2"): "8.00",
        ("4711", "charge", "output@10"): "0.01",
        ("4711", "re-rated", "input@2.5"): "-2.50",
        ("4711", "re-rated", "input@2"): "2.00",
        ("4712", "re-rated", "input@2.5"): "-5.00",
        ("4712", "re-rated", "input@2"): "4.00",
    }


QUESTIONS = [
    ["statement", "--month", "2024-10"],
    ["statement", "--month", "2024-10", "--by", "caller,model", "--lines"],
    ["statement", "--month", "2024-10", "--format", "json", "--currency", "USD"],
    ["statement", "--month", "2024-10", "--format", "html"],
    ["statement", "--month", "2024-11", "--format", "csv"],
    ["statement", "--month", "2024-11", "--format", "focus"],
    ["usage", "--by", "caller,price_id", "--format", "json"],
    ["calls", "--format", "json"],
]


def test_nobody_who_could_agree_means_that_nothing_is_booked_and_nothing_is_left(
    tokenweir: Tokenweir, books: Path, ports: tuple[int, int]
) -> None:
    configure(books, "2.00", ports)
    ran = tokenweir("rerate", "--since", "2024-10-01", stdin="")
    assert ran.exit_code == 2 and "give --yes, or --dry-run" in ran.err
    assert "team-4711" in ran.out
    rows = tokenweir("query", "SELECT count(*) AS n FROM posted_corrections", "--format", "csv").out
    assert rows.splitlines() == ["n", "0"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["statement", "--by", "team"], "a statement by 'team' is unknown"),
        (["statement", "--month", "october"], "'october' is not a period"),
        (["statement", "--month", "2024-10", "--currency", "GBP"], "there is no rate from EUR to GBP for 2024-10"),
        (["statement", "--format", "pdf"], "give --output FILE"),
        (["statement", "--month", "2024-10", "--format", "html", "--output", "no/such/file"], "cannot be written"),
        (["months", "close", "2999-01"], "2999-01 is not over"),
        (["months", "verify", "2024-10"], "is no closed month"),
        (["rerate", "--since", "soon"], "is not a moment"),
        (["rerate", "--since", "2024-10-01", "--by", "colour"], "a difference by 'colour' is unknown"),
    ],
)
def test_what_is_wrong_is_said(tokenweir: Tokenweir, books: Path, command: list[str], words: str) -> None:
    ran = tokenweir(*command)
    assert ran.exit_code == 2
    assert words in " ".join(ran.err.split())


def test_files_are_written_whole(tokenweir: Tokenweir, books: Path) -> None:
    for name in ("html", "pdf", "csv", "json", "focus", "table"):
        ran = tokenweir("statement", "--month", "2024-10", "--format", name, "--output", f"october.{name}")
        assert (ran.exit_code, ran.out) == (0, "")
        assert (books / f"october.{name}").stat().st_size > 300

"""What finance reads that holds Azure's files against the ledger."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .test_books import books, gateway

__all__ = ["books"]

Tokenweir = Callable[..., Any]

HEAD = "Date,MeterCategory,MeterName,UnitOfMeasure,Quantity,CostInBillingCurrency,BillingCurrencyCode\n"


def write(books: Path, input: str, output: str = "0.035") -> str:
    lines = (
        f"11/20/2026,Azure OpenAI,gpt 4o 1120 Inp glbl Tokens,1K,{input},0.000000001845,EUR",
        f"11/20/2026,Azure OpenAI,gpt 4o 1120 Outp glbl Tokens,1K,{output},0,EUR",
    )
    (books / "bill.csv").write_text(HEAD + "\n".join(lines) + "\n")
    return "bill.csv"


def test_a_bill_that_agrees_ends_with_0_whether_or_not_a_gateway_runs(tokenweir: Tokenweir, books: Path) -> None:
    bill = write(books, "15")
    with gateway(books):
        online = tokenweir("reconcile", bill, "--format", "json")
    offline = tokenweir("reconcile", bill, "--format", "json")

    assert online.out == offline.out
    assert offline.exit_code == 0
    rows = json.loads(offline.out)
    assert [(row["meter"], row["theirs"], row["ours"]) for row in rows] == [
        ("cost", "0.000000001845", "0.000000001845"),
        ("input", "15000", "15000"),
        ("output", "35", "35"),
    ]


def test_what_differs_is_told_and_ends_with_1(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("reconcile", write(books, "18.5"), "--by", "day,model")

    assert ran.exit_code == 1
    assert "3500" in ran.out
    assert "perhaps calls past the gateway" in ran.out
    assert "3 amounts from 2026-11-20 to 2026-11-21 (not included), days of UTC; 1 differ" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch.csv"], "nosuch.csv cannot be read"),
        (["bill.csv", "--by", "caller"], "--by knows day, deployment, model, and not caller"),
        (["bill.csv", "--kind", "invoice"], "--kind is one of cost, metrics, llm-log"),
        (["bill.csv", "--kind", "metrics"], "is not what `az monitor metrics list` prints"),
    ],
)
def test_a_slip_is_told(tokenweir: Tokenweir, books: Path, arguments: list[str], words: str) -> None:
    write(books, "15")

    ran = tokenweir("reconcile", *arguments)

    assert ran.exit_code == 2
    assert words in " ".join(ran.err.split())

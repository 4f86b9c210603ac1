"""What a person reads who asks whether the books were changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .test_books import books, gateway

__all__ = ["books"]

Tokenweir = Callable[..., Any]


def test_books_that_nobody_has_touched_hold(tokenweir: Tokenweir, books: Path) -> None:
    result = tokenweir("verify")

    assert result.exit_code == 0, result.out
    assert result.out.startswith("5 calls: 1 of 1 seals hold\nhead: ")


def test_a_gateway_that_runs_says_the_same(tokenweir: Tokenweir, books: Path) -> None:
    with gateway(books):
        online = tokenweir("verify", "--json")
    offline = tokenweir("verify", "--json")

    assert online.out == offline.out
    assert json.loads(online.out)["is_sound"]


def test_a_cost_that_was_changed_in_the_file_is_told(tokenweir: Tokenweir, books: Path) -> None:
    tokenweir("verify")
    with duckdb.connect(str(books / "tokenweir-data/ledger.duckdb")) as connection:
        connection.execute("UPDATE calls SET cost = cost / 2 WHERE seq = 3")

    result = tokenweir("verify")

    assert result.exit_code == 1
    assert "ALTERED: 5 calls from 2026-11-20 13:00:00 to 2026-11-20 17:00:00 UTC" in result.out
    assert "one or more of them were changed" in result.out


def test_a_head_that_is_not_there_is_told(tokenweir: Tokenweir, books: Path) -> None:
    result = tokenweir("verify", "--head", "0" * 64)

    assert result.exit_code == 1
    assert "REMOVED: the seal that you noted is not there" in result.out


@pytest.mark.parametrize("arguments", [["--month", "2026-13"], ["--since", "yesterday-ish"], ["--timezone", "Berlin"]])
def test_a_slip_is_told(tokenweir: Tokenweir, books: Path, arguments: list[str]) -> None:
    result = tokenweir("verify", *arguments)

    assert result.exit_code == 2
    assert arguments[1] in result.err

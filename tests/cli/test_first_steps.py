"""What somebody meets who types the first commands: empty tables say what to do, and looking makes nothing."""

import json
import os
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import tokenweir as package
from support.journals import write_journal
from tokenweir.cli.checkup.holders import holder_of
from tokenweir.records import CallRecord, from_fields

Tokenweir = Callable[..., Any]
JOURNAL = Path("tokenweir-data/journal/relay-0")


def call(number: int, **more: Any) -> CallRecord:
    return from_fields(call_id=f"c-{number}", seq=number, started_at=datetime(2026, 11, 20, tzinfo=UTC), **more)


@pytest.fixture
def no_calls(here: Path) -> None:
    write_journal(JOURNAL, [])


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["usage"], "there are no calls yet; send one through the gateway"),
        (["usage", "--since", "7d"], "without filters and times all are summed"),
        (["calls"], "there are no calls yet; send one through the gateway"),
        (["calls", "--caller", "nobody"], "`tokenweir usage --by caller` shows whose there are"),
        (["query", "calls | take 1"], "no rows; `tokenweir query 'calls | take 5'` shows what there is"),
        (["keys", "list"], "there are no keys in tokenweir-data/keys.json yet; `tokenweir keys create NAME` makes one"),
    ],
)
def test_an_empty_table_says_what_to_do_next_and_only_to_people(
    tokenweir: Tokenweir, no_calls: None, command: list[str], hint: str
) -> None:
    ran = tokenweir(*command)
    assert ran.exit_code == 0 and hint in ran.err and hint not in ran.out
    for format in ("json", "csv"):
        ran = tokenweir(*command, "--format", format)
        assert ran.err == ""
    assert json.loads(tokenweir(*command, "--format", "json").out) == []


def test_refused_calls_are_explained_below_the_usage(tokenweir: Tokenweir, here: Path) -> None:
    refused = [call(n, outcome="refused", status=401, error_code="invalid_api_key") for n in (1, 2)]
    write_journal(JOURNAL, [*refused, call(3, outcome="refused", status=404, error_code="unknown_route"), call(4)])
    ran = tokenweir("usage")
    assert "3 calls were refused: invalid_api_key 2, unknown_route 1; they used nothing" in ran.err
    assert tokenweir("usage", "--format", "json").err == ""
    assert "refused" not in tokenweir("usage", "--since", "2026-11-21").err
    rows = json.loads(tokenweir("usage", "--by", "error_code", "--format", "json").out)
    assert {row["error_code"]: row["calls"] for row in rows} == {None: 1, "invalid_api_key": 2, "unknown_route": 1}


def test_usage_says_as_of_when_it_is_and_no_more_where_there_is_no_more(tokenweir: Tokenweir, here: Path) -> None:
    write_journal(JOURNAL, [call(1)])
    assert re.fullmatch(r"tokenweir: as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\n", tokenweir("usage").err)


def test_usage_of_which_something_is_unpriced_or_estimated_says_that_its_costs_are_a_floor(
    tokenweir: Tokenweir, here: Path
) -> None:
    floor = {"cost": Decimal("0.25"), "currency": "EUR", "input_tokens": 1}
    partly = call(1, usage_source="reported", cost_reason="no_cache_write", **floor)
    write_journal(JOURNAL, [partly, call(2, usage_source="estimated", **floor)])
    ran = tokenweir("usage", "--by", "caller")
    assert "≥ 0.5" in ran.out
    assert "costs are at least that: of 2 calls 1 unpriced and 1 estimated" in ran.err
    told = json.loads(tokenweir("usage", "--by", "caller", "--format", "json").out)
    assert [(row["cost"], row["unpriced"], row["estimated"]) for row in told] == [("0.5", 1, 1)]


def test_the_version_is_an_option_too(tokenweir: Tokenweir) -> None:
    ran = tokenweir("--version")
    assert (ran.exit_code, ran.out.partition("\n")[0]) == (0, f"tokenweir {package.__version__}")


def test_looking_around_in_an_empty_directory_leaves_it_empty(tokenweir: Tokenweir, here: Path) -> None:
    commands = ["usage", "calls", "keys list", "keys revoke key_1", "call x", "trace x", "config check", "doctor"]
    for command in commands:
        ran = tokenweir(*command.split())
        assert "Traceback" not in ran.err
    assert list(here.iterdir()) == []


def test_a_command_that_is_nearly_right_is_guessed(tokenweir: Tokenweir) -> None:
    assert "Did you mean 'serve'?" in tokenweir("serv").err
    assert "--by" in tokenweir("usage", "--bye", "x").err


# --- who holds a port ---


def test_the_doctor_names_who_holds_a_port(tokenweir: Tokenweir, minimal: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        minimal.write_text(minimal.read_text() + f'[server]\ndata = "127.0.0.1:{port}"\n')
        said = tokenweir("doctor").out
    assert f"data port: 127.0.0.1:{port} is held by " in said
    assert f"(pid {os.getpid()})" in said


def test_a_port_of_ipv6_has_a_holder_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert f"(pid {os.getpid()})" in (holder_of(server.getsockname()[1]) or "")


def test_where_proc_does_not_say_nobody_is_named(tmp_path: Path) -> None:
    assert holder_of(1, tmp_path) is None
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("head\n0: 0100007F:0001 00000000:0000 0A 0:0 0:0 0 0 0 77\nshort\n")
    assert holder_of(1, tmp_path) is None  # another user's process


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (b"/usr/sbin/nginx\0-g\0secret\0", "nginx"),
        (b"/v/bin/python3.11\0-m\0tokenweir\0serve\0", "tokenweir"),
        (b"/v/bin/python3\0/v/bin/tokenweir\0serve\0", "tokenweir"),
        (b"python3\0app.py\0", "python3"),
        (b"", "kernel-thing"),
    ],
)
def test_a_holder_is_named_without_its_arguments(tmp_path: Path, words: bytes, name: str) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("head\n0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 77\n")
    (tmp_path / "42/fd").mkdir(parents=True)
    (tmp_path / "42/fd/3").symlink_to("socket:[77]")
    (tmp_path / "42/cmdline").write_bytes(words)
    (tmp_path / "42/comm").write_text("kernel-thing\n")
    assert holder_of(8080, tmp_path) == f"{name} (pid 42)"

"""One call, drawn step by step, from its trace or from what its record tells; and the token to have one traced."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.call_records import a_call
from tokenweir.cli import trace_drawing
from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import SystemClock, Trace, TracedAttempt, TracedTarget

Tokenweir = Callable[..., Any]

TRACED = a_call(
    call_id="traced",
    attempts=2,
    trace=Trace(
        ["asked", "slow"],
        [("User-Agent", "curl"), ("api-key", "****")],
        0.4,
        [TracedTarget("sweden", "gpt", "ptu"), TracedTarget("france", "gpt")],
        [
            TracedAttempt(0, 0.5, sent_ms=0.6, answered_ms=20.0, status=429, headers=[("retry-after", "7")]),
            TracedAttempt(1, 20.0, connected_ms=30.0, sent_ms=30.1, status=200, headers=[("x-ms-region", "France")]),
        ],
        [(120.9, 200), (130.0, 10), (199.0, 100)],
        4,
    ),
)


@pytest.fixture
def books(minimal: Path) -> Path:
    async def write() -> None:
        journal = Journal.open(minimal.parent / "tokenweir-data/journal/relay-0", JournalSettings(), SystemClock())
        for record in (TRACED, a_call(call_id="untraced")):
            journal.append(record)
        journal.close()

    asyncio.run(write())
    return minimal


def test_each_step_is_a_line_beside_an_axis_of_time(tokenweir: Tokenweir, books: Path) -> None:
    lines = tokenweir("trace", "traced").out.splitlines()
    assert lines[0].endswith("traced because it had a debug token and was slow")
    steps = [line.split()[1] for line in lines if line[:1] in " 0123456789" and "." in line[:8]]
    assert steps == [
        *("accept", "admit", "choose", "connect", "connect"),
        *("forward", "forward", "settle"),
    ]
    assert any("as sweden had no room (429)" in line and "━━" in line for line in lines)
    assert "3 pieces from 120.9 to 199.0 ms, 4 more are not listed" in lines
    assert lines[-1] == "longest pauses: 69.0 ms from 130.0 ms on; 9.1 ms from 120.9 ms on"
    assert not any("api-key" in line for line in lines)


def test_headers_are_shown_where_they_are_asked_for(tokenweir: Tokenweir, books: Path) -> None:
    lines = [line.strip() for line in tokenweir("trace", "traced", "--headers").out.splitlines()]
    assert {"api-key: ****", "User-Agent: curl", "retry-after: 7", "x-ms-region: France"} <= set(lines)
    assert "the headers of answer 1, 429 from sweden" in lines


def test_as_json_it_is_what_api_management_tells(tokenweir: Tokenweir, books: Path) -> None:
    told = json.loads(tokenweir("trace", "traced", "--format", "json").out)
    assert told["traceId"] == "traced"
    assert list(told["traceEntries"]) == ["inbound", "backend", "outbound"]


def test_a_call_without_a_trace_is_drawn_from_its_record_and_that_is_said(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("trace", "untraced")
    assert ran.exit_code == 0
    assert "the first byte of 200 OK" in ran.out
    assert "only the record's own times are shown" in ran.err and "[tracing] sample" in ran.err


def test_an_unknown_call_is_exit_code_1(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("trace", "nosuch")
    assert (ran.exit_code, ran.out, ran.err) == (1, "", "tokenweir: there is no call nosuch\n")


@pytest.mark.parametrize("arguments", [[], ["traced", "--token"], ["traced", "--format", "xml"]])
def test_a_wrong_command_line_is_exit_code_2(tokenweir: Tokenweir, books: Path, arguments: list[str]) -> None:
    assert tokenweir("trace", *arguments).exit_code == 2


def test_a_token_needs_a_gateway_that_runs(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("trace", "--token")
    assert ran.exit_code == 2
    assert "no gateway answers on the admin port" in ran.err


def test_a_calls_record_says_that_there_is_a_trace(tokenweir: Tokenweir, books: Path) -> None:
    shown = tokenweir("call", "traced").out
    assert "tokenweir trace traced" in shown
    assert "retry-after" not in shown
    assert "tokenweir trace" not in tokenweir("call", "untraced").out
    assert json.loads(tokenweir("call", "traced", "--format", "json").out)["trace"]["reasons"] == ["asked", "slow"]


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    monkeypatch.setattr(trace_drawing, "new_console", lambda: Console(width=width))
    trace_drawing.draw(TRACED, with_headers=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.rstrip().endswith("●") or "● " in line for line in lines)


@pytest.mark.parametrize(
    ("start", "end", "whole", "bar"),
    [
        (0.0, None, 100.0, "●"),
        (50.0, None, 100.0, "     ●"),
        (100.0, None, 100.0, "         ●"),
        (0.0, 100.0, 100.0, "━━━━━━━━━━"),
        (20.0, 40.0, 100.0, "  ━━━"),
        (20.0, 21.0, 100.0, "  ╸"),
        (0.0, 0.0, 0.0, "●"),
        (150.0, 160.0, 100.0, "         ╸"),
    ],
)
def test_a_time_has_its_place_on_the_axis(start: float, end: float | None, whole: float, bar: str) -> None:
    assert trace_drawing._bar(start, end, whole, 10) == bar

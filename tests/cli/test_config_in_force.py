"""``config show`` tells what a running gateway does not have, as that gateway says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenweir.cli import admin_client
from tokenweir.config import load
from tokenweir.config.dump import write

Tokenweir = Callable[..., Any]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    monkeypatch.setattr(admin_client.AdminClient, "get", lambda self, path: answer[path])
    return answer


def in_force(file: Path) -> dict[str, Any]:
    lines = [line.text for line in write(load(file, {}), defaults=True)]
    lines[lines.index("[tracing]") + 1 : 0] = ['secret = "****"']
    return {"source": str(file.resolve()), "lines": lines, "relays": [{"relay": "relay-0", "in_force": True}]}


def test_what_is_the_same_is_in_force(tokenweir: Tokenweir, minimal: Path, answers: dict[str, Any]) -> None:
    answers["/api/config"] = in_force(minimal)
    ran = tokenweir("config", "show")
    assert (ran.exit_code, ran.err) == (0, "All of it is in force.\n")


def test_what_the_gateway_does_not_have_is_named(tokenweir: Tokenweir, minimal: Path, answers: dict[str, Any]) -> None:
    answers["/api/config"] = in_force(minimal)
    answers["/api/config"]["relays"].append({"relay": "relay-1", "in_force": False, "reason": "it hangs"})
    minimal.write_text('[server]\nmax_clients = 7\n[[callers]]\nname = "ada"\n' + minimal.read_text())
    ran = tokenweir("config", "show")
    assert ran.exit_code == 1
    assert "NOT in force: the running gateway has [server] max_clients = " in ran.err
    assert "NOT in force: the running gateway has [[callers]] 1 not as it stands here" in ran.err
    assert "NOT in force in relay-1: it hangs" in ran.err


def test_another_gateway_is_not_asked(tokenweir: Tokenweir, minimal: Path, answers: dict[str, Any]) -> None:
    answers["/api/config"] = in_force(minimal) | {"source": "/elsewhere.toml"}
    ran = tokenweir("config", "show")
    assert ran.exit_code == 0 and "this is what a start would take" in ran.err

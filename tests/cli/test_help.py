"""Help texts reach the terminal whole, whatever the library that prints them takes for markup."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tokenweir.cli import app


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *path, name)


ALL = dict(commands(get_command(app)))


def words(text: str) -> str:
    """Without where lines were broken, which hyphens may be at."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_is_printed_whole(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    command = ALL[path]
    shown = words(CliRunner().invoke(app, [*path, "--help"]).output)
    written = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    for text in filter(None, written):
        assert words(text.replace("\b", "")) in shown


def test_the_list_of_commands_has_whole_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = words(CliRunner().invoke(app, ["--help"]).output)
    for path, command in ALL.items():
        if len(path) == 1:
            assert words(command.help.partition("\n\n")[0]) in shown


def test_brackets_are_among_them() -> None:
    """Else the test above would prove nothing."""
    texts = [
        str(command.help) + str([p.help for p in command.params if hasattr(p, "help")]) for command in ALL.values()
    ]
    assert any("[[sinks]]" in text for text in texts) and any("[intake]" in text for text in texts)

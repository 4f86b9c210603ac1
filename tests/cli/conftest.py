"""A working directory of its own for each test, and the command line as a function."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from tokenweir.cli import app

MINIMAL = """\
[[upstreams]]
name = "sweden"
endpoint = "http://127.0.0.1:9"
credential = { key = "sk-upstream-secret" }
"""


class Ran:
    """How a command ended and what it said."""

    def __init__(self, exit_code: int, out: str, err: str) -> None:
        self.exit_code = exit_code
        self.out = out
        self.err = err


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and no variable that is or might be a setting; those that a command sets go again."""
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith(("TOKENWEIR_", "AZURE_", "OPENAI_")) or name.lower().endswith("_proxy"):
                del os.environ[name]
        yield tmp_path


@pytest.fixture
def minimal(here: Path) -> Path:
    """A ``tokenweir.toml`` with which a gateway could start."""
    file = here / "tokenweir.toml"
    file.write_text(MINIMAL)
    return file


@pytest.fixture
def tokenweir() -> Callable[..., Ran]:
    """Runs one command: ``tokenweir("keys", "list", stdin="…")``."""

    def run(*args: str, stdin: str | None = None) -> Ran:
        result = CliRunner().invoke(app, list(args), input=stdin, catch_exceptions=False)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run

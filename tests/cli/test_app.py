"""Every command ends in an exit code and a line a person can use, and starting one is cheap."""

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tokenweir as package
from tokenweir.build import running_build
from tokenweir.cli.app import new_app
from tokenweir.errors import ConfigError


def started(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tokenweir", *args], cwd=cwd, capture_output=True, text=True)


def test_an_error_of_ours_is_one_line_and_exit_code_2(here: Path) -> None:
    ran = started("config", "show", "--config", "missing.toml", cwd=here)
    assert ran.returncode == 2
    assert ran.stderr == "tokenweir: missing.toml cannot be read: No such file or directory\n"
    assert ran.stdout == ""


def test_a_gateway_without_a_configuration_says_what_to_do_and_does_not_start(here: Path) -> None:
    ran = started("serve", cwd=here)
    assert ran.returncode == 2
    assert "[[upstreams]]: there is none" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_version_is_printed(here: Path) -> None:
    first, core, python = started("version", cwd=here).stdout.splitlines()
    assert first == f"tokenweir {package.__version__}"
    assert core == f"core: {running_build()}"
    assert python.startswith(f"Python {platform.python_version()}, built with")


@pytest.mark.parametrize("args", [["nosuch"], ["usage", "--format", "xml"], ["keys", "create"]])
def test_a_wrong_command_line_is_exit_code_2(tokenweir: Callable[..., Any], args: list[str]) -> None:
    assert tokenweir(*args).exit_code == 2


def test_help_names_every_command(tokenweir: Callable[..., Any]) -> None:
    told = tokenweir("--help").out
    commands = "demo serve simulate stream usage query calls call trace keys config doctor version"
    for command in commands.split():
        assert f" {command} " in told


def test_ctrl_c_is_exit_code_130() -> None:
    app = new_app("x")

    @app.command()
    def one() -> None:
        raise KeyboardInterrupt

    @app.command()
    def two() -> None:
        raise ConfigError("no")

    assert CliRunner().invoke(app, ["one"]).exit_code == 130
    assert CliRunner().invoke(app, ["two"]).exit_code == 2


def test_starting_imports_nothing_heavy(here: Path) -> None:
    heavy = [
        "duckdb",
        "uvloop",
        "httptools",
        "tiktoken",
        "starlette",
        "uvicorn",
        "azure",
        "openai",
        "asyncio",
        "http.client",
    ]
    program = f"import sys, tokenweir.cli\nprint([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], cwd=here, capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr


def test_a_gateway_without_a_ledger_needs_a_sink(tokenweir: Callable[..., Any], minimal: Path) -> None:
    ran = tokenweir("serve", "--no-ledger")
    assert ran.exit_code == 2
    assert 'TOKENWEIR_LEDGER__URL: is "none" and there are no [[sinks]]' in ran.err

"""``tokenweir serve`` with all its processes, and the command line to ask it with."""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner

from tokenweir.cli import app
from tokenweir.serve.gateway_process import GatewayProcess, free_port, running_gateway

__all__ = ["WholeGateway", "kill_books", "whole_gateway"]


class WholeGateway:
    """A gateway that runs, and its configuration."""

    def __init__(self, hosted: GatewayProcess, config: Path) -> None:
        self.hosted = hosted
        self.config = config
        self.url = hosted.url
        self.admin_url = hosted.admin_url

    def tokenweir(self, *arguments: str) -> str:
        """What a command prints."""
        done = CliRunner().invoke(app, [*arguments, "--config", str(self.config)], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stdout


@contextmanager
def whole_gateway(folder: Path, upstream: str, more: str = "") -> Iterator[WholeGateway]:
    """A gateway in front of ``upstream`` (its name is ``sim``); ``more`` are further lines of its configuration."""
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = folder / "tokenweir.toml"
    config.write_text(
        f"""
[server]
data = "{data}"
admin = "{admin}"
keys = "{folder}/keys.json"
shutdown_grace = "3s"

[journal]
directory = "{folder}/journal"

[ledger]
url = "duckdb:{folder}/ledger.duckdb"

[[upstreams]]
name = "sim"
endpoint = "{upstream}"
credential = {{ key = "upstream-key" }}
{more}
"""
    )
    with running_gateway(config, data, admin, log=folder / "log") as hosted:
        yield WholeGateway(hosted, config)


def kill_books(folder: Path) -> None:
    """They hold the journal of jobs."""
    lock = folder / "journal" / "jobs" / "lock"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):
        os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)

"""The demonstration as a process: in surroundings that are not meant for it, and ended in every way."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.servers import closed_port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the demonstration makes its temporary folder."""
    return tmp_path


@pytest.fixture(autouse=True)
def sigint_is_not_ignored() -> Iterator[None]:
    """As it is for tests in the background, and for what they start."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@contextmanager
def demo(folder: Path, *arguments: str, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tokenweir", "demo", *arguments]
    surroundings = {**os.environ, "TMPDIR": str(folder), **environ}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """What it printed up to the line that holds ``words``."""
    assert process.stdout is not None
    printed = ""
    while words not in printed:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        printed += line
    return printed


def is_open(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_proxy_and_settings_of_another_gateway_do_not_disturb_it(folder: Path) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    surroundings = {
        "http_proxy": nowhere,
        "HTTP_PROXY": nowhere,
        "all_proxy": nowhere,
        "TOKENWEIR_SERVER__ADMIN_TOKEN": "x",
        "TOKENWEIR_SERVER__DATA": "nonsense",
        "AZURE_EVENTHUB_CONN_STR": "nonsense",
    }
    with demo(folder, "--once", **surroundings) as process:
        out, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (0, "")
    records = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [(record["caller"], record["outcome"]) for record in records] == [("demo-team", "completed")] * 2
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_nothing_of_it_is_left_however_it_is_told_to_end(folder: Path, how: signal.Signals) -> None:
    with demo(folder) as process:
        printed = read_until(process, "until Ctrl-C")
        gateway, books = re.findall(r"^(?:gateway|books) +(\S+)$", printed, flags=re.MULTILINE)
        assert is_open(gateway) and is_open(books)
        process.send_signal(how)
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (0, "\nstopping\n")
    assert not is_open(gateway) and not is_open(books)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_end_while_the_gateway_starts_is_quiet(folder: Path, how: signal.Signals) -> None:
    with demo(folder) as process:
        read_until(process, "gateway")
        process.send_signal(how)
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (130, "")
    assert list(folder.iterdir()) == []

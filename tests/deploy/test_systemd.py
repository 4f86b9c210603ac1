"""The systemd units: what systemd's own checks say of them, and what the gateway tells systemd."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tokenweir.gateway import ServerSettings

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deploy/systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="SKIPPED LOUDLY: there is no systemd-analyze here (Debian: systemd)"
)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_is_well_formed(unit: Path, tmp_path: Path) -> None:
    """With a program that is there: systemd looks for it."""
    text = unit.read_text("utf-8").replace("/opt/tokenweir/bin/tokenweir", "/bin/true")
    (tmp_path / unit.name).write_text(text, "utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / unit.name], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if unit.name in line]) == (0, [])


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_may_do_little(unit: Path) -> None:
    """2 is where systemd's scale begins to say that something is exposed (0 is nothing, 10 everything)."""
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-400:]


def test_stopping_may_take_as_long_as_the_gateway_takes() -> None:
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", (SYSTEMD / "tokenweir.service").read_text("utf-8"), re.MULTILINE)
    assert int(seconds) >= ServerSettings().shutdown_grace + 20


def test_the_gateway_says_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKENWEIR_")}
        environment |= {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "TOKENWEIR_SERVER__DATA": "127.0.0.1:0",
            "TOKENWEIR_SERVER__ADMIN": "127.0.0.1:0",
            "TOKENWEIR_LOG_FORMAT": "json",
            "AZURE_OPENAI_BASE_URL": "http://127.0.0.1:9",
            "AZURE_OPENAI_KEY": "k",
        }
        command = [sys.executable, "-m", "tokenweir", "serve"]
        with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            assert manager.recv(64) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert manager.recv(64) == b"STOPPING=1"
            assert process.stderr is not None
            lines = [line for line in process.stderr if not line.startswith("tokenweir: note")]
        assert process.returncode == 0
    assert lines and all(line.startswith('{"time": "') for line in lines)

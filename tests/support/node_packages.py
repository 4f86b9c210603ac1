"""Packages from npm that tests run, each installed once in a folder of its own."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["installed"]

_FOLDER = Path.home() / ".cache" / "tokenweir-tests"
_INSTALL_SECONDS = 240


def installed(name: str, package: str, untried: str) -> tuple[str, Path]:
    """Node, and the ``node_modules`` that has the package. Where there is no node or no registry, the test is skipped,
    and ``untried`` says what that leaves untried."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"SKIPPED LOUDLY: there is no node with npm, so {untried}")
    folder = _FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".installed"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes installs
        if not done.exists():
            command = [npm, "install", "--silent", "--no-audit", "--no-fund", package]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
            if ran.returncode != 0:
                pytest.skip(f"SKIPPED LOUDLY: npm could not install {package}, so {untried}: {ran.stderr[-300:]}")
            done.touch()
    return node, folder / "node_modules"

"""Kusto's own language service, from npm: what Application Insights would say of a query before it runs it."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

__all__ = ["Fault", "faults_of"]

_FOLDER = Path.home() / ".cache" / "tokenweir-tests" / "kusto"
_SERVICE = _FOLDER / "node_modules" / "@kusto" / "language-service-next"
_CHECK = Path(__file__).with_name("kusto_check.js")
_INSTALL_SECONDS = 120


class Fault(msgspec.Struct, frozen=True):
    message: str
    at: str
    """The text that it is about."""


def faults_of(queries: Sequence[str]) -> list[list[Fault]]:
    """What is wrong with each query, over the table ``customEvents`` of Application Insights."""
    node = _install()
    ran = subprocess.run(
        [node, _CHECK, _SERVICE], input=json.dumps(list(queries)), capture_output=True, text=True, check=True
    )
    return msgspec.json.decode(ran.stdout, type=list[list[Fault]])


def _install() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("SKIPPED LOUDLY: there is no node with npm, so KQL is not checked by Kusto's language service")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes installs
        if (_SERVICE / "package.json").exists():
            return node
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "@kusto/language-service-next@12"]
        ran = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    if ran.returncode != 0:
        pytest.skip(f"SKIPPED LOUDLY: npm could not install Kusto's language service: {ran.stderr[-300:]}")
    return node

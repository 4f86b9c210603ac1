"""The FinOps Foundation's own validator, in an environment of its own: what it needs are old versions."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["validate"]

_FOLDER = Path.home() / ".cache" / "tokenweir-tests" / "focus-validator"
_INSTALL_SECONDS = 240
# Its own dependencies ask for no newest version, and the second major one is another library.
_PACKAGES = ("focus-validator==1.0.0", "multimethod<2")


def validate(file: Path) -> str:
    """What it says of a CSV. Where it cannot be installed, the test is skipped."""
    python = _installed()
    # It looks for a list of currencies beside itself, from where it is started.
    home = next(_FOLDER.glob("venv/lib/python3*/site-packages"))
    asked = ["-m", "focus_validator.main", "--data-file", str(file.absolute()), "--validate-version", "1.0"]
    ran = subprocess.run([str(python), *asked], cwd=home, capture_output=True, text=True, timeout=120)
    return ran.stdout + ran.stderr


def _installed() -> Path:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    python, done = _FOLDER / "venv" / "bin" / "python", _FOLDER / ".installed"
    with (_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes installs
        if not done.exists():
            for command in (
                [sys.executable, "-m", "venv", "--clear", str(_FOLDER / "venv")],
                [str(python), "-m", "pip", "install", "-q", *_PACKAGES],
            ):
                try:
                    ran = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
                except subprocess.TimeoutExpired:
                    pytest.skip("SKIPPED LOUDLY: pip took too long, so no validator has seen a FOCUS export")
                if ran.returncode != 0:
                    said = ran.stderr[-300:]
                    pytest.skip(f"SKIPPED LOUDLY: pip could not install the validator, so FOCUS is untried: {said}")
            done.touch()
    return python

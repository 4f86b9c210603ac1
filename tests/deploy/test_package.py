"""The package of a Function App holds all that the app needs, for the system that it will run on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FUNCTIONS = Path(__file__).resolve().parents[2] / "deploy/azure/functions"
# Nothing but the package is on the path, not even what this machine has installed.
IMPORT = "import sys; sys.path[:0] = ['.', '.python_packages/lib/site-packages']; import function_app"


def python_3_12() -> str | None:
    """An interpreter that starts; pyenv has names for some that do not."""
    pyenv = sorted((Path.home() / ".pyenv/versions").glob("3.12.*/bin/python"))
    for found in [*map(str, pyenv), shutil.which("python3.12")]:
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


@pytest.mark.parametrize("app", sorted(path.parent.name for path in FUNCTIONS.glob("*/function_app.py")))
def test_the_app_can_be_imported_from_its_package(app: str) -> None:
    made = FUNCTIONS / app / "package"
    python = python_3_12()
    environ = {**os.environ, "PATH": f"{Path(python or '').parent}:{os.environ['PATH']}"}
    command = [sys.executable, str(FUNCTIONS / "package.py"), app]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, env=environ)
        if ran.returncode != 0:
            pytest.skip(f"SKIPPED LOUDLY: pip could not fetch what the package needs: {ran.stderr[-300:]}")
        assert {path.name for path in made.iterdir()} == {"function_app.py", "host.json", ".python_packages"}
        if python is None:
            pytest.skip("SKIPPED LOUDLY: no Python 3.12 here, so the package is not imported")
        imported = subprocess.run([python, "-I", "-c", IMPORT], cwd=made, capture_output=True, text=True)
        assert imported.returncode == 0, imported.stderr
        compiled = list(made.rglob("tokenweir__mypyc.cpython-312-*.so"))
        assert bool(compiled) == (shutil.which("cc") is not None)
    finally:
        shutil.rmtree(made, ignore_errors=True)

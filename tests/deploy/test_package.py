"""The package of a Function App holds all that the app needs, for the system that it will run on."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "deploy/azure/functions"
APPS = sorted(path.parent.name for path in FUNCTIONS.glob("*/function_app.py"))
# Nothing but the package is on the path, not even what this machine has installed.
IMPORT = "import sys; sys.path[:0] = ['.', '.python_packages/lib/site-packages']; import function_app"


def python_3_12() -> str | None:
    """An interpreter that starts; pyenv has names for some that do not."""
    pyenv = sorted((Path.home() / ".pyenv/versions").glob("3.12.*/bin/python"))
    for found in [*map(str, pyenv), shutil.which("python3.12")]:
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


@pytest.fixture
def packaging_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package", FUNCTIONS / "package.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked_for(app: str) -> list[Requirement]:
    """What ``requirements.in`` says, with what Tokenweir itself and its extras need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [Requirement(line) for line in (FUNCTIONS / app / "requirements.in").read_text("utf-8").splitlines()]
    for ours in [one for one in wanted if one.name == "tokenweir"]:
        wanted.remove(ours)
        wanted += map(Requirement, project["dependencies"])
        wanted += [Requirement(line) for extra in ours.extras for line in project["optional-dependencies"][extra]]
    return wanted


@pytest.mark.parametrize("app", APPS)
def test_all_that_an_app_needs_is_pinned_by_its_hash_and_nothing_of_ours_is_asked_of_an_index(app: str) -> None:
    lines = (FUNCTIONS / app / "requirements.txt").read_text("utf-8").splitlines()[1:]
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert None not in found
    pinned = {one[1]: one[2] for one in found if one}
    assert "tokenweir" not in pinned
    lacking = [one for one in asked_for(app) if pinned.get(one.name.lower(), "0") not in one.specifier]
    assert lacking == []


def test_an_extension_bundle_goes_where_the_host_looks_before_it_downloads(
    packaging_script: ModuleType, tmp_path: Path
) -> None:
    shutil.copy(FUNCTIONS / "meter/host.json", tmp_path)
    bundle = json.loads((tmp_path / "host.json").read_text())["extensionBundle"]["id"]
    archive = tmp_path / f"{bundle}.4.22.0_linux-x64.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("bundle.json", "{}")
    packaging_script.add_bundle(tmp_path, archive)
    assert (tmp_path / ".azureFunctions/ExtensionBundles" / bundle / "4.22.0/bundle.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("bundle.zip", "bundle.json", "is not Microsoft.Azure"), (None, "other.json", "has no bundle.json")],
)
def test_what_is_no_extension_bundle_is_refused(
    packaging_script: ModuleType, tmp_path: Path, name: str | None, content: str, told: str
) -> None:
    shutil.copy(FUNCTIONS / "meter/host.json", tmp_path)
    archive = tmp_path / (name or "Microsoft.Azure.Functions.ExtensionBundle.4.22.0_linux-x64.zip")
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(content, "{}")
    with pytest.raises(SystemExit, match=told):
        packaging_script.add_bundle(tmp_path, archive)


def test_the_gateway_needs_no_extension_bundle_so_its_host_asks_no_network_at_its_start() -> None:
    assert "extensionBundle" not in json.loads((FUNCTIONS / "gateway/host.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("app", APPS)
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

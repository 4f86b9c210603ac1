"""A release is refused while it contradicts itself, and says what is in it."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from support.scripts import ROOT, script


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """As much of the project as a refusal needs, committed; its Python is ours, and says version 1.2.3."""
    for name in ("scripts/release", "scripts/install"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "scripts/install").write_text("#!/bin/sh\n")
    (tmp_path / "src/tokenweir").mkdir(parents=True)
    (tmp_path / "src/tokenweir/__init__.py").write_text('__version__ = "1.2.3"\n')
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/src exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".gitignore").write_text(".venv\n__pycache__\n")
    return tmp_path


def release(project: Path, changelog: str, *, committed: bool = True, tag: str | None = None) -> str:
    """What it says when it refuses."""
    (project / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}\n\n### Added\n")
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    commands = [["init", "-q"]]
    commands += [["add", "-A"], ["commit", "-qm", "all"]] if committed else []
    commands += [["tag", tag]] if tag else []
    for command in commands:
        subprocess.run(["git", *command], cwd=project, check=True, env={**os.environ, **identity})
    ran = subprocess.run([project / "scripts/release"], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stderr


def test_the_version_must_be_the_changelogs_newest(project: Path) -> None:
    told = release(project, "## 1.3.0 (2026-12-01)")
    assert 'the version is 1.2.3, and the changelog\'s newest is "## 1.3.0 (2026-12-01)"' in told


def test_the_changelog_must_have_the_day(project: Path) -> None:
    assert "write the day of the release there, like ## 1.2.3 (20" in release(project, "## 1.2.3 (unreleased)")


def test_everything_must_be_committed(project: Path) -> None:
    assert "made from a commit" in release(project, "## 1.2.3 (2026-12-01)", committed=False)


def test_a_version_is_released_once(project: Path) -> None:
    told = release(project, "## 1.2.3 (2026-12-01)", tag="v1.2.3")
    assert "there is a tag v1.2.3 already" in told


def test_the_bill_of_materials_has_all_that_is_needed_and_whole_references() -> None:
    bill = script("sbom").bill_of_materials("tokenweir")
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    references = {component["bom-ref"] for component in [bill["metadata"]["component"], *bill["components"]]}
    assert {edge["ref"] for edge in bill["dependencies"]} == references
    assert {reference for edge in bill["dependencies"] for reference in edge["dependsOn"]} <= references
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@\S+", reference) for reference in references)
    needed = {re.split(r"[^A-Za-z0-9_.-]", one)[0].lower().replace("_", "-") for one in requires("tokenweir") or []}
    there = {component["name"].lower().replace("_", "-") for component in bill["components"]}
    assert needed <= there

"""The scripts get along with machines that lack what Linux has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("arguments", "made_with"), [([], "everything"), (["demo"], "demo"), (["demo"], "everything")])
def test_install_does_nothing_where_all_is_there_and_goes_on_where_there_is_no_flock(
    tmp_path: Path, arguments: list[str], made_with: str
) -> None:
    for name in ("scripts/install", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    version = subprocess.check_output([python, "--version"], text=True)
    project = (tmp_path / "pyproject.toml").read_text()
    (tmp_path / ".venv/made-from").write_text(f"{tmp_path}\n{version}{made_with}\n{project}")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "cmp", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool) or "")

    done = subprocess.run(
        [tools / "bash", tmp_path / "scripts/install", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": str(tools)},
    )

    assert (done.returncode, done.stderr) == (0, "")

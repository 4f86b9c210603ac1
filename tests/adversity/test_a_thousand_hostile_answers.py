"""Every call has an end and a record, whatever its upstream says it used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("calls", [2_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_each_hostile_answer_leaves_one_record(calls: int) -> None:
    command = [sys.executable, "-m", "benchmarks.hostile", "--calls", str(calls)]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert f"{calls} calls, {calls} records" in run.stdout
    assert "could not be" not in run.stderr

"""The alert rules that ship: over metrics that exist, each with a section that says what to do."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/alerts/tokenweir.rules.yaml"
METRIC = re.compile(r"\btokenweir_\w+")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return list(group["rules"])


def test_rules_ask_for_metrics_that_there_are() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    told = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    asked = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    assert len(asked) > 15
    assert asked <= told


def test_each_rule_has_a_section_and_each_section_a_rule() -> None:
    page = (ROOT / "docs/guides/alerts.md").read_text("utf-8")
    sections = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/guides/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_prometheus_reads_them() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here (Debian has it in `prometheus`)")
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

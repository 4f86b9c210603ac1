"""The deployment site opens for one address, for the time of a deployment, and is closed again whatever fails."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy/azure/door.py"
APP = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/meter-1"
ENVIRONMENT = {"TOKENWEIR_DEPLOY_FROM": "here", "AZURE_RESOURCE_GROUP": "rg", "TOKENWEIR_DEPLOY_ADDRESS": "203.0.113.7"}

# Answers as the Azure CLI does, keeps what it was asked, and is refused what CLOSED says.
AZ = """#!{python}
import json, os, sys
from pathlib import Path
with Path(os.environ["ASKED"]).open("a") as asked:
    print(json.dumps(sys.argv[1:]), file=asked)
if os.environ.get("CLOSED") and os.environ["CLOSED"] in " ".join(sys.argv):
    sys.exit("ERROR: (AuthorizationFailed) you may not")
print(json.dumps([{{"id": "{app}"}}] if sys.argv[1] == "resource" else {{}}))
"""


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("door")


class Door:
    """The script as azd runs it, with a CLI of ours on the path."""

    def __init__(self, folder: Path) -> None:
        self._asked = folder / "asked.jsonl"
        program = folder / "az"
        program.write_text(AZ.format(python=sys.executable, app=APP))
        program.chmod(0o755)
        self._path = f"{folder}:{os.environ['PATH']}"

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        variables = {"PATH": self._path, "ASKED": str(self._asked), **ENVIRONMENT, **environment}
        return subprocess.run([sys.executable, SCRIPT, *arguments], env=variables, capture_output=True, text=True)

    def patched(self) -> list[tuple[str, dict[str, Any]]]:
        """What of the app was changed, in order."""
        asked = [json.loads(line) for line in self._asked.read_text().splitlines()] if self._asked.exists() else []
        return [
            (one[4].partition(APP)[2].partition("?")[0], json.loads(one[6])["properties"])
            for one in asked
            if one[:3] == ["rest", "--method", "patch"]
        ]


@pytest.fixture
def azd(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_closing_takes_back_both_and_the_public_way_in_first(azd: Door) -> None:
    done = azd.run("close")
    assert (done.returncode, done.stderr) == (0, "")
    assert azd.patched() == [
        ("", {"publicNetworkAccess": "Disabled"}),
        ("/config/web", {"scmIpSecurityRestrictions": []}),
    ]


def test_what_cannot_be_closed_is_said_and_the_rest_is_closed(azd: Door) -> None:
    done = azd.run("close", CLOSED="Disabled")
    assert done.returncode == 1
    assert "(AuthorizationFailed)" in done.stderr and "door.py close" in done.stderr
    assert azd.patched()[-1] == ("/config/web", {"scmIpSecurityRestrictions": []})


@pytest.mark.parametrize("variables", [{"TOKENWEIR_DEPLOY_FROM": "203.0.113.0/24"}, {"TOKENWEIR_HAS_METER": "false"}])
def test_nothing_is_done_where_nobody_asked_for_it(azd: Door, variables: dict[str, str]) -> None:
    for step in ("open", "close"):
        assert azd.run(step, **variables).returncode == 0
    assert azd.patched() == []


def test_it_opens_to_one_address_before_it_opens_at_all_and_waits_until_it_is_let_in(
    door: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    changed: list[tuple[str, Any]] = []
    answers = iter([403, None, 401])
    pauses: list[float] = []

    def ask(*arguments: str) -> Any:
        if arguments[0] == "rest":
            changed.append((arguments[4].partition(APP)[2].partition("?")[0], json.loads(arguments[6])["properties"]))
        return [{"id": APP}]

    def fetch(url: str) -> tuple[int, str]:
        if url == "https://api.ipify.org":
            return 200, "203.0.113.7"
        assert url == "https://meter-1.scm.azurewebsites.net/"
        if (status := next(answers)) is None:
            raise OSError("no such name")
        return status, ""

    unsaid = {name: value for name, value in ENVIRONMENT.items() if name != "TOKENWEIR_DEPLOY_ADDRESS"}
    assert door.main(["open"], unsaid, ask, fetch, pauses.append) == 0
    [rules, access] = changed
    assert [rule["ipAddress"] for rule in rules[1]["scmIpSecurityRestrictions"]] == ["203.0.113.7/32"]
    assert access == ("", {"publicNetworkAccess": "Enabled"})
    assert len(pauses) == 2
    assert "is open to 203.0.113.7/32" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["<html>", "everybody", "::/0"])
def test_it_opens_to_nobody_who_is_no_address(azd: Door, address: str) -> None:
    done = azd.run("open", TOKENWEIR_DEPLOY_ADDRESS=address)
    assert done.returncode == 1 and "is no IPv4 address" in done.stderr
    assert azd.patched() == []


def test_before_anything_was_made_it_says_what_makes_it(azd: Door) -> None:
    done = azd.run("open", AZURE_RESOURCE_GROUP="")
    assert done.returncode == 1 and "`azd provision` makes it" in done.stderr

"""The deployment as a graph: what waits for what, what is named how long, which values are allowed."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

AZURE = Path(__file__).resolve().parents[2] / "deploy/azure"
MAIN = (AZURE / "main.bicep").read_text("utf-8")
BLOCKS = dict(re.findall(r"^module (\w+) (.+?)^[}\]]", MAIN, re.MULTILINE | re.DOTALL))
# What stands for a value that several modules may give.
VARIABLES = dict(re.findall(r"^var (\w+) = (.+?)(?=^\S|\Z)", MAIN, re.MULTILINE | re.DOTALL))

# Each module whose app signs in somewhere, and the modules that give its identity the roles for that.
NEEDS_ROLES = {
    "gateway": {"openAiAccess", "hubs", "monitoring", "registry"},
    "meter": {"hubs", "monitoring", "storage"},
    "api": {"openAiAccess", "hubs"},
}

# The least of what Azure allows, learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules; of a
# Function App, what its host makes an id of (learn.microsoft.com/azure/azure-functions/storage-considerations).
LONGEST = {
    "api-management": 50,
    "container-apps": 60,
    "container-registry": 50,
    "event-hubs": 50,
    "function": 32,
    "identity": 128,
    "journal-share": 24,
    "monitoring": 60,
    "network": 64,
    "openai": 64,
    "private-endpoint": 64,
    "storage": 24,
    "stream-analytics": 63,
}
TOKEN = "x" * 13  # what uniqueString gives


@cache
def waits_for(module: str) -> frozenset[str]:
    """By an output that is read or by ``dependsOn``, directly or by a variable, and what those wait for."""
    text = BLOCKS[module]
    for _ in range(3):  # variables of variables
        text += "".join(value for name, value in VARIABLES.items() if re.search(rf"\b{name}\b", text))
    asked = re.findall(r"(?<![.\w])(\w+)(?:\[\w+\])?!?\.outputs", text)
    asked += [name for listed in re.findall(r"dependsOn: \[([^\]]*)\]", text) for name in re.findall(r"\w+", listed)]
    direct = {name for name in asked if name in BLOCKS and name != module}
    return frozenset(direct.union(*(waits_for(name) for name in direct)))


def test_the_graph_has_no_circle_and_waits_for_modules_only() -> None:
    assert {name for name in BLOCKS if name in waits_for(name)} == set()  # a circle has no end, and would raise


@pytest.mark.parametrize("module", [name for name, block in BLOCKS.items() if "zonesPath" in block])
def test_a_private_endpoint_finds_its_zone(module: str) -> None:
    """Zones are given by ids that are put together, from which Bicep sees no dependency."""
    assert "dns" in waits_for(module)


@pytest.mark.parametrize(("module", "givers"), NEEDS_ROLES.items())
def test_an_app_starts_when_it_may_do_what_it_has_to(module: str, givers: set[str]) -> None:
    assert givers - waits_for(module) == set()


@pytest.mark.parametrize("module", [name for name, block in BLOCKS.items() if "networkId" in block])
def test_what_lies_in_the_network_waits_for_it(module: str) -> None:
    assert "network" in waits_for(module)


def names() -> list[tuple[str, str]]:
    """The kind of each module with the longest name that it is given."""
    found = []
    for block in BLOCKS.values():
        kind = re.findall(r"modules/([\w-]+)\.bicep", block)[0]
        given = re.search(r"params: \{.*?\n    name: '([^']+)'", block, re.DOTALL)
        if given:
            found.append((kind, given[1].replace("${token}", TOKEN).replace("${i}", "99")))
    return found


def test_no_name_is_longer_than_azure_takes() -> None:
    given = names()
    assert len(given) > 8
    assert [(kind, name) for kind, name in given if len(name) > LONGEST[kind]] == []
    deployments = re.findall(r"^  name: '([^']+)'", MAIN, re.MULTILINE)
    assert [name for name in deployments if len(name.replace("${token}", TOKEN)) > 64] == []


def test_storage_accounts_and_registries_have_letters_and_digits_only() -> None:
    plain = [name for kind, name in names() if kind in ("storage", "journal-share", "container-registry")]
    assert len(plain) == 3
    assert [name for name in plain if not re.fullmatch(r"[a-z0-9]{3,50}", name)] == []


def test_what_azd_gives_where_nothing_is_said_is_allowed() -> None:
    allowed = {
        name: re.findall(r"'(.*?)'", values)
        for values, name in re.findall(r"@allowed\(\[(.+?)\]\)\nparam (\w+) string", MAIN)
    }
    given = json.loads((AZURE / "main.parameters.json").read_text("utf-8"))["parameters"]
    assert len(allowed) >= 8
    for name, choices in allowed.items():
        default = re.search(rf"^param {name} string = '(.*)'$", MAIN, re.MULTILINE)
        assert default is not None and default[1] in choices, name
        assert given[name]["value"].rstrip("}").rpartition("=")[2] == default[1], name


def test_the_defaults_are_those_that_bicep_has() -> None:
    """Two places say them: what is deployed by azd is what is deployed without."""
    given = json.loads((AZURE / "main.parameters.json").read_text("utf-8"))["parameters"]
    differing = []
    for name, value in given.items():
        default = re.search(rf"^param {name} string = '(.*)'$", MAIN, re.MULTILINE)
        said = re.fullmatch(r"\$\{\w+=(.*)\}", value["value"])
        if default and said and said[1] != default[1]:
            differing.append(name)
    assert differing == []

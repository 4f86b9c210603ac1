"""The description of the deployment, as far as it can be checked without Azure."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from support.bicep import problems, read

ROOT = Path(__file__).resolve().parents[2]
AZURE = ROOT / "deploy/azure"
FILES = sorted(AZURE.rglob("*.bicep"))
MODULES = AZURE / "modules"

# The built-in roles that may be given, with their ids in every tenant: learn.microsoft.com, "Azure built-in roles".
ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Azure Event Hubs Data Receiver": "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
    "Azure Event Hubs Data Sender": "2b629674-e913-4c01-ae53-ef4638d8f975",
    "Cognitive Services OpenAI User": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
}

# The versions that each namespace is used in: folders `generated/*/NAMESPACE/VERSION` of Azure/bicep-types-az, the data
# that Bicep's compiler itself checks against. The two preview ones are from learn.microsoft.com/azure/templates, where
# no later ones are stable.
API_VERSIONS = {
    "Microsoft.ApiManagement": {"2024-05-01"},
    "Microsoft.App": {"2025-01-01", "2024-03-01"},
    "Microsoft.Authorization": {"2022-04-01"},
    "Microsoft.CognitiveServices": {"2024-10-01"},
    "Microsoft.ContainerRegistry": {"2023-07-01"},
    "Microsoft.EventHub": {"2024-01-01"},
    "Microsoft.DocumentDB": {"2024-05-15"},
    "Microsoft.Insights/actionGroups": {"2023-01-01"},
    "Microsoft.Insights/components": {"2020-02-02"},
    "Microsoft.Insights/diagnosticSettings": {"2021-05-01-preview"},
    "Microsoft.Insights/privateLinkScopes": {"2021-07-01-preview"},
    "Microsoft.Insights/scheduledQueryRules": {"2022-06-15"},
    "Microsoft.Insights/workbooks": {"2023-06-01", "2022-04-01"},
    "Microsoft.ManagedIdentity": {"2023-01-31"},
    "Microsoft.Network": {"2024-05-01"},
    "Microsoft.Network/privateDnsZones": {"2024-06-01"},
    "Microsoft.OperationalInsights": {"2025-07-01"},
    "Microsoft.Portal": {"2020-09-01-preview"},
    "Microsoft.Resources": {"2024-03-01"},
    "Microsoft.Sql": {"2021-11-01"},
    "Microsoft.Storage": {"2024-01-01"},
    "Microsoft.StreamAnalytics": {"2020-03-01", "2021-10-01-preview"},
    "Microsoft.Web": {"2024-04-01"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_says_only_what_bicep_understands(path: Path) -> None:
    assert problems(path) == []


def test_the_compiler_takes_all_of_it_where_there_is_one() -> None:
    compiler = shutil.which("bicep")
    if compiler is None:
        pytest.skip("SKIPPED LOUDLY: no Bicep compiler here; NuGet has it (Azure.Bicep.CommandLine.linux-x64)")
    built = subprocess.run([compiler, "build", "--stdout", AZURE / "main.bicep"], capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_resources_are_of_types_and_versions_that_exist(path: Path) -> None:
    assert unknown_versions(path) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_opens_by_saying_what_it_is(path: Path) -> None:
    assert path.read_text("utf-8").startswith("// ")


def test_every_module_is_used() -> None:
    called = {(path.parent / module.path).resolve() for path in FILES for module in read(path).modules.values()}
    assert [path.name for path in MODULES.glob("*.bicep") if path not in called] == []


def test_roles_are_built_in_ones_and_all_of_them_are_given() -> None:
    roles = json.loads((MODULES / "roles.json").read_text("utf-8"))
    assert roles == {name: ROLES[name] for name in roles}
    text = "".join(path.read_text("utf-8") for path in FILES)
    assert sorted(set(re.findall(r"roles\['(.+?)'\]", text))) == sorted(roles)


def test_role_ids_stand_in_one_place() -> None:
    guid = re.compile(r"'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'")
    assert [path.name for path in FILES if guid.search(path.read_text("utf-8"))] == []


def test_nothing_signs_in_with_a_key() -> None:
    """No keys are listed, none are handed on, and where a service has them they are switched off."""
    text = {path.stem: path.read_text("utf-8") for path in FILES}
    assert [name for name, body in text.items() if re.search(r"\blist\w*\(|AccountKey|SharedAccessKey", body)] == []
    assert "disableLocalAuth: true" in text["openai"]
    assert "disableLocalAuth: true" in text["event-hubs"]
    assert "DisableLocalAuth: true" in text["monitoring"]
    assert "allowSharedKeyAccess: false" in text["storage"]
    assert text["function"].count("properties: { allow: false }") == 2


def test_nothing_but_the_front_can_be_opened() -> None:
    for name in ("openai", "event-hubs", "storage"):
        assert "publicNetworkAccess: 'Disabled'" in (MODULES / f"{name}.bicep").read_text("utf-8")
    opened = [path.name for path in FILES if "publicNetworkAccess: 'Enabled'" in path.read_text("utf-8")]
    assert opened == []


def test_private_endpoints_are_made_one_after_another() -> None:
    """Two at a time in one subnet fail now and then: each module that makes one waits for the one before."""
    text = (AZURE / "main.bicep").read_text("utf-8")
    blocks = dict(re.findall(r"^module (\w+) (.+?)^[}\]]", text, re.MULTILINE | re.DOTALL))
    makers = [name for name, block in blocks.items() if "endpointSubnetId" in block]
    assert makers == ["openAiEndpoints", "hubs", "monitoring", "journalShare", "storage", "meter"]
    waits = {
        name: {other for other in blocks if other != name and re.search(rf"\b{other}(!?\.outputs|[\],])", block)}
        for name, block in blocks.items()
    }
    for earlier, later in pairwise(makers):
        assert earlier in waits[later], f"{later} does not wait for {earlier}"
    assert re.search(r"@batchSize\(1\)\nmodule openAiEndpoints", text)


def test_where_the_disk_goes_with_the_replica_answers_wait_for_the_hub_and_only_for_it() -> None:
    text = (MODULES / "container-apps.bicep").read_text("utf-8")
    assert re.search(r"hasShare\s+\? \[\]\s+: \[\s+\{\s+name: 'TOKENWEIR_JOURNAL__DURABILITY'\s+value: 'shipped'", text)
    assert text.count("if (hasShare)") == 2  # the share, and the job that looks for what is left on it
    assert "holds_ends: !hasRecords" in text
    assert "param journals string = 'replica'" in (AZURE / "main.bicep").read_text("utf-8")


def test_in_both_forms_every_call_is_in_the_hub_of_records() -> None:
    function = (MODULES / "function.bicep").read_text("utf-8")
    main = (AZURE / "main.bicep").read_text("utf-8")
    assert "TOKENWEIR_SINKS: string(sinks)" in function and "hub: recordHubName" in function
    assert "recordSenders: concat(meterPrincipals, gatewayPrincipals)" in main
    # What the gateway meters, API Management does not log, so that no call is there twice.
    policy = (AZURE / "apim/policy-meter.xml").read_text("utf-8")
    assert policy.count("tokenweir-log-call") == 2  # calls that went elsewhere, and errors


def test_keys_as_they_are_reach_each_place_where_an_app_key_is_written() -> None:
    fragment = (AZURE / "apim/fragments/read-call.xml").read_text("utf-8")
    api = (MODULES / "api-management-api.bicep").read_text("utf-8")
    [replaced] = re.findall(r"read-call.xml'\), '(.+?)', 'keys = \"\$\{subscriptionKeys\}\";'\)", api)
    assert fragment.count(replaced) == 1 and 'keys == "as-is"' in fragment
    for module in ("function", "container-apps", "api-management-api"):
        assert "param subscriptionKeys string" in (MODULES / f"{module}.bicep").read_text("utf-8")
    assert (AZURE / "main.bicep").read_text("utf-8").count("subscriptionKeys: subscriptionKeys") == 3


def unknown_versions(path: Path) -> list[str]:
    """Longest name first: what holds for a type holds for its children, unless they have an entry of their own."""
    unknown = []
    for resource in read(path).resources:
        if resource.version is None:
            continue
        parts = resource.type.split("/")
        names = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
        known = next((API_VERSIONS[name] for name in names if name in API_VERSIONS), set[str]())
        if resource.version not in known:
            unknown.append(f"{resource.type}@{resource.version}")
    return unknown


# The checks themselves


BROKEN = [
    ("param a string\nresource x = {\n", "line 2: this is not Bicep"),
    ("output o string = missing", "line 1: nothing is called `missing`"),
    ("output o string = 'a-${missing}'", "line 1: nothing is called `missing`"),
    ("output o array = [for x in missing: x]", "line 1: nothing is called `missing`"),
    ("output o array = [for x in x: 1]", "line 1: nothing is called `x`"),
    ("var a = [for x in [1]: x]\noutput o array = [a, x]", "line 2: nothing is called `x`"),
    ("output o array = map([1], x => y)", "line 1: nothing is called `y`"),
    ("param unused string", "line 1: the parameter `unused` is not used"),
    ("var a = 1\nvar unused = a", "line 2: the variable `unused` is not used"),
    ("var a = 1\nvar a = 2\noutput o int = a", "line 2: `a` is declared twice"),
    ("output o string = loadTextContent('away.xml')", "line 1: there is no file away.xml"),
    ("module m 'away.bicep' = {\n  name: 'm'\n}", "line 1: there is no module away.bicep"),
    ("module m 'other.bicep' = {\n  name: 'm'\n}", "line 1: the module other.bicep needs `must`"),
    (
        "module m 'other.bicep' = if (true) {\n  name: 'm'\n  params: {\n    must: 1\n    mist: 2\n  }\n}",
        "line 1: the module other.bicep has no parameter `mist`",
    ),
    (
        "module m 'other.bicep' = {\n  name: 'm'\n  params: { must: 1 }\n}\noutput o string = m.outputs.nothing",
        "line 5: the module other.bicep has no output `nothing`",
    ),
    (
        "module m 'other.bicep' = [for i in [1]: {\n  name: 'm'\n}]\noutput o string = m[0]!.outputs.nothing",
        "line 4: the module other.bicep has no output `nothing`",
    ),
]
FINE = """
param names array
var upper = map(names, name => toUpper(name))
resource group 'Microsoft.Resources/resourceGroups@2024-03-01' existing = { name: upper[0] }
module m 'other.bicep' = [
  for (name, i) in names: if (i > 0) {
    name: '${name}-${i}'
    params: { must: group.id }
  }
]
output o array = [for i in range(0, 2): m[i]!.outputs.fine]
"""


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_what_is_wrong_is_found(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problems(written(tmp_path, text))


def test_what_is_fine_is_let_be(tmp_path: Path) -> None:
    assert problems(written(tmp_path, FINE)) == []


def test_a_version_that_does_not_exist_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, "resource x 'Microsoft.EventHub/namespaces/eventhubs@2024-02-30' = {\n  name: 'x'\n}")
    assert unknown_versions(path) == ["Microsoft.EventHub/namespaces/eventhubs@2024-02-30"]


def written(folder: Path, text: str) -> Path:
    (folder / "other.bicep").write_text("param must int\nparam may int = must\noutput fine int = may\n", "utf-8")
    path = folder / "main.bicep"
    path.write_text(text, "utf-8")
    return path

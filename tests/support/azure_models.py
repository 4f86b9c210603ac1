"""The names and values that Azure's resource descriptions may have, out of the models of Microsoft's management SDKs.

Bicep's compiler checks names of properties against type data that no package registry has. The SDKs on PyPI are made
from the same specifications, and one release of each knows the API version that we use. 170 MB, in a folder of its own.
"""

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tree_sitter import Node

from .bicep import pairs, read_text, text_of

__all__ = ["NOT_KNOWN", "kinds", "misnamed", "models", "sdk_folder"]

_FOLDER = Path.home() / ".cache" / "tokenweir-tests" / "azure-models"
_INSTALL_SECONDS = 400
_PACKAGES = (
    "azure-mgmt-apimanagement==5.0.0",
    "azure-mgmt-appcontainers==3.2.0",
    "azure-mgmt-applicationinsights==4.1.0",
    "azure-mgmt-authorization==4.0.0",
    "azure-mgmt-cognitiveservices==13.6.0",
    "azure-mgmt-containerregistry==10.3.0",
    "azure-mgmt-core==1.6.0",
    "azure-mgmt-eventhub==11.2.0",
    "azure-mgmt-loganalytics==13.1.0",
    "azure-mgmt-monitor==6.0.2",
    "azure-mgmt-msi==7.0.0",
    "azure-mgmt-network==28.1.0",
    "azure-mgmt-privatedns==1.2.0",
    "azure-mgmt-sql==3.0.1",  # 2021-02-01-preview, the nearest there is: what we say had the same names then
    "azure-mgmt-storage==23.0.0",
    "azure-mgmt-streamanalytics==1.0.0",
    "azure-mgmt-web==8.0.0",
    "msrest==0.7.1",
    "six==1.17.0",  # the SDK of SQL forgets to ask for it
)
_API = "azure.mgmt.apimanagement.models"
_APPS = "azure.mgmt.appcontainers.models"
_COGNITIVE = "azure.mgmt.cognitiveservices.models"
_HUBS = "azure.mgmt.eventhub.v2024_01_01.models"
_NETWORK = "azure.mgmt.network.models"
_SCOPES = "azure.mgmt.monitor.v2021_07_01_preview.models"
_SQL = "azure.mgmt.sql.models"
_STORAGE = "azure.mgmt.storage.models"
_WEB = "azure.mgmt.web.v2024_04_01.models"
_DNS = "azure.mgmt.privatedns.models"

# Which model a resource's body is.
_MODELS = {
    "Microsoft.ApiManagement/service@2024-05-01": (_API, "ApiManagementServiceResource"),
    "Microsoft.ApiManagement/service/apis@2024-05-01": (_API, "ApiCreateOrUpdateParameter"),
    "Microsoft.ApiManagement/service/apis/operations@2024-05-01": (_API, "OperationContract"),
    "Microsoft.ApiManagement/service/apis/policies@2024-05-01": (_API, "PolicyContract"),
    "Microsoft.ApiManagement/service/backends@2024-05-01": (_API, "BackendContract"),
    "Microsoft.ApiManagement/service/loggers@2024-05-01": (_API, "LoggerContract"),
    "Microsoft.ApiManagement/service/namedValues@2024-05-01": (_API, "NamedValueCreateContract"),
    "Microsoft.ApiManagement/service/policyFragments@2024-05-01": (_API, "PolicyFragmentContract"),
    "Microsoft.ApiManagement/service/products@2024-05-01": (_API, "ProductContract"),
    "Microsoft.ApiManagement/service/subscriptions@2024-05-01": (_API, "SubscriptionCreateParameters"),
    "Microsoft.App/containerApps@2025-01-01": (_APPS, "ContainerApp"),
    "Microsoft.App/jobs@2025-01-01": (_APPS, "Job"),
    "Microsoft.App/managedEnvironments@2025-01-01": (_APPS, "ManagedEnvironment"),
    "Microsoft.App/managedEnvironments/storages@2025-01-01": (_APPS, "ManagedEnvironmentStorage"),
    "Microsoft.Authorization/roleAssignments@2022-04-01": (
        "azure.mgmt.authorization.v2022_04_01.models",
        "RoleAssignmentCreateParameters",
    ),
    "Microsoft.CognitiveServices/accounts@2024-10-01": (_COGNITIVE, "Account"),
    "Microsoft.CognitiveServices/accounts/deployments@2024-10-01": (_COGNITIVE, "Deployment"),
    "Microsoft.ContainerRegistry/registries@2023-07-01": (
        "azure.mgmt.containerregistry.v2023_07_01.models",
        "Registry",
    ),
    "Microsoft.EventHub/namespaces@2024-01-01": (_HUBS, "EHNamespace"),
    "Microsoft.EventHub/namespaces/eventhubs@2024-01-01": (_HUBS, "Eventhub"),
    "Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01": (_HUBS, "ConsumerGroup"),
    "Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01": (_HUBS, "NetworkRuleSet"),
    "Microsoft.Insights/actionGroups@2023-01-01": ("azure.mgmt.monitor.v2023_01_01.models", "ActionGroupResource"),
    "Microsoft.Insights/scheduledQueryRules@2022-06-15": (
        "azure.mgmt.monitor.v2022_08_01_preview.models",  # the nearest there is
        "ScheduledQueryRuleResource",
    ),
    "Microsoft.Insights/components@2020-02-02": (
        "azure.mgmt.applicationinsights.v2020_02_02.models",
        "ApplicationInsightsComponent",
    ),
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview": (
        "azure.mgmt.monitor.v2021_05_01_preview.models",
        "DiagnosticSettingsResource",
    ),
    "Microsoft.Insights/privateLinkScopes@2021-07-01-preview": (_SCOPES, "AzureMonitorPrivateLinkScope"),
    "Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview": (_SCOPES, "ScopedResource"),
    "Microsoft.Insights/workbooks@2023-06-01": ("azure.mgmt.applicationinsights.v2023_06_01.models", "Workbook"),
    "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31": ("azure.mgmt.msi.v2023_01_31.models", "Identity"),
    "Microsoft.Network/networkSecurityGroups@2024-05-01": (_NETWORK, "NetworkSecurityGroup"),
    "Microsoft.Network/privateDnsZones@2024-06-01": (_DNS, "PrivateZone"),
    "Microsoft.Network/privateDnsZones/A@2024-06-01": (_DNS, "RecordSet"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01": (_DNS, "VirtualNetworkLink"),
    "Microsoft.Network/privateEndpoints@2024-05-01": (_NETWORK, "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01": (_NETWORK, "PrivateDnsZoneGroup"),
    "Microsoft.Network/virtualNetworks@2024-05-01": (_NETWORK, "VirtualNetwork"),
    "Microsoft.OperationalInsights/workspaces@2025-07-01": ("azure.mgmt.loganalytics.models", "Workspace"),
    "Microsoft.Sql/servers@2021-11-01": (_SQL, "Server"),
    "Microsoft.Sql/servers/databases@2021-11-01": (_SQL, "Database"),
    "Microsoft.Sql/servers/firewallRules@2021-11-01": (_SQL, "FirewallRule"),
    "Microsoft.Storage/storageAccounts@2024-01-01": (_STORAGE, "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices@2024-01-01": (_STORAGE, "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01": (_STORAGE, "BlobContainer"),
    # 2020-03-01, which has the same names but for the authenticationMode of Cosmos DB, which other outputs have.
    "Microsoft.StreamAnalytics/streamingjobs@2021-10-01-preview": ("azure.mgmt.streamanalytics.models", "StreamingJob"),
    "Microsoft.Storage/storageAccounts/fileServices@2024-01-01": (_STORAGE, "FileServiceProperties"),
    "Microsoft.Storage/storageAccounts/fileServices/shares@2024-01-01": (_STORAGE, "FileShare"),
    "Microsoft.Web/serverfarms@2024-04-01": (_WEB, "AppServicePlan"),
    "Microsoft.Web/sites@2024-04-01": (_WEB, "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01": (
        _WEB,
        "CsmPublishingCredentialsPoliciesEntity",
    ),
}
# These have nothing to misspell, or no SDK that fits.
NOT_KNOWN = {
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-05-15",
    "Microsoft.Portal/dashboards@2020-09-01-preview",
    "Microsoft.ApiManagement/service/products/apis@2024-05-01",
    "Microsoft.Resources/resourceGroups@2024-03-01",
}
# What Bicep and the deployment engine know of any resource.
_EVERYWHERE = {"name", "parent", "scope", "dependsOn"}

# Runs where the SDKs are: prints for each model its names, down to a list of the values that its description names, or
# to what may hold anything (null).
_PRINT = """
import importlib, json, re, sys

def values(cls):
    said = {}
    for above in reversed(cls.__mro__):
        for name, text in re.findall(r":ivar (\\w+): (.*?)(?=:vartype|:ivar|$)", above.__doc__ or "", re.DOTALL):
            listed = re.search(r"(?:Known|Possible) values\\s+(?:are|include):(.*)", text, re.DOTALL)
            if listed:
                said[name] = re.findall(r'"([^"]+)"', listed[1])
    return said

def tree(cls, models, above=()):
    names = {}
    attributes = dict(cls._attribute_map)
    for word in getattr(cls, "_subtype_map", {}).values():
        for name in word.values():
            attributes.update(getattr(models, name)._attribute_map)
    allowed = values(cls)
    read_only = {key for key, said in cls._validation.items() if said.get("readonly")}
    for attribute, said in attributes.items():
        if attribute in read_only:
            continue
        place = names
        *folders, leaf = said["key"].replace("\\\\.", "\\0").split(".")
        for folder in folders:
            place = place.setdefault(folder, {})
            if place is None:
                break
        kind = said["type"].strip("[]")
        model = getattr(models, kind, None) if said["type"][0] != "{" else None
        known = isinstance(model, type) and hasattr(model, "_attribute_map") and model not in above
        if place is not None:
            below = tree(model, models, (*above, model)) if known else allowed.get(attribute) or None
            place[leaf.replace("\\0", ".")] = below
    return names

wanted = json.load(sys.stdin)
json.dump({kind: tree(getattr(importlib.import_module(module), name), importlib.import_module(module))
           for kind, (module, name) in wanted.items()}, sys.stdout)
"""


def models() -> dict[str, Any]:
    """For each type of `_MODELS` the names it may have, as nested objects; a list of values, or null for anything."""
    _install()
    wanted = json.dumps(_MODELS)
    command = [sys.executable, "-c", _PRINT]
    ran = subprocess.run(command, input=wanted, env={"PYTHONPATH": str(_FOLDER)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def sdk_folder() -> Path:
    """Where the SDKs are, to be put on a Python's path."""
    _install()
    return _FOLDER


def kinds(path: Path) -> list[str]:
    """Types and versions of the resources that a file makes."""
    return [kind for kind, _ in _resources(read_text(path), "", "")]


def misnamed(path: Path, known: dict[str, Any]) -> list[str]:
    """What a file says of its resources and Azure has no name for."""
    return [
        f"line {line}: {kind} has no `{name}`"
        for kind, body in _resources(read_text(path), "", "")
        if kind in known
        for name, line in _strangers(body, known[kind], "", _EVERYWHERE)
    ]


def not_allowed(path: Path, known: dict[str, Any]) -> list[str]:
    """Values that a file spells out and Azure does not name among those it takes."""
    return [
        f"line {line}: {kind}: {name} cannot be '{value}'"
        for kind, body in _resources(read_text(path), "", "")
        if kind in known
        for name, value, line in _values(body, known[kind], "")
    ]


def _values(node: Node, names: dict[str, Any], above: str) -> Iterator[tuple[str, str, int]]:
    for key, value in pairs(node):
        below = names.get(key)
        for each in value.named_children if value.type == "array" else [value]:
            text, found = text_of(each), _body(each)
            if isinstance(below, list) and each.type == "string" and "${" not in text:
                # Services do not mind the case.
                if text.strip("'").lower() not in map(str.lower, below):
                    yield f"{above}{key}", text.strip("'"), each.start_point[0] + 1
            elif isinstance(below, dict) and found is not None:
                yield from _values(found, below, f"{above}{key}.")


def _resources(node: Node, above: str, version: str) -> Iterator[tuple[str, Node]]:
    for child in node.named_children:
        if child.type != "resource_declaration":
            yield from _resources(child, above, version)
            continue
        if any(each.type == "existing" for each in child.children):
            continue
        kind, _, own_version = text_of(child.named_children[1]).strip("'").partition("@")
        kind = f"{above}/{kind}" if above else kind
        body = _body(child.named_children[-1])
        if body is not None:
            yield f"{kind}@{own_version or version}", body
            yield from _resources(body, kind, own_version or version)


def _body(node: Node) -> Node | None:
    """Through `if (…)` and `[for …: …]` to the object."""
    while node.type in ("if_statement", "for_statement"):
        node = node.named_children[-1]
    return node if node.type == "object" else None


def _strangers(node: Node, names: dict[str, Any], above: str, also: set[str]) -> Iterator[tuple[str, int]]:
    for key, value in pairs(node):
        # Keys that are made of values, `'${identity}': {}`, are names of the user's, not of Azure's.
        if key not in names and key not in also and "${" not in key:
            yield f"{above}{key}", value.start_point[0] + 1
        below = names.get(key)
        if isinstance(below, dict):
            for each in value.named_children if value.type == "array" else [value]:
                found = _body(each)
                if found is not None:
                    yield from _strangers(found, below, f"{above}{key}.", set())


def _install() -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    made_of = _FOLDER / "made-of"
    with (_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes installs
        if made_of.exists() and made_of.read_text("utf-8") == "\n".join(_PACKAGES):
            return
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-compile",
            "--upgrade",
            "--target",
            _FOLDER,
            *_PACKAGES,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        if ran.returncode == 0:
            made_of.write_text("\n".join(_PACKAGES), "utf-8")
    if ran.returncode != 0:
        pytest.skip(f"SKIPPED LOUDLY: pip could not install Azure's models in {_FOLDER}: {ran.stderr[-300:]}")

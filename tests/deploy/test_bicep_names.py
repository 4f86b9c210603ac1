"""Names of properties, which Azure would refuse at the end of a long deployment or, worse, ignore; and their values."""

from pathlib import Path
from typing import Any

import pytest

from support.azure_models import NOT_KNOWN, kinds, misnamed, models, not_allowed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILES = sorted((Path(__file__).resolve().parents[2] / "deploy/azure").rglob("*.bicep"))


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return models()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_property_has_a_name_that_azure_knows(path: Path, known: dict[str, Any]) -> None:
    assert misnamed(path, known) == []
    assert [kind for kind in kinds(path) if kind not in known and kind not in NOT_KNOWN] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_value_is_one_that_azure_takes(path: Path, known: dict[str, Any]) -> None:
    assert not_allowed(path, known) == []


def test_a_value_that_azure_does_not_take_is_found(tmp_path: Path, known: dict[str, Any]) -> None:
    path = tmp_path / "main.bicep"
    path.write_text(
        "resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {\n"
        "  kind: 'StorageV2'\n  sku: { name: 'Standard_XRS' }\n  properties: { minimumTlsVersion: 'TLS1_9' }\n}",
        "utf-8",
    )
    assert [found.partition(": ")[2] for found in not_allowed(path, known)] == [
        "Microsoft.Storage/storageAccounts@2024-01-01: sku.name cannot be 'Standard_XRS'",
        "Microsoft.Storage/storageAccounts@2024-01-01: properties.minimumTlsVersion cannot be 'TLS1_9'",
    ]


# One wrong name each, marked: at the top, below, in a loop, in a list, in a child, in a loop of a list.
BROKEN = {
    "skuu": """
resource hub 'Microsoft.EventHub/namespaces@2024-01-01' = [
  for name in ['a']: {
    skuu: {} // wrong
  }
]
""",
    "properties.partitions": """
resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  properties: {
    partitions: 2 // wrong
  }
}
""",
    "properties.circuitBreaker.rules.tripTime": """
resource one 'Microsoft.ApiManagement/service/backends@2024-05-01' = if (true) {
  properties: {
    circuitBreaker: {
      rules: [
        {
          tripTime: 'PT1M' // wrong
        }
      ]
    }
  }
}
""",
    "properties.registration": """
resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  resource link 'virtualNetworkLinks' = {
    properties: {
      registration: false // wrong
    }
  }
}
""",
    "properties.siteConfig.appSettings.nmae": """
resource site 'Microsoft.Web/sites@2024-04-01' = {
  properties: {
    siteConfig: {
      appSettings: [
        for name in ['a']: {
          nmae: name // wrong
        }
      ]
    }
  }
}
""",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_misspelt_name_is_found(tmp_path: Path, known: dict[str, Any], name: str) -> None:
    path = tmp_path / "main.bicep"
    path.write_text(BROKEN[name], "utf-8")
    line = next(number for number, text in enumerate(BROKEN[name].splitlines(), 1) if "// wrong" in text)
    (found,) = misnamed(path, known)
    assert found.startswith(f"line {line}: ")
    assert found.endswith(f" has no `{name}`")

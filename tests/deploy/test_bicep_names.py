"""Names of properties, which Azure would refuse at the end of a long deployment or, worse, ignore."""

from pathlib import Path
from typing import Any

import pytest

from support.azure_models import NOT_KNOWN, kinds, misnamed, models

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILES = sorted((Path(__file__).resolve().parents[2] / "deploy/azure").rglob("*.bicep"))


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return models()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_property_has_a_name_that_azure_knows(path: Path, known: dict[str, Any]) -> None:
    assert misnamed(path, known) == []
    assert [kind for kind in kinds(path) if kind not in known and kind not in NOT_KNOWN] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {\n  properties: {\n    partitions: 2\n  }\n}",
            "line 3: Microsoft.EventHub/namespaces/eventhubs@2024-01-01 has no `properties.partitions`",
        ),
        (
            "resource hub 'Microsoft.EventHub/namespaces@2024-01-01' = [\n  for name in ['a']: {\n    skuu: {}\n  }\n]",
            "line 3: Microsoft.EventHub/namespaces@2024-01-01 has no `skuu`",
        ),
        (
            "resource one 'Microsoft.ApiManagement/service/backends@2024-05-01' = if (true) {\n  properties: {\n"
            "    circuitBreaker: {\n      rules: [\n        {\n          tripTime: 'PT1M'\n        }\n      ]\n    }\n  }\n}",
            "line 6: Microsoft.ApiManagement/service/backends@2024-05-01 has no `properties.circuitBreaker.rules.tripTime`",
        ),
        (
            "resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {\n  resource link 'virtualNetworkLinks' = {\n"
            "    properties: {\n      registration: false\n    }\n  }\n}",
            "line 4: Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01 has no `properties.registration`",
        ),
        (
            "resource site 'Microsoft.Web/sites@2024-04-01' = {\n  properties: {\n    siteConfig: {\n      appSettings: [\n"
            "        for name in ['a']: {\n          nmae: name\n        }\n      ]\n    }\n  }\n}",
            "line 6: Microsoft.Web/sites@2024-04-01 has no `properties.siteConfig.appSettings.nmae`",
        ),
    ],
)
def test_a_misspelt_name_is_found(tmp_path: Path, known: dict[str, Any], text: str, expected: str) -> None:
    path = tmp_path / "main.bicep"
    path.write_text(text, "utf-8")
    assert misnamed(path, known) == [expected]

"""What azd is given: azure.yaml and the parameters of main.bicep."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from support.bicep import read

ROOT = Path(__file__).resolve().parents[2]
AZURE = ROOT / "deploy/azure"
SCHEMA = Draft202012Validator(json.loads(Path(__file__).with_name("azure_yaml.schema.json").read_text("utf-8")))
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))
GIVEN: dict[str, Any] = json.loads((AZURE / "main.parameters.json").read_text("utf-8"))["parameters"]
# azd itself reads AZURE_SUBSCRIPTION_ID, to know where to deploy: Bicep asks for it with subscription().
VARIABLE = re.compile(r"\$\{([A-Z_]+)(=([^}]*))?\}")


def test_azure_yaml_keeps_to_its_schema() -> None:
    assert [error.message for error in SCHEMA.iter_errors(PROJECT)] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"nmae": "x"},
        {"name": "Tokenweir!"},
        {"services": {}},
        {"services": {"meter": {"host": "function", "language": "python"}}},
        {"services": {"meter": {**PROJECT["services"]["meter"], "remotebuild": False}}},
        {"services": {"gateway": {"host": "containerapp", "project": ".", "image": "tokenweir:1"}}},
        {"hooks": {"postprovison": {"shell": "sh", "run": "true"}}},
        {"workflows": {"up": {"steps": ["provision"]}}},
    ],
    ids=str,
)
def test_the_schema_can_refuse(changed: dict[str, Any]) -> None:
    assert list(SCHEMA.iter_errors({**PROJECT, **changed}))


def test_azure_yaml_leads_to_what_is_there() -> None:
    infra = PROJECT["infra"]
    assert (ROOT / infra["path"] / f"{infra['module']}.bicep").is_file()
    for service in PROJECT["services"].values():
        assert (ROOT / service["project"]).is_dir()
        for hook in service.get("hooks", {}).values():
            for variant in hook.values():
                script = ROOT / service["project"] / variant["run"].split()[1]
                assert script.is_file(), script


def test_the_preflight_is_where_azd_looks_for_it() -> None:
    for variant in PROJECT["hooks"]["preprovision"].values():
        assert (ROOT / variant["run"].split()[1]).is_file()


def test_services_are_deployed_on_conditions_that_bicep_puts_out() -> None:
    outputs = read(AZURE / "main.bicep").outputs
    for name, service in PROJECT["services"].items():
        (variable,) = (match[1] for match in VARIABLE.finditer(service["condition"]))
        assert variable in outputs, name


def test_every_service_has_a_resource_with_its_tag() -> None:
    tags = {
        tag
        for path in AZURE.rglob("*.bicep")
        for tag in re.findall(r"'azd-service-name': '(\w+)'", path.read_text("utf-8"))
    }
    assert set(PROJECT["services"]) <= tags


def test_the_parameters_are_those_of_main_bicep() -> None:
    taken = read(AZURE / "main.bicep").parameters
    assert [name for name in GIVEN if name not in taken] == []
    assert [name for name, is_required in taken.items() if is_required and name not in GIVEN] == []


def test_the_environment_has_the_names_that_users_have_today() -> None:
    said = {name: value["value"] for name, value in GIVEN.items()}
    assert said["environmentName"] == "${AZURE_ENV_NAME}"
    assert said["location"] == "${AZURE_LOCATION}"
    assert said["resourceGroupName"] == "${AZURE_RESOURCE_GROUP=}"
    assert said["form"].startswith("${TOKENWEIR_FORM=")


def test_defaults_are_those_of_main_bicep() -> None:
    """azd replaces a variable that is not set by the default given there, so both have to say the same."""
    text = (AZURE / "main.bicep").read_text("utf-8")
    for name, value in GIVEN.items():
        (variable,) = VARIABLE.finditer(value["value"])
        if variable[2] is not None:
            assert re.search(rf"^param {name} string = '{re.escape(variable[3])}'$", text, re.MULTILINE), name


def test_every_variable_is_explained() -> None:
    page = (ROOT / "docs/guides/deploy-to-azure.md").read_text("utf-8")
    variables = {match[1] for value in GIVEN.values() for match in VARIABLE.finditer(value["value"])}
    assert sorted(name for name in variables if f"`{name}`" not in page) == []


def test_every_output_is_a_name_for_the_environment() -> None:
    outputs = read(AZURE / "main.bicep").outputs
    assert {"AZURE_GATEWAY_URL", "TENANT_ID", "AOI_DEPLOYMENTID", "AZURE_RESOURCE_GROUP"} <= outputs
    assert all(re.fullmatch(r"[A-Z_]+", name) for name in outputs)


def test_the_package_is_for_the_python_that_runs_it() -> None:
    script = (AZURE / "functions/package.py").read_text("utf-8")
    module = (AZURE / "modules/function.bicep").read_text("utf-8")
    (packaged,) = re.findall(r'^PYTHON = "(.+)"$', script, re.MULTILINE)
    assert f"param pythonVersion string = '{packaged}'" in module

"""What the preflight says of a subscription, as the Azure CLI tells it; and that its default models live."""

import importlib.util
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tokenweir.deployments import RETIREMENTS

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy/azure/preflight.py"
_spec = importlib.util.spec_from_file_location("preflight", SCRIPT)
assert _spec is not None and _spec.loader is not None
preflight = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(preflight)

MODELS = "gpt-5.4-mini=gpt-5.4-mini:2026-03-17:GlobalStandard:20"
ENVIRONMENT = {"AZURE_LOCATION": "swedencentral", "AZURE_SUBSCRIPTION_ID": "s-1", "TOKENWEIR_MODELS": MODELS}


class Azure:
    """Answers as the Azure CLI does."""

    def __init__(self, *, version: str = "2026-03-17", left: int = 20, role: str = "Owner") -> None:
        skus = [{"name": "GlobalStandard"}]
        model = {"format": "OpenAI", "name": "gpt-5.4-mini", "version": version, "skus": skus}
        usage = {"name": {"value": "OpenAI.GlobalStandard.gpt-5.4-mini"}, "currentValue": 100.0, "limit": 100.0 + left}
        self.asked: list[tuple[str, ...]] = []
        self.answers: dict[str, Any] = {
            "model": [{"kind": "OpenAI", "model": model}],
            "usage": [usage],
            "signed-in-user": {"id": "me"},
            "assignment": [{"roleDefinitionName": role}],
        }

    def __call__(self, *arguments: str) -> Any:
        self.asked.append(arguments)
        return self.answers[arguments[1]]


def test_where_all_is_there_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert preflight.main(ENVIRONMENT, Azure()) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("azure", "said"),
    [
        (Azure(version="2027-01-01"), "does not offer gpt-5.4-mini 2026-03-17 as GlobalStandard; it offers 2027-01-01"),
        (Azure(left=19), "has 19 thousand tokens a minute left in swedencentral, and 20 are asked for"),
        (Azure(role="Contributor"), "you have Contributor in subscription s-1, and may give no roles"),
    ],
    ids=["model", "quota", "roles"],
)
def test_what_is_missing_is_named(azure: Azure, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert preflight.main(ENVIRONMENT, azure) == 1
    assert said in capsys.readouterr().err


ACCOUNT = "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a"


def test_existing_accounts_need_no_models_and_no_quota() -> None:
    azure = Azure(version="other", left=0)
    existing = {"TOKENWEIR_EXISTING_OPENAI": ACCOUNT, "TOKENWEIR_EXISTING_DEPLOYMENT": "chat"}
    assert preflight.main({**ENVIRONMENT, **existing}, azure) == 0
    assert [arguments[:2] for arguments in azure.asked] == [("ad", "signed-in-user"), ("role", "assignment")]


def test_of_an_existing_account_a_deployment_is_named_or_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    azure = Azure()
    azure.answers["account"] = [{"name": "chat"}, {"name": "small"}]
    assert preflight.main({**ENVIRONMENT, "TOKENWEIR_EXISTING_OPENAI": ACCOUNT}, azure) == 0
    assert "ask no deployment; there are: chat, small" in capsys.readouterr().err
    assert preflight.main({**ENVIRONMENT, "TOKENWEIR_EXISTING_OPENAI": "no id"}, azure) == 0
    assert "could not look at the deployments" in capsys.readouterr().err


OPENAI = {"TOKENWEIR_UPSTREAM": "openai", "OPENAI_API_KEY": "k", "TOKENWEIR_FORM": "gateway"}


def test_openais_own_api_needs_neither_models_nor_quota(capsys: pytest.CaptureFixture[str]) -> None:
    azure = Azure(version="other", left=0)
    assert preflight.main({**ENVIRONMENT, **OPENAI}, azure) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({**OPENAI, "TOKENWEIR_FORM": "meter"}, "that goes with TOKENWEIR_FORM gateway"),
        ({**OPENAI, "OPENAI_API_KEY": ""}, "OPENAI_API_KEY is not set"),
        ({**OPENAI, "TOKENWEIR_EGRESS": "closed"}, "OpenAI's own API is on the Internet"),
        ({"TOKENWEIR_EGRESS": "closed"}, "put it into the package with TOKENWEIR_EXTENSION_BUNDLE"),
    ],
)
def test_settings_that_do_not_go_together_are_named(
    changed: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preflight.main({**ENVIRONMENT, **changed}, Azure()) == 1
    assert said in capsys.readouterr().err


def test_an_existing_api_management_needs_its_identity(capsys: pytest.CaptureFixture[str]) -> None:
    assert preflight.main({**ENVIRONMENT, "TOKENWEIR_EXISTING_API_MANAGEMENT": "/subscriptions/s-1/…"}, Azure()) == 1
    assert "TOKENWEIR_EXISTING_API_MANAGEMENT_IDENTITY is not" in capsys.readouterr().err


def test_a_list_of_models_with_a_typo_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert preflight.main({**ENVIRONMENT, "TOKENWEIR_MODELS": "gpt-5.4-mini:2026-03-17"}, Azure()) == 1
    assert "is not NAME=MODEL:VERSION:SKU:CAPACITY" in capsys.readouterr().err


def test_without_the_azure_cli_it_says_so_and_lets_pass(tmp_path: Path) -> None:
    environment = {**os.environ, **ENVIRONMENT, "PATH": str(tmp_path)}
    asked = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert asked.returncode == 0
    assert asked.stderr.count("there is no Azure CLI on this machine") == 3


def test_an_answer_that_is_not_understood_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    azure = Azure()
    azure.answers["usage"] = [{"unexpected": 1}]
    assert preflight.main(ENVIRONMENT, azure) == 0
    assert "could not look at quota" in capsys.readouterr().err


@pytest.mark.parametrize("model", [f"{model}-{version}" for model, version, _, _ in preflight.models({})])
def test_the_default_models_live(model: str) -> None:
    retires = RETIREMENTS[model]
    today = date.today()
    assert today < retires, f"{model} retired on {retires}: `azd up` fails with its defaults"
    if retires - today < timedelta(days=60):
        pytest.xfail(f"{model} retires on {retires}: choose a newer default for `models` in main.bicep")
    assert f"retires {retires}" in (ROOT / "deploy/azure/main.bicep").read_text("utf-8")

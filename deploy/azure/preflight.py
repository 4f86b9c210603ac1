"""Says before anything is made what `azd up` would fail of: a model, quota or permission that is missing.

azd runs it before it provisions. It asks the Azure CLI and changes nothing; only the standard library is needed. What
it cannot find out it says, and lets pass. Exit status 1: something is missing.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Ask = Callable[..., Any]
"""Arguments of ``az`` → what it answers, as JSON. Raises ``Unanswered``."""

# Of these, one lets a person give roles to identities.
ROLE_GIVERS = ("Owner", "User Access Administrator", "Role Based Access Control Administrator")


class Unanswered(Exception):
    """The Azure CLI did not answer, and why."""


def az(*arguments: str) -> Any:
    # Windows has az.cmd, which only its full name starts.
    program = shutil.which("az")
    if program is None:
        raise Unanswered("there is no Azure CLI on this machine (https://aka.ms/azcli)")
    asked = subprocess.run([program, *arguments, "--output", "json"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise Unanswered(asked.stderr.strip().splitlines()[-1] if asked.stderr.strip() else "az ended without a word")
    return json.loads(asked.stdout)


def models(environment: Mapping[str, str]) -> list[tuple[str, str, str, int]]:
    """Model, version, SKU and capacity of each deployment that is to be made. Raises ``ValueError``."""
    text = environment.get("TOKENWEIR_MODELS") or default_models()
    found = []
    for deployment in text.split(","):
        match = re.fullmatch(r"[\w.-]+=([\w.-]+):([\w.-]+):(\w+):(\d+)", deployment.strip())
        if match is None:
            raise ValueError(f"TOKENWEIR_MODELS: `{deployment}` is not NAME=MODEL:VERSION:SKU:CAPACITY")
        found.append((match[1], match[2], match[3], int(match[4])))
    return found


def default_models() -> str:
    template = (Path(__file__).parent / "main.bicep").read_text("utf-8")
    return re.findall(r"^param models string = '(.+)'$", template, re.MULTILINE)[0]


def missing_models(ask: Ask, location: str, wanted: list[tuple[str, str, str, int]]) -> list[str]:
    offered = {
        (entry["model"]["name"], entry["model"]["version"], sku["name"])
        for entry in ask("cognitiveservices", "model", "list", "--location", location)
        if entry.get("model", {}).get("format") == "OpenAI"
        for sku in entry["model"].get("skus") or []
    }
    said = []
    for model, version, sku, _ in wanted:
        if (model, version, sku) not in offered:
            others = sorted({f"{v} as {s}" for m, v, s in offered if m == model})
            hint = f"it offers {', '.join(others)}" if others else "it offers no version of it"
            said.append(f"{location} does not offer {model} {version} as {sku}; {hint}. Set TOKENWEIR_MODELS.")
    return said


def missing_quota(ask: Ask, location: str, wanted: list[tuple[str, str, str, int]]) -> list[str]:
    usages = {u["name"]["value"]: u for u in ask("cognitiveservices", "usage", "list", "--location", location)}
    said = []
    for model, _, sku, capacity in wanted:
        usage = usages.get(f"OpenAI.{sku}.{model}")
        left = None if usage is None else usage["limit"] - usage["currentValue"]
        if left is not None and left < capacity:
            said.append(
                f"{model} as {sku} has {left:g} thousand tokens a minute left in {location}, and {capacity} are asked "
                "for. Ask for less in TOKENWEIR_MODELS, or for more quota at https://aka.ms/oai/quotaincrease."
            )
    return said


def missing_roles(ask: Ask, subscription: str) -> list[str]:
    me = ask("ad", "signed-in-user", "show")["id"]
    scope = f"/subscriptions/{subscription}"
    listed = ("role", "assignment", "list", "--assignee", me, "--scope", scope)
    names = {given["roleDefinitionName"] for given in ask(*listed, "--include-inherited", "--include-groups")}
    if names & set(ROLE_GIVERS):
        return []
    yours = ", ".join(sorted(names)) or "no role"
    return [
        (
            f"you have {yours} in subscription {subscription}, and may give no roles to identities: "
            f"ask for {' or '.join(ROLE_GIVERS)}."
        )
    ]


def missing_settings(environment: Mapping[str, str]) -> list[str]:
    """What variables ask for that goes together only with others."""
    said = []
    is_set = {name: bool(value) for name, value in environment.items()}.get
    if is_set("TOKENWEIR_EXISTING_API_MANAGEMENT") and not is_set("TOKENWEIR_EXISTING_API_MANAGEMENT_IDENTITY"):
        said.append(
            "TOKENWEIR_EXISTING_API_MANAGEMENT is set, and TOKENWEIR_EXISTING_API_MANAGEMENT_IDENTITY is not: give the "
            "id of a user-assigned identity that it has."
        )
    form = environment.get("TOKENWEIR_FORM") or "meter"
    if environment.get("TOKENWEIR_UPSTREAM") == "openai":
        if form != "gateway":
            said.append(
                "TOKENWEIR_UPSTREAM is openai: that goes with TOKENWEIR_FORM gateway, as API Management of form meter "
                "signs in to Azure OpenAI."
            )
        if not is_set("OPENAI_API_KEY"):
            said.append("TOKENWEIR_UPSTREAM is openai, and OPENAI_API_KEY is not set: azd env set OPENAI_API_KEY …")
    if environment.get("TOKENWEIR_EGRESS") == "closed":
        if form == "meter" and not is_set("TOKENWEIR_EXTENSION_BUNDLE"):
            said.append(
                "TOKENWEIR_EGRESS is closed, and the Functions host may have to fetch its extension for Event Hubs "
                "from cdn.functions.azure.com: put it into the package with TOKENWEIR_EXTENSION_BUNDLE "
                "(deploy/azure/functions/meter/README.md)."
            )
        if environment.get("TOKENWEIR_UPSTREAM") == "openai":
            said.append("TOKENWEIR_EGRESS is closed, and OpenAI's own API is on the Internet: leave it open.")
    return said


def unnamed_deployment(ask: Ask, account: str) -> str:
    """Which deployments an account has, where none is named for the test scripts. No reason to stop."""
    parts = account.split("/")
    asked = ("--resource-group", parts[4], "--name", parts[8], "--subscription", parts[2])
    names = ", ".join(d["name"] for d in ask("cognitiveservices", "account", "deployment", "list", *asked))
    return f"TOKENWEIR_EXISTING_DEPLOYMENT is not set, so the test scripts ask no deployment; there are: {names}"


def main(environment: Mapping[str, str], ask: Ask = az) -> int:
    location, subscription = environment.get("AZURE_LOCATION", ""), environment.get("AZURE_SUBSCRIPTION_ID", "")
    try:
        wanted = models(environment)
    except ValueError as error:
        print(f"preflight: {error}", file=sys.stderr)
        return 1
    account = environment.get("TOKENWEIR_EXISTING_OPENAI", "").split(",")[0]
    is_azure = environment.get("TOKENWEIR_UPSTREAM") != "openai"
    checks: list[tuple[str, Callable[[], list[str]]]] = [("roles", lambda: missing_roles(ask, subscription))]
    if is_azure and not account:
        checks.insert(0, ("models", lambda: missing_models(ask, location, wanted)))
        checks.insert(1, ("quota", lambda: missing_quota(ask, location, wanted)))
    settings = missing_settings(environment)
    for sentence in settings:
        print(f"preflight: {sentence}", file=sys.stderr)
    failed = bool(settings)
    if is_azure and account and not environment.get("TOKENWEIR_EXISTING_DEPLOYMENT"):
        try:
            print(f"preflight: {unnamed_deployment(ask, account)}", file=sys.stderr)
        except (Unanswered, KeyError, TypeError, IndexError) as error:
            print(f"preflight: could not look at the deployments of {account}: {error}", file=sys.stderr)
    for name, check in checks:
        try:
            said = check()
        except (Unanswered, KeyError, TypeError, ValueError) as error:
            print(f"preflight: could not look at {name}: {error}", file=sys.stderr)
            continue
        for sentence in said:
            print(f"preflight: {sentence}", file=sys.stderr)
        failed = failed or bool(said)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))

"""Azure Resource Manager's lists: this gateway as a service of API Management, its callers as subscriptions."""

from typing import Any

import pytest

GROUP = "/subscriptions/5/resourceGroups/rg"
SERVICE = f"{GROUP}/providers/Microsoft.ApiManagement/service/apim"
VERSION = "?api-version=2024-05-01"


def listed(gateway: Any, path: str) -> list[dict[str, Any]]:
    answer = gateway.ask(path + VERSION)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/subscriptions/5/providers/Microsoft.ApiManagement/service",
        f"{GROUP}/providers/Microsoft.ApiManagement/service",
        f"{GROUP}/resources",
    ],
)
def test_the_gateway_is_the_one_service_wherever_it_is_looked_for(gateway: Any, path: str) -> None:
    [service] = listed(gateway, path)
    assert service["type"] == "Microsoft.ApiManagement/service"
    assert service["properties"]["gatewayUrl"] == "http://localhost:8080"
    assert gateway.ask(service["id"] + VERSION).json() == service


def test_its_api_is_found_by_the_path_that_tools_look_for(gateway: Any) -> None:
    [api] = listed(gateway, f"{SERVICE}/apis")
    assert api["id"] == f"{SERVICE}/apis/openai"
    assert "/openai" in api["properties"]["path"]


def test_callers_are_subscriptions_and_their_key_is_the_one_that_was_named(gateway: Any) -> None:
    names = [one["name"] for one in listed(gateway, f"{SERVICE}/subscriptions")]
    assert names == ["master", "team-a"]
    for name in names:
        answer = gateway.ask(f"{SERVICE}/subscriptions/{name}/listSecrets{VERSION}", "POST")
        assert answer.json() == {"primaryKey": "a key", "secondaryKey": "a key"}
        assert answer.headers["cache-control"] == "no-store"
    unknown = gateway.ask(f"{SERVICE}/subscriptions/nobody/listSecrets{VERSION}", "POST")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "ResourceNotFound")


def test_secrets_are_for_who_has_the_admin_token_and_for_no_page_of_the_web(gateway: Any) -> None:
    path = f"{SERVICE}/subscriptions/team-a/listSecrets{VERSION}"
    assert gateway.ask(path, "POST", headers={"Origin": "https://evil.example"}).status_code == 403
    gateway.token = "sk-admin"
    assert gateway.ask(path, "POST").status_code == 401
    assert gateway.ask(path, "POST", headers={"Authorization": "Bearer sk-admin"}).status_code == 200


@pytest.mark.parametrize("path", [SERVICE, f"{SERVICE}/apis", f"{SERVICE}/subscriptions"])
def test_an_api_version_is_asked_for_as_azure_does(gateway: Any, path: str) -> None:
    answer = gateway.ask(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")

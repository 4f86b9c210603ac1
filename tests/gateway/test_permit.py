"""Who has lists of what it may use gets nothing else, by whatever path it asks."""

import pytest

from support.asked import asked, chat
from tokenweir.deployments import Catalogue, DeploymentSettings, TargetSettings
from tokenweir.errors import NotPermitted
from tokenweir.gateway.choose import choose
from tokenweir.gateway.permit import permit_surface
from tokenweir.gateway.request import Request
from tokenweir.policy import NameList, Permissions
from tokenweir.records import SystemClock

CATALOGUE = Catalogue(
    [
        DeploymentSettings("chat", [TargetSettings("a", model="gpt-4o-2024-11-20"), TargetSettings("a", model="o3")]),
        DeploymentSettings("other", [TargetSettings("a", deployment="o3-eu")]),
    ],
    {"a": "azure"},
    SystemClock(),
)
JSON = "Content-Type: application/json"
WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")


def may(**lists: list[str]) -> Permissions:
    made = {kind: NameList(lists[kind]) if kind in lists else None for kind in ("deployments", "models", "surfaces")}
    return Permissions(made["deployments"], made["models"], made["surfaces"])


def chosen(request: Request, permissions: Permissions) -> list[str | None]:
    request.permissions = permissions
    permit_surface(request, permissions)
    return [target.model or target.deployment for target in choose(request, CATALOGUE).targets]


CHAT = "/openai/deployments/chat/chat/completions?api-version=1"


def test_a_deployment_is_held_against_its_list_wherever_it_is_named() -> None:
    only = may(deployments=["chat"])
    assert chosen(chat(b"{}", target=CHAT), only) == ["gpt-4o-2024-11-20", "o3"]
    assert chosen(chat(b'{"model":"chat"}', target="/v1/responses"), only) == ["gpt-4o-2024-11-20", "o3"]
    for request in (
        chat(b'{"model":"chat"}', target="/openai/deployments/other/chat/completions"),
        chat(b'{"model":"other"}', target="/v1/chat/completions"),
        chat(b'{"model":"other"}', target="/openai/responses"),
    ):
        with pytest.raises(NotPermitted, match="may not use deployment `other`; it may use: chat") as refused:
            chosen(request, only)
        assert (refused.value.status, refused.value.code) == (403, "not_permitted")


def test_a_model_is_held_against_what_is_behind_each_target() -> None:
    assert chosen(chat(b"{}", target=CHAT), may(models=["gpt-4o*"])) == ["gpt-4o-2024-11-20"]
    assert chosen(chat(b'{"model":"other"}', target="/v1/responses"), may(models=["o3-eu"])) == ["o3-eu"]
    with pytest.raises(NotPermitted, match="may not use the model behind `other`"):
        chosen(chat(b'{"model":"other"}', target="/v1/responses"), may(models=["gpt-4o*"]))


def test_a_surface_is_refused_by_its_name() -> None:
    only = may(surfaces=["embeddings", "files"])
    assert chosen(asked("GET /v1/files"), only) == [None]
    for request, name in ((chat(b"{}", target=CHAT), "chat_completions"), (asked("GET /v1/batches"), "batches")):
        with pytest.raises(NotPermitted, match=f"may not use `{name}`; it may use: embeddings, files"):
            chosen(request, only)


@pytest.mark.parametrize(
    "request_",
    [
        asked("POST /v1/batches", JSON, body=b'{"input_file_id":"file-1"}'),
        asked("POST /v1/threads/thread_1/runs", JSON, body=b"{}"),
        asked("POST /v1/fine_tuning/jobs", JSON, body=b'{"model":"chat"}'),
        asked("POST /v1/files", "Content-Type: multipart/form-data", body=b"x"),
        asked("POST /v1/something/new", JSON, body=b"{}"),
    ],
)
def test_what_hides_its_deployment_is_for_those_whose_surfaces_name_it(request_: Request) -> None:
    with pytest.raises(NotPermitted, match="does not say which deployment will be used"):
        chosen(request_, may(deployments=["chat"]))
    with pytest.raises(NotPermitted):
        chosen(request_, may(models=["*"], surfaces=["*"]))
    operation = request_.address.route.operation
    assert chosen(request_, may(deployments=["chat"], surfaces=[operation])) == [None]


@pytest.mark.parametrize(
    "request_",
    [
        asked("GET /v1/models"),
        asked("DELETE /v1/files/file-1"),
        asked("POST /v1/batches/batch_1/cancel", JSON, body=b"{}"),
        asked("POST /v1/moderations", JSON, body=b'{"input":"x"}'),
    ],
)
def test_what_uses_no_deployment_is_for_all(request_: Request) -> None:
    assert chosen(request_, may(deployments=["chat"])) == [None]


def test_a_websocket_whose_messages_would_name_the_model_is_not_for_those_with_lists() -> None:
    request = asked("GET /v1/responses", *WEBSOCKET, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    with pytest.raises(NotPermitted, match="does not say which deployment"):
        chosen(request, may(deployments=["chat"], surfaces=["responses"]))


LISTS = ["files", "batches", "fine_tuning/jobs", "vector_stores", "assistants", "containers", "evals", "videos"]


@pytest.mark.parametrize("target", [*(f"/v1/{tail}" for tail in LISTS), "/openai/files?api-version=1&limit=100"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_lists_of_what_all_callers_keep_are_refused_where_that_is_configured(target: str, method: str) -> None:
    with pytest.raises(NotPermitted, match="Ask for what you have made by its id"):
        chosen(asked(f"{method} {target}"), Permissions(None, None, None, may_list=False))
    assert chosen(asked(f"{method} {target}"), Permissions(None, None, may(surfaces=["*"]).surfaces)) == [None]


@pytest.mark.parametrize("target", ["/v1/chat/completions", "/v1/chat/completions?limit=9"])
def test_stored_completions_are_not_listed_either(target: str) -> None:
    with pytest.raises(NotPermitted):
        permit_surface(asked(f"GET {target}"), Permissions(None, None, None, may_list=False))


@pytest.mark.parametrize(
    "first",
    [
        *(f"GET /v1/{tail}/id_1" for tail in LISTS),
        *("GET /v1/models", "GET /v1/files/file-1/content", "GET /v1/responses/resp_1", "DELETE /v1/files/file-1"),
        *("GET /v1/chat/completions/chatcmpl-1", "GET /v1/vector_stores/vs_1/files", "GET /v1/batches/batch_1"),
    ],
)
def test_what_is_named_by_its_id_is_not_a_list(first: str) -> None:
    permit_surface(asked(first), Permissions(None, None, None, may_list=False))


def test_making_something_is_not_listing_it() -> None:
    permissions = Permissions(None, None, None, may_list=False)
    for target in ("/v1/batches", "/v1/vector_stores", "/v1/chat/completions"):
        permit_surface(asked(f"POST {target}", JSON, body=b'{"model":"chat"}'), permissions)

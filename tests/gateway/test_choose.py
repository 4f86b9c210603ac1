"""What was asked for is a path's deployment, a body's model, or nothing in particular."""

import pytest

from support.asked import asked, chat
from tokenweir.deployments import Catalogue, DeploymentSettings, TargetSettings
from tokenweir.errors import InvalidBody, UnknownDeployment
from tokenweir.gateway.choose import choose
from tokenweir.gateway.request import Request
from tokenweir.records import SystemClock

CATALOGUE = Catalogue(
    [
        DeploymentSettings("gpt", [TargetSettings("far", priority=2), TargetSettings("near", deployment="gpt-near")]),
        DeploymentSettings("other", [TargetSettings("far")]),
    ],
    {"near": "azure", "far": "azure"},
    SystemClock(),
)
V1 = "/v1/chat/completions"


def chosen(request: Request) -> list[tuple[str, str | None]]:
    """Targets in the order in which they are handed out."""
    candidates = choose(request, CATALOGUE)
    found = []
    while candidates.has_more():
        target = candidates.next()
        assert target is not None
        found.append((target.upstream, target.deployment))
    assert candidates.next() is None
    return found


def test_the_paths_deployment_is_meant_whatever_the_body_says() -> None:
    assert chosen(chat(b'{"model":"other"}')) == [("near", "gpt-near"), ("far", "gpt")]


@pytest.mark.parametrize(
    "target", [V1, "/openai/v1/chat/completions", "/openai/v1/embeddings", "/api/openai/v1/responses"]
)
def test_on_v1_the_bodys_model_is_meant(target: str) -> None:
    assert chosen(chat(b'{"model":"other"}', target=target)) == [("far", "other")]


def test_dated_responses_name_their_deployment_in_the_body() -> None:
    assert chosen(chat(b'{"model":"other"}', target="/openai/responses?api-version=1")) == [("far", "other")]


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":7}'])
def test_a_metered_call_on_v1_must_name_a_model(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="must name a `model`"):
        choose(chat(body, target=V1), CATALOGUE)


@pytest.mark.parametrize(
    "request_",
    [
        asked("GET /v1/models"),
        asked("GET /openai/files?api-version=1"),
        asked("POST /openai/files?api-version=1", "Content-Type: multipart/form-data", body=b"x"),
        asked("POST /openai/batches", "Content-Type: application/json", body=b'{"model":"other"}'),
        asked("POST /v1/fine_tuning/jobs", "Content-Type: application/json", body=b'{"model":"gpt-4o-mini"}'),
    ],
)
def test_what_names_no_deployment_goes_to_the_first_upstream(request_: Request) -> None:
    assert chosen(request_) == [("near", None)]


@pytest.mark.parametrize("path", ["/openai/responses/resp_1", "/v1/batches/batch_1", "/v1/videos/video_1/content"])
def test_what_a_call_has_made_may_be_at_any_upstream(path: str) -> None:
    assert chosen(asked(f"GET {path}")) == [("near", None), ("far", None)]


@pytest.mark.parametrize(
    "request_",
    [
        chat(b"{}", target="/openai/deployments/nobody/chat/completions"),
        chat(b'{"model":"nobody"}', target=V1),
        chat(b'{"model":""}', target=V1),
        chat(b'{"model":"nobody"}', target="/v1/images/generations"),
    ],
)
def test_what_is_not_there_is_told(request_: Request) -> None:
    with pytest.raises(UnknownDeployment):
        choose(request_, CATALOGUE)

"""Every documented path has its route, and no path climbs, hides or grows beyond measure."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import MalformedRequest, Refusal, UnknownRoute
from tokenweir.gateway.routes import METERED, route_of, split_query
from tokenweir.records import Route


@pytest.mark.parametrize("tail", METERED)
@pytest.mark.parametrize(
    ("prefix", "family", "deployment"),
    [
        ("/openai/deployments/gpt-4o/", "deployments", "gpt-4o"),
        ("/api/openai/deployments/My.Own_1/", "deployments", "My.Own_1"),
        ("/openai/v1/", "v1", None),
        ("/api/openai/v1/", "v1", None),
        ("/v1/", "v1", None),
        ("/openai/", "openai", None),
    ],
)
def test_metered_calls_are_known_under_each_prefix(prefix: str, family: str, deployment: str | None, tail: str) -> None:
    api, operation = METERED[tail]
    route = route_of(b"POST", (prefix + tail).encode())
    assert (route.api, route.operation, route.family, route.deployment, route.tail) == (
        api,
        operation,
        family,
        deployment,
        tail,
    )
    assert route.is_metered


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/v1/responses/compact", Route("other", "responses", "v1", None, "responses/compact")),
        ("GET", "/v1/responses/r-1", Route("other", "responses", "v1", None, "responses/r-1")),
        ("GET", "/v1/responses", Route("other", "responses", "v1", None, "responses")),
        ("GET", "/v1/chat/completions", Route("other", "chat/completions", "v1", None, "chat/completions")),
        ("GET", "/v1/models", Route("other", "models", "v1", None, "models")),
        ("POST", "/v1/files", Route("other", "files", "v1", None, "files")),
        ("GET", "/openai/files/f-1/content", Route("other", "files", "openai", None, "files/f-1/content")),
        ("POST", "/openai/batches", Route("other", "batches", "openai", None, "batches")),
        ("POST", "/openai/assistants", Route("other", "assistants", "openai", None, "assistants")),
        ("DELETE", "/openai/threads/t/runs", Route("other", "threads", "openai", None, "threads/t/runs")),
        ("GET", "/v1/fine_tuning/jobs/j-1", Route("other", "fine_tuning/jobs", "v1", None, "fine_tuning/jobs/j-1")),
        ("GET", "/v1/models/a%20b", Route("other", "models", "v1", None, "models/a%20b")),
        ("GET", "/v1/models/ft:gpt-4o:org::id", Route("other", "models", "v1", None, "models/ft:gpt-4o:org::id")),
        ("GET", "/v1/files/a..b", Route("other", "files", "v1", None, "files/a..b")),
    ],
)
def test_other_calls_are_known_by_the_head_of_their_tail(method: str, path: str, route: Route) -> None:
    assert msgspec.structs.replace(route_of(method.encode(), path.encode()), path="", job_id=None) == route
    assert not route.is_metered


@pytest.mark.parametrize(
    ("tail", "api"), [("messages", "messages"), ("messages/count_tokens", "count_tokens"), ("models", "other")]
)
def test_calls_of_anthropics_api_stand_under_a_beginning_of_their_own(tail: str, api: str) -> None:
    route = route_of(b"POST", f"/anthropic/v1/{tail}".encode())
    assert (route.api, route.family, route.deployment, route.tail) == (api, "anthropic", None, tail)
    assert route.path == f"/anthropic/v1/{tail}"


@pytest.mark.parametrize(
    "path",
    [
        "/Anthropic/v1/messages",
        "/anthropic/V1/messages",
        "/anthropic/v1/Messages",
        "/anthropic/v1/messages;a=1",
        "/anthropic/v1/x/messages",
        "/anthropic/messages",
        "/anthropic/v1",
        "/api/anthropic/v1/messages",
    ],
)
def test_no_other_spelling_of_it_passes(path: str) -> None:
    with pytest.raises(UnknownRoute):
        route_of(b"POST", path.encode())


@pytest.mark.parametrize("path", ["/v1/messages", "/openai/v1/messages", "/anthropic/v1/v1/messages"])
def test_an_address_that_anthropics_sdk_builds_of_a_wrong_base_url_is_told_the_right_one(path: str) -> None:
    with pytest.raises(UnknownRoute, match="address and /anthropic"):
        route_of(b"POST", path.encode())


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/metrics",
        "/healthz",
        "/v1",
        "/openai",
        "/openai/v1",
        "/openai/deployments",
        "/openai/deployments/gpt",
        "/api",
        "/api/v1/models",
        "/API/openai/v1/models",
        "/OpenAI/v1/models",
        "/v2/models",
        "/api/api/openai/v1/models",
        "/chat/completions",
    ],
)
def test_nothing_else_is_there(path: str) -> None:
    with pytest.raises(UnknownRoute, match="check the client's base URL") as refused:
        route_of(b"GET", path.encode())
    assert refused.value.status == 404


CLIMBING = [
    "/v1/../admin",
    "/v1/files/..",
    "/v1/./files",
    "/..",
    "/v1/files/%2e%2e",
    "/v1/files/%2E%2e/x",
    "/v1/files/.%2e/x",
    "/v1/files/%2e",
    "/v1/files/..%2fadmin",
    "/v1/files/%2fadmin",
    "/v1/files/..%5cadmin",
    "/v1/files/a\\b",
    "/v1/files/a%2F",
    "/v1/files/a%2F..%2Fb",
    "/v1/files/%E2%80%8B",
    "/v1/files/%252e%252e/x",
    "/v1/files/%252fx",
    "/v1/files/..;/admin",
    "/v1/files/.;a=1/x",
    "/v1/files/..;a=b;c/x",
    "/v1/files/%2e%2e;/x",
    "/v1/files/..%3b/x",
    "/v1/files/%00",
    "/v1/files/a%0d%0aX:1",
    "/v1/files/%7f",
    "/v1/files/%c0%ae%c0%ae/x",
    "/v1/files/%ff",
    "/v1/files/%",
    "/v1/files/%zz",
    "/v1/files/%u002e",
    "//v1/files",
    "/v1//files",
    "/v1/files//",
    "//",
    "/v1/files/a b",
    "/v1/files/a#b",
    '/v1/files/"',
    "/v1/files/<a>",
    "/v1/files/{a}",
    "/v1/files/" + "a" * 2048,
    "/v1" + "/a" * 1100,
]


@pytest.mark.parametrize("path", ["/", "/v1/", "/v1/files/", "/openai/deployments/gpt/chat/completions/"])
def test_there_is_nothing_at_a_path_that_ends_in_a_slash(path: str) -> None:
    with pytest.raises(UnknownRoute, match="base URL"):
        route_of(b"GET", path.encode())


def test_who_ends_a_path_with_a_slash_is_told_to_leave_it_out() -> None:
    with pytest.raises(UnknownRoute, match="Leave out the slash"):
        route_of(b"POST", b"/openai/deployments/gpt/chat/completions/")


@pytest.mark.parametrize("path", CLIMBING)
def test_a_path_that_climbs_or_hides_something_is_refused(path: str) -> None:
    with pytest.raises(MalformedRequest):
        route_of(b"GET", path.encode())


@pytest.mark.parametrize(
    "name", ["..", ".hidden", "-x", "a b", "a;b", "a%20b", "a%2fb", "gpt:4", "a" * 129, "a@b", "*"]
)
def test_a_deployments_name_has_plain_letters_only(name: str) -> None:
    with pytest.raises(MalformedRequest):
        route_of(b"POST", f"/openai/deployments/{name}/chat/completions".encode())


def test_a_path_may_be_long_but_not_beyond_measure() -> None:
    assert route_of(b"GET", b"/v1/files/" + b"a" * 2038).tail == "files/" + "a" * 2038
    with pytest.raises(MalformedRequest, match="longer than 2048"):
        route_of(b"GET", b"/v1/files/" + b"a" * 2039)


_SEGMENT = st.sampled_from(
    [
        "openai",
        "v1",
        "api",
        "deployments",
        "d",
        "chat",
        "completions",
        "files",
        ".",
        "..",
        "%2e",
        "%2f",
        ";",
        "",
        "a%20b",
    ]
)


@given(st.lists(_SEGMENT, max_size=7), st.sampled_from([b"GET", b"POST"]))
def test_any_path_is_routed_or_refused_and_what_is_routed_does_not_climb(segments: list[str], method: bytes) -> None:
    path = "/" + "/".join(segments)
    try:
        route = route_of(method, path.encode())
    except Refusal:
        return
    assert not {"", ".", "..", "%2e"} & set(route.tail.split("/"))
    assert "%2f" not in path
    assert path.endswith(route.tail)


@pytest.mark.parametrize(
    ("query", "kept", "key", "version"),
    [
        (b"", b"", None, None),
        (b"api-version=2024-10-21", b"api-version=2024-10-21", None, "2024-10-21"),
        (b"api-version=2024%2D10", b"api-version=2024%2D10", None, "2024-10"),
        (b"subscription-key=k", b"", b"k", None),
        (b"a=1&subscription-key=k%2B1&b", b"a=1&b", b"k+1", None),
        (b"subscription-key=k&api-version=1&subscription-key=k", b"api-version=1", b"k", "1"),
        (b"Subscription%2DKey=k&a=1", b"a=1", b"k", None),
        (b"API_KEY=k", b"", b"k", None),
        (b"api-key=k", b"", b"k", None),
        (b"code=k&access_token=l&Access-Token=m", b"", None, None),
        (b"a=1&Api%2DVersion=1&api-version=1", b"a=1&api-version=1", None, "1"),
        (b"subscription-key", b"", b"", None),
        (b"a=1&&b=%zz&", b"a=1&&b=%zz&", None, None),
        (b"x-subscription-key=k", b"x-subscription-key=k", None, None),
        (b"api-version=%ff", b"api-version=%ff", None, "\ufffd"),
    ],
)
def test_a_query_travels_without_the_callers_key(
    query: bytes, kept: bytes, key: bytes | None, version: str | None
) -> None:
    assert split_query(query) == (kept, key, version)


def test_to_compact_responses_is_a_turn_of_the_model() -> None:
    route = route_of(b"POST", b"/openai/v1/responses/compact")
    assert (route.api, route.operation, route.tail, route.is_metered) == (
        "responses",
        "responses",
        "responses/compact",
        True,
    )


@pytest.mark.parametrize(
    "query",
    [b"subscription-key=k&subscription-key=l", b"api-key=k&subscription-key=l", b"api-version=1&api%2dversion=2"],
)
def test_a_query_that_says_two_things_is_refused(query: bytes) -> None:
    with pytest.raises(MalformedRequest, match="twice, with different values"):
        split_query(query)


@pytest.mark.parametrize(
    ("query", "kept", "key"),
    [
        (b"api%252Dkey=k&a=1", b"a=1", b"k"),
        (b"%EF%BD%81pi-key=k&a=1", b"a=1", b"k"),
        (b"api-key%00=k&a=1", b"a=1", b"k"),
        (b"a=1;api-key=k&b=2", b"a=1&b=2", None),
        (b"a=1;b;Code=k;c&b=2", b"a=1;b&b=2", None),
        (b"api-key=a;b&c=1", b"c=1", b"a;b"),
        (b"a=1;b=2", b"a=1;b=2", None),
        (b"api-key=&subscription-key=k", b"", b"k"),
    ],
)
def test_a_key_that_only_some_servers_would_find_in_a_query_does_not_travel_either(
    query: bytes, kept: bytes, key: bytes | None
) -> None:
    assert split_query(query)[:2] == (kept, key)


@pytest.mark.parametrize(
    ("path", "job", "session"),
    [
        ("/v1/batches/batch_1", "batch_1", None),
        ("/openai/batches/batch_1/cancel", "batch_1", None),
        ("/v1/fine_tuning/jobs/ftjob-1/events", "ftjob-1", None),
        ("/openai/v1/videos/video_1/content", "video_1", None),
        ("/openai/v1/video/generations/jobs/task_1", "task_1", None),
        ("/openai/v1/responses/resp_1", "resp_1", None),
        ("/openai/responses/resp_1/cancel", "resp_1", None),
        ("/v1/responses/compact", None, None),
        ("/v1/vector_stores/vs_1/files", "vs_1", None),
        ("/v1/realtime/calls/rtc_1/hangup", None, "rtc_1"),
        ("/v1/batches", None, None),
        ("/v1/files/batches", None, None),
    ],
)
def test_a_path_names_the_job_or_the_session_that_it_is_about(path: str, job: str | None, session: str | None) -> None:
    route = route_of(b"POST", path.encode())
    assert (route.job_id, route.session_id) == (job, session)


AGENT = "/api/projects/p1/agents/a1/endpoint/protocols/openai"


@pytest.mark.parametrize(
    ("path", "api", "tail"),
    [
        ("/models/chat/completions", "chat_completions", "chat/completions"),
        ("/models/embeddings", "embeddings", "embeddings"),
        ("/models/images/embeddings", "embeddings", "images/embeddings"),
        ("/api/projects/p1/openai/v1/responses", "responses", "responses"),
        ("/api/projects/p1/openai/v1/conversations", "other", "conversations"),
        (f"{AGENT}/responses", "responses", "responses"),
        ("/mai/v1/images/generations", "images_generations", "images/generations"),
        ("/mai/v1/images/edits", "images_edits", "images/edits"),
        ("/providers/blackforestlabs/v1/flux-2-pro", "images_generations", "flux-2-pro"),
        ("/providers/cohere/v2/rerank", "rerank", "rerank"),
        ("/v2/rerank", "rerank", "rerank"),
    ],
)
def test_what_else_a_foundry_resource_serves_is_known_by_its_beginning(path: str, api: str, tail: str) -> None:
    route = route_of(b"POST", path.encode())
    assert (route.api, route.family, route.deployment, route.tail, route.path) == (api, "foundry", None, tail, path)


@pytest.mark.parametrize(
    "path",
    [
        "/models/Chat/completions",
        "/models/chat/completions;a=b",
        "/models/chat%2Fcompletions",
        "/models/x/chat/completions",
        "/models/openai/v1/chat/completions",
        "/Models/chat/completions",
        "/api/projects/p1/openai/v1/Responses",
        "/api/projects/p%3F1/openai/v1/responses",
        "/api/projects/p1/openai/v1/openai/v1/responses",
        "/api/projects/p1/openai/v2/responses",
        "/api/projects/p1",
        f"{AGENT}/RESPONSES",
        "/providers/others/v1/flux-2-pro",
        "/providers/blackforestlabs/v1",
        "/v3/rerank",
    ],
)
def test_other_spellings_of_them_are_refused(path: str) -> None:
    with pytest.raises((UnknownRoute, MalformedRequest)):
        route_of(b"POST", path.encode())

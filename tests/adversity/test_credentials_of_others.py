"""Days on which a request carries somebody's credentials: none of them arrives at the upstream."""

import pytest

from support.raw_client import RawClient, get_request
from support.relay_thread import KEY
from support.scripted import Line, Play
from support.streams import answer
from support.world import World, on_both_hosts
from tokenweir.wire.request_fields import HEADERS, PREFIXES, QUERY

BODY = b'{"messages":[]}'
CANARY = "c4nary-in-the-mine"

# What HTTP itself reads would be taken for what it says.
_READ = {b"connection", b"content-length", b"expect", b"host", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
STAYING = [
    *(name.decode() for name in HEADERS if name not in _READ | {b"accept-encoding"}),
    *(beginning.decode() + "canary" for beginning in PREFIXES),
    "x-ms-client-principal-name",
    "x-ms-token-aad-access-token",
    "x-ms-token-aad-refresh-token",
]
SPELLED = [spelled for name in STAYING for spelled in dict.fromkeys([name, name.title(), name.replace("-", "_")])]


def listening(heads: list[bytes]) -> Play:
    def play(line: Line) -> None:
        while True:
            head, _ = line.read_request()
            heads.append(head)
            line.send(answer(b"{}"))

    return play


def call(*lines: str, query: str = "") -> bytes:
    target = f"/openai/deployments/faulty/chat/completions?api-version=2024-10-21{query}"
    length = f"Content-Length: {len(BODY)}"
    return get_request(target, "Content-Type: application/json", length, *lines, method="POST") + BODY


@on_both_hosts
def test_a_header_that_is_not_for_the_upstream_stays_here(world: World) -> None:
    heads: list[bytes] = []
    relay = world.relay(world.upstream(listening(heads)))
    for name in SPELLED:
        value = {"api-key": KEY, "authorization": f"Bearer {CANARY}"}.get(name.lower(), CANARY)
        with RawClient(relay.address) as client:
            client.send(call(f"{name}: {value}", "x-canary-of-ours: sings"))
            assert client.read_answer().status == 200, name
        head = heads.pop().replace(b"\r\napi-key: upstream-key", b"")
        assert b"x-canary-of-ours: sings" in head
        assert CANARY.encode() not in head, name
        assert KEY.lower().encode() not in head, name
        assert f"\r\n{name.lower()}:".encode() not in head
    relay.records(len(SPELLED))


@on_both_hosts
def test_a_query_field_that_is_not_for_the_upstream_stays_here(world: World) -> None:
    heads: list[bytes] = []
    relay = world.relay(world.upstream(listening(heads)))
    others = [name for name, (fate, _) in QUERY.items() if fate != "rewritten"]
    names = [*others, "API-KEY", "subscription%2dkey", "Subscription_Key", "Code"]
    for name in names:
        with RawClient(relay.address) as client:
            client.send(call(query=f"&{name}={CANARY}&ours=sings"))
            assert client.read_answer().status == 200, name
        head = heads.pop()
        assert b"?api-version=2024-10-21&ours=sings http/1.1" in head, name
        assert CANARY.encode() not in head, name
    relay.records(len(names))


@on_both_hosts
@pytest.mark.parametrize("place", ["x-api-key", "ocp-apim-subscription-key", "api-key=", "subscription-key="])
def test_a_callers_key_is_found_in_each_of_its_places(world: World, place: str) -> None:
    relay = world.relay()
    query, lines = (f"&{place}{KEY}", []) if place.endswith("=") else ("", [f"{place}: {KEY}"])
    asked = "\r\n".join([f"GET /openai/models?api-version=1{query} HTTP/1.1", "Host: gateway", *lines, "", ""])
    with RawClient(relay.address) as client:
        client.send(asked.encode())
        assert client.read_answer().status == 200
    relay.record()


@on_both_hosts
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("TRACE", "/v1/models", 405, "method_not_allowed"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/Chat/Completions", 404, "unknown_route"),
        ("POST", "/openai/V1/chat/completions", 404, "unknown_route"),
        ("POST", "/openai/Deployments/faulty/chat/completions", 404, "unknown_route"),
        ("POST", "/openai/v1//openai/v1/chat/completions", 404, "unknown_route"),
    ],
)
def test_another_spelling_is_refused_and_recorded(world: World, method: str, path: str, status: int, code: str) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(get_request(path, "Content-Type: application/json", "Content-Length: 2", method=method) + b"{}")
        told = client.read_answer()
    assert (told.status, told.error["code"]) == (status, code)
    assert ("allow" in told.fields) == (status == 405)
    record = relay.record()
    assert (record.outcome, record.error_code, record.attempts) == ("refused", code, 0)


def test_a_method_in_small_letters_is_no_method(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(get_request("/v1/chat/completions", "Content-Length: 2", method="post") + b"{}")
        told = client.read_answer()
    assert (told.status, told.error["code"]) == (501, "unknown_method")
    relay.record()


@on_both_hosts
def test_the_path_that_was_judged_is_recorded_and_sent(world: World) -> None:
    heads: list[bytes] = []
    relay = world.relay(world.upstream(listening(heads)))
    with RawClient(relay.address) as client:
        client.send(get_request("/openai/deployments/faulty/files/%61%2fb%c3%a9?x=1"))
        assert client.read_answer().status == 200
    assert heads.pop().startswith(b"get /openai/deployments/faulty/files/a%2fb%c3%a9?x=1 ")
    assert relay.record().path == "/openai/deployments/faulty/files/a%2Fb%C3%A9"

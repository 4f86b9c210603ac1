"""Pages of other origins: a browser asks beforehand, and reads what it may."""

import pytest

from support.raw_client import RawClient, chat_request
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from support.world import World, on_both_hosts

ORIGIN = "https://chat.example"
CORS = {"cors_origins": [ORIGIN, "https://other.example:8443"]}
PATH = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"


def preflight(*lines: str, origin: str = ORIGIN, path: str = PATH) -> bytes:
    head = [f"OPTIONS {path} HTTP/1.1", "Host: gateway", f"Origin: {origin}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


ASKED = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: api-key,content-type")


@on_both_hosts
@pytest.mark.parametrize("length", [(), ("Content-Length: 0",)], ids=["no length", "length 0"])
def test_a_question_beforehand_is_answered_without_a_key_and_is_no_call(world: World, length: tuple[str]) -> None:
    relay = world.relay(server=CORS)
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(preflight(*ASKED, *length))
            answer = client.read_answer()
            assert (answer.status, answer.body) == (204, b"")
            fields = answer.fields
            assert fields["access-control-allow-origin"] == ORIGIN
            assert "POST" in fields["access-control-allow-methods"].split(", ")
            assert fields["access-control-allow-headers"] == "api-key,content-type"
            assert int(fields["access-control-max-age"]) > 0
            assert "Origin" in fields["vary"]
            assert "access-control-allow-credentials" not in fields
            assert "connection" not in fields
        client.send(chat_request(None, f"Origin: {ORIGIN}"))
        assert client.read_answer().status == 200
    assert [record.outcome for record in relay.records(1)] == ["completed"]
    assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 0


@on_both_hosts
def test_an_answer_says_which_page_may_read_it_and_what(world: World) -> None:
    relay = world.relay(server=CORS)
    with RawClient(relay.address) as client:
        for key in ("wrong", None):
            request = chat_request(None, f"Origin: {ORIGIN}")
            client.send(request if key is None else chat_request(None, f"Origin: {ORIGIN}", key=key))
            answer = client.read_answer()
            assert answer.status == (200 if key is None else 401)
            assert answer.fields["access-control-allow-origin"] == ORIGIN
            assert answer.fields["vary"] == "Origin"
            exposed = answer.fields["access-control-expose-headers"].split(", ")
            assert {"x-tokenweir-call-id", "x-ms-region", "retry-after", "apim-request-id"} <= set(exposed)
    relay.records(2)


def test_what_the_upstream_says_of_it_is_not_said_twice(world: World) -> None:
    theirs = b"\r\nAccess-Control-Allow-Origin: *\r\naccess-control-expose-headers: x\r\nvary: Accept-Encoding\r\n\r\n"

    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(STREAM_HEAD.removesuffix(b"\r\n\r\n") + theirs + chunked(frame("x"), USAGE, DONE) + LAST_CHUNK)

    configured = world.relay(world.upstream(play), server=CORS)
    usual = world.relay(world.upstream(play), folder=world.folder / "usual")
    heads = []
    for relay, line in ((configured, f"Origin: {ORIGIN}"), (configured, "x-other: 1"), (usual, f"Origin: {ORIGIN}")):
        with RawClient(relay.address) as client:
            client.send(chat_request(None, line, "Connection: close", deployment="faulty", stream=True))
            heads.append(client.read_to_end().partition(b"\r\n\r\n")[0].lower())
    ours, without, untouched = heads
    assert ours.count(b"access-control-allow-origin:") == 1
    assert b"access-control-allow-origin: https://chat.example\r\n" in ours
    assert ours.count(b"access-control-expose-headers:") == 1
    assert b"vary: accept-encoding" in ours and b"vary: origin" in ours
    assert b"access-control-allow-origin" not in without and b"vary: origin" in without
    assert b"access-control-allow-origin: *" in untouched and b"vary: origin" not in untouched
    configured.records(2)
    usual.records(1)


@pytest.mark.parametrize(
    ("server", "request_"),
    [
        ({}, preflight(*ASKED)),
        (CORS, preflight(*ASKED, origin="https://evil.example")),
        (CORS, preflight(*ASKED, origin="https://chat.example.evil.example")),
        (CORS, preflight()),
    ],
    ids=["not configured", "another origin", "a longer origin", "no question beforehand"],
)
def test_other_questions_are_answered_as_ever(world: World, server: dict[str, list[str]], request_: bytes) -> None:
    relay = world.relay(server=server)
    with RawClient(relay.address) as client:
        client.send(request_)
        answer = client.read_answer()
    assert answer.status == 401
    assert "access-control-allow-methods" not in answer.fields
    assert relay.record().status == 401


def test_all_origins_can_be_let_in(world: World) -> None:
    relay = world.relay(server={"cors_origins": ["*"]})
    with RawClient(relay.address) as client:
        client.send(preflight(*ASKED, origin="null", path="/nowhere"))
        answer = client.read_answer()
    assert (answer.status, answer.fields["access-control-allow-origin"]) == (204, "*")


def test_names_that_are_none_are_not_repeated(world: World) -> None:
    relay = world.relay(server=CORS)
    with RawClient(relay.address) as client:
        client.send(preflight(ASKED[0], "Access-Control-Request-Headers: a b; c"))
        answer = client.read_answer()
    assert answer.status == 204
    assert "access-control-allow-headers" not in answer.fields

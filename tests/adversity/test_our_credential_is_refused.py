"""Days on which an upstream refuses the gateway itself. No caller hears that a key is wrong whose own key is good."""

import json
import logging
from collections.abc import Iterator

import pytest

from support.identity import IdentityEndpoint, serving_identity
from support.raw_client import RawClient, chat_request, upload_head
from support.relay_thread import RelayThread
from support.scripted import Line, Play
from support.streams import answer
from support.world import World
from tokenweir.records import SystemClock
from tokenweir.upstream import CredentialSettings

WRONG_KEY = b'{"error":{"code":"401","message":"Access denied due to invalid subscription key sk-ours-secret"}}'
NETWORK = b'{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}'
NO_MODEL = b'{"error":{"code":"model_not_found","message":"Project `p` does not have access to model `m`"}}'
HEADERS = ("x-ms-region: Sweden Central", "apim-request-id: r-1", "www-authenticate: Bearer")
UNAUTHORIZED = answer(WRONG_KEY, *HEADERS, status="401 Unauthorized")
FORBIDDEN = answer(NETWORK, *HEADERS, status="403 Forbidden")


def saying(told: bytes) -> Play:
    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(told)

    return play


@pytest.mark.parametrize(
    ("told", "code"), [(UNAUTHORIZED, "upstream_refused_credential"), (FORBIDDEN, "upstream_refused_network")]
)
def test_a_caller_is_told_of_a_502_that_is_not_about_its_key(
    world: World, told: bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    relay = world.relay(world.upstream(saying(told)))
    with caplog.at_level(logging.WARNING), RawClient(relay.address) as client:
        for _ in range(3):
            client.send(chat_request(deployment="faulty"))
            heard = client.read_answer()
            assert (heard.status, heard.error["code"], heard.error["type"]) == (502, code, "upstream_error")
            assert "not your key" in str(heard.error["message"])
            assert not {"www-authenticate", "x-ms-region", "apim-request-id"} & set(heard.fields)
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [message for message in said if "upstream faulty-0 does not" in message] == said[:1]
    assert "secret" not in "".join(said)
    assert relay.inside(lambda: relay.process.data_plane.services.refusals.count) == 3

    for record in relay.records(3):
        assert (record.outcome, record.status, record.error_code) == ("upstream_error", 502, code)
        assert (record.usage.source, record.attempts, record.backend) == ("none", 1, "faulty-0")
        assert (record.region, record.upstream_request_id) == ("Sweden Central", "r-1")
        assert record.trace is not None
        assert [(one.status, one.error) for one in record.trace.attempts] == [(int(told[9:12]), None)]


def test_the_log_says_it_again_after_a_minute_with_how_often(world: World, caplog: pytest.LogCaptureFixture) -> None:
    relay = world.relay(world.upstream(saying(UNAUTHORIZED)))
    with caplog.at_level(logging.WARNING), RawClient(relay.address) as client:
        for jump in (0, 30, 31):
            relay.jump(jump)
            client.send(chat_request(deployment="faulty"))
            assert client.read_answer().status == 502
    said = [one.getMessage() for one in caplog.records if "does not accept" in one.getMessage()]
    assert len(said) == 2 and "2 times since" in said[1]
    relay.records(3)


def test_another_target_is_tried_first(world: World) -> None:
    relay = world.relay(world.upstream(saying(UNAUTHORIZED)), world.upstream(saying(FORBIDDEN)), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert client.read_answer().status == 200
    record = relay.record()

    assert (record.outcome, record.backend, record.attempts) == ("completed", "sim", 3)


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    """To be asked for before the world, which needs it until its own end."""
    with serving_identity(SystemClock(), monkeypatch) as endpoint:
        yield endpoint


def identified(world: World, identity: IdentityEndpoint, play: Play) -> RelayThread:
    """A relay that signs in at its two upstreams with a managed identity, and has a token for each."""
    settings = {"credential": CredentialSettings(managed_identity=True)}
    relay = world.relay(world.upstream(play), upstream_settings=settings)
    identity.clock = relay.clock
    upstreams = relay.process.data_plane.services.upstreams.values()
    relay.until(lambda: all(upstream.credential.is_ready for upstream in upstreams))
    return relay


def test_a_token_that_is_refused_is_replaced_and_the_caller_does_not_notice(
    identity: IdentityEndpoint, world: World
) -> None:
    def play(line: Line) -> None:
        while True:
            head, _ = line.read_request()
            is_good = b"authorization: bearer token-3\r\n" in head
            line.send(answer(b'{"choices":[]}') if is_good else UNAUTHORIZED)

    relay = identified(world, identity, play)
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(chat_request(deployment="faulty"))
            assert client.read_answer().status == 200
    first, second = relay.records(2)
    assert (first.outcome, first.attempts) == ("completed", 2)
    assert (second.outcome, second.attempts) == ("completed", 1)
    assert len(identity.requests) == 3
    assert relay.inside(lambda: relay.process.data_plane.services.refusals.count) == 0


def test_an_identity_that_may_not_come_in_is_not_asked_for_token_after_token(
    identity: IdentityEndpoint, world: World
) -> None:
    relay = identified(world, identity, saying(UNAUTHORIZED))
    with RawClient(relay.address) as client:
        for _ in range(3):
            client.send(chat_request(deployment="faulty"))
            heard = client.read_answer()
            assert (heard.status, heard.error["code"]) == (502, "upstream_refused_credential")
    assert [record.attempts for record in relay.records(3)] == [2, 1, 1]
    assert len(identity.requests) == 3


def test_a_403_about_the_request_is_passed_on_as_it_is(world: World) -> None:
    relay = world.relay(world.upstream(saying(answer(NO_MODEL, status="403 Forbidden"))), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        heard = client.read_answer()
    assert (heard.status, heard.body) == (403, NO_MODEL)
    assert (relay.record().status, relay.record().attempts) == (403, 1)


@pytest.mark.parametrize("told", [UNAUTHORIZED, FORBIDDEN])
def test_with_the_callers_own_credential_every_answer_is_the_callers(world: World, told: bytes) -> None:
    settings = {"credential": CredentialSettings(pass_through=True)}
    relay = world.relay(world.upstream(saying(told)), then_sim=True, upstream_settings=settings)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        heard = client.read_answer()
    assert heard.body == told.partition(b"\r\n\r\n")[2]
    assert heard.fields["x-ms-region"] == "Sweden Central"
    assert relay.record().status == heard.status


def test_an_upload_that_was_not_whole_yet_is_answered_too(world: World) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(UNAUTHORIZED)
        line.wait_closed()

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(upload_head(1000, deployment="faulty") + b"x" * 500)
        heard = client.read_answer()
    assert (heard.status, json.loads(heard.body)["error"]["code"]) == (502, "upstream_refused_credential")
    assert relay.record().status == 502

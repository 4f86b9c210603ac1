"""Who comes to a port with the wrong protocol is told so, and who says nothing is not waited for."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.raw_client import RawClient, chat_request
from support.relay_thread import RelayThread
from support.websocket_frames import CLOSE, MASK, asks, event_frame, frame
from support.world import World

Secure = Callable[[], RelayThread]


@pytest.fixture
def secure(world: World, tmp_path: Path) -> Secure:
    def relay() -> RelayThread:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        pem = str(tmp_path / "certificate.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(pem)
        world.tls = ssl.create_default_context()
        authority.configure_trust(world.tls)
        return world.relay(server={"certificate": pem, "private_key": pem})

    return relay


def test_plain_http_on_a_tls_port_is_answered_in_plain_http_with_the_fix(secure: Secure) -> None:
    relay = secure()
    with RawClient(relay.address) as client:
        client.send(chat_request())
        answer = client.read_answer()
        assert client.is_closed()
    assert (answer.status, answer.error["code"], answer.fields["connection"]) == (400, "malformed_request", "close")
    assert "this port speaks TLS" in str(answer.error["message"]) and "https://" in str(answer.error["message"])
    record = relay.record()
    assert (record.outcome, record.status, record.caller, record.attempts) == ("refused", 400, None, 0)


def test_a_whole_upload_in_plain_http_does_not_lose_the_answer(secure: Secure) -> None:
    relay = secure()
    with RawClient(relay.address) as client:
        client.send(chat_request(body=b"x" * 300_000))
        assert client.read_answer().status == 400
    assert relay.record().status == 400


def test_what_is_neither_is_told_so(secure: Secure) -> None:
    relay = secure()
    with RawClient(relay.address) as client:
        client.send(b"\x00\x01\x02 nonsense\r\n\r\n")
        assert client.read_answer().status == 400
    assert relay.record().status == 400


def test_a_handshake_that_fails_costs_nobody_else_anything(world: World, secure: Secure) -> None:
    relay = secure()
    with RawClient(relay.address) as client:
        client.send(b"\x16\x03\x01\x00\x05hello")
        client.is_closed()
    with pytest.raises(ssl.SSLError), RawClient(relay.address, ssl.create_default_context()):
        pass  # it does not trust the certificate
    with RawClient(relay.address):
        pass  # it says nothing
    relay.until(lambda: not relay.process.data_plane.services.tasks.under_way)
    assert relay.inside(lambda: len(relay.process.data_plane.clients)) == 0


def test_tls_on_a_plain_port_is_told_in_words(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        error = json.loads(client.read_answer().body)["error"]
        assert client.is_closed()
    assert "this port speaks plain HTTP, and the client began a TLS handshake" in error["message"]
    assert relay.record().error_code == "malformed_request"


def test_a_websocket_over_tls_passes_in_both_directions(world: World, secure: Secure) -> None:
    relay = secure()
    with RawClient(relay.address, world.tls) as client:
        client.send(asks("/openai/v1/realtime?model=gpt-4o"))
        assert client.read_head()[0] == 101
        client.read_until(b"session.created")
        client.send(event_frame(MASK, type="response.create"))
        client.read_until(b"response.done")
        client.send(frame(CLOSE, b"\x03\xe8", mask=MASK))
        client.read_until(frame(CLOSE, b"\x03\xe8"))
    response, session = relay.records(2)
    assert (response.usage.source, session.outcome) == ("reported", "completed")

"""Days on which clients do what HTTP allows and few of them do."""

import ssl
import threading
from hashlib import sha256
from pathlib import Path

import pytest
import trustme

from support.raw_client import RawClient, chat_request, get_request, upload_head
from support.relay_thread import KEY
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World, on_both_hosts
from tokenweir.simulator import Script, SimulatorSettings, running_simulator

BODY = b'{"messages":[{"role":"user","content":"What does a weir do?"}]}'
PARTS = (
    b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n',
    bytes(range(256)) * 20_480,  # 5 MB
    b"\r\n--frontier--\r\n",
)


def in_chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return chunked(*pieces) + LAST_CHUNK


def chat_head(*lines: str, key: str = KEY) -> bytes:
    """A chat call's head without a length."""
    return get_request(
        "/openai/deployments/gpt-4o/chat/completions?api-version=1", "Content-Type: application/json", *lines,
        key=key, method="POST",
    )  # fmt: skip


def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    relay = world.relay()
    requests = [
        chat_request(Script(output_tokens=3), world.named("1")),
        chat_head("Transfer-Encoding: chunked", "x-simulate: {}", world.named("2")) + in_chunks(BODY, 7),
        get_request("/openai/models?api-version=1", world.named("3")),
        chat_request(Script(output_tokens=5), world.named("4"), stream=True),
        get_request("/nowhere", world.named("5")),
        chat_request(None, world.named("6"), key="nobody's"),
        chat_request(Script(output_tokens=7), world.named("7")),
    ]
    with RawClient(relay.address) as client:
        client.send(b"".join(requests))
        answers = [client.read_answer() for _ in requests]
    records = {record.call_id: record for record in relay.records(7)}

    assert [told.status for told in answers] == [200, 200, 200, 200, 404, 401, 200]
    assert answers[3].fields["content-type"].startswith("text/event-stream")
    ours = [records[told.fields["x-tokenweir-call-id"]] for told in answers]
    assert [record.usage.output_tokens for record in ours if record.api == "chat_completions"][:1] == [3]
    assert [record.usage.output_tokens for record in (ours[0], ours[3], ours[6])] == [3, 5, 7]
    names = ["1", "2", "3", "4", "7"]
    assert [world.sent(name).id for name in names] == [
        told.fields["apim-request-id"] for told in answers if "apim-request-id" in told.fields
    ]


@on_both_hosts
def test_a_request_in_pieces_of_one_byte(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        for byte in chat_head("Transfer-Encoding: chunked") + in_chunks(BODY, 3) + chat_request():
            client.send(bytes([byte]))
        assert [client.read_answer().status for _ in range(2)] == [200, 200]
    assert [record.bytes_in for record in relay.records(2)][:1] == [len(BODY)]


@pytest.mark.parametrize("version", ["keep-alive", "close"])
def test_a_client_that_speaks_http_1_0(world: World, version: str) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(None, f"Connection: {version}", version="1.0"))
        told = client.read_answer()
        assert (told.status, told.fields["connection"]) == (200, version)
        if version == "keep-alive":
            client.send(chat_request(Script(output_tokens=20), stream=True, version="1.0"))
            told = client.read_answer()
            assert "transfer-encoding" not in told.fields
            assert told.body.endswith(DONE)
        assert client.is_closed()
    assert {record.outcome for record in relay.records(1 + (version == "keep-alive"))} == {"completed"}


def test_a_stream_that_breaks_does_not_look_whole_to_a_client_that_speaks_http_1_0(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("half")))

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True, version="1.0"))
        with pytest.raises(ConnectionResetError):
            client.read_answer()
    assert relay.record().outcome == "upstream_broken"


@on_both_hosts
def test_a_client_that_asks_to_close(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(None, "Connection: close") + chat_request())
        told = client.read_answer()
        assert (told.status, told.fields["connection"]) == (200, "close")
        assert client.is_closed()
    assert relay.record().outcome == "completed"


@on_both_hosts
def test_a_client_that_waits_to_be_told_to_go_on(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        for head, body in (
            (chat_head(f"Content-Length: {len(BODY)}", "Expect: 100-continue"), BODY),
            (chat_head("Transfer-Encoding: chunked", "Expect: 100-Continue"), in_chunks(BODY, 10)),
            (upload_head(4, "Expect: 100-continue"), b"file"),
        ):
            client.send(head)
            assert client.read_head() == (100, {})
            client.send(body)
            assert client.read_answer().status == 200
    assert {record.outcome for record in relay.records(3)} == {"completed"}


@on_both_hosts
@pytest.mark.parametrize("kind", ["chat", "upload", "too large", "too large a file", "no deployment"])
def test_a_client_that_waits_is_refused_before_it_sends_its_body(world: World, kind: str) -> None:
    head, status = {
        "chat": (chat_head(f"Content-Length: {len(BODY)}", "Expect: 100-continue", key="nobody's"), 401),
        "upload": (upload_head(10**9, "Expect: 100-continue", key="nobody's"), 401),
        "too large": (chat_head(f"Content-Length: {10**9}", "Expect: 100-continue"), 413),
        "too large a file": (upload_head(10**9, "Expect: 100-continue"), 413),
        "no deployment": (upload_head(10**8, "Expect: 100-continue", deployment="none"), 404),
    }[kind]
    relay = world.relay(world.upstream(lambda line: None))
    with RawClient(relay.address) as client:
        client.send(head)
        told = client.read_answer()
        assert (told.status, told.fields["connection"]) == (status, "close")
        relay.jump(3)
        assert client.is_closed()
    assert (relay.record().outcome, relay.record().status, relay.record().bytes_in) == ("refused", status, 0)


@on_both_hosts
def test_a_refused_client_that_does_not_wait_keeps_its_connection(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(key="nobody's")[:-10])
        client.send(chat_request()[-10:])
        assert client.read_answer().status == 401
        client.send(chat_request())
        assert client.read_answer().status == 200
    assert [record.status for record in relay.records(2)] == [401, 200]


@on_both_hosts
def test_head_and_get_and_delete(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(get_request("/openai/models?api-version=1"))
        models = client.read_answer()
        assert (models.status, models.fields["x-ms-stream"]) == (200, "False")
        assert b"gpt-4o" in models.body
        client.send(get_request("/openai/models?api-version=1", method="HEAD"))
        told = client.read_answer(has_body=False)
        assert (told.status, told.fields["content-length"]) == (200, str(len(models.body)))
        client.send(get_request("/nowhere", method="HEAD"))
        assert client.read_answer(has_body=False).status == 404
        client.send(get_request("/openai/assistants/asst_1?api-version=1", method="DELETE"))
        assert client.read_answer().status == 200
    records = relay.records(4)

    assert [record.method for record in records] == ["GET", "HEAD", "HEAD", "DELETE"]
    assert [record.operation for record in records] == ["models", "models", "", "assistants"]
    assert {record.usage.source for record in records} == {"none"}


@on_both_hosts
@pytest.mark.parametrize("told", ["204 No Content", "304 Not Modified", "200 OK"])
def test_an_answer_without_a_body(world: World, told: str) -> None:
    length = "content-length: 0\r\n" if told == "200 OK" else ""

    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(f"HTTP/1.1 {told}\r\n{length}\r\n".encode())

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(chat_request(deployment="faulty"))
            assert client.read_answer().status == int(told[:3])
    assert [record.bytes_out for record in relay.records(2)] == [0, 0]


@on_both_hosts
@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_an_upload_of_five_megabytes_is_passed_through_as_it_comes(world: World, kind: str) -> None:
    whole = b"".join(PARTS)
    relay = world.relay(server={"max_body": 1000})  # which is for bodies that have to be held
    with RawClient(relay.address) as client:
        client.send(upload_head(len(whole) if kind == "length" else None, world.named("upload")))
        client.send(whole if kind == "length" else in_chunks(whole, 100_000))
        told = client.read_answer()
    record = relay.record()

    assert told.status == 200
    assert sha256(whole).hexdigest().encode() in told.body
    assert (record.outcome, record.operation, record.bytes_in) == ("completed", "uploads", len(whole))
    assert (record.usage.source, record.stream, record.deployment) == ("none", False, "gpt-4o")
    assert record.upstream_request_id == world.sent("upload").id


def test_an_upload_is_not_held_in_memory(world: World) -> None:
    def play(line: Line) -> None:
        line.read_head()
        assert line.read(1000) == b"x" * 1000
        here.set()
        assert line.read(1000) == b"y" * 1000
        line.send(answer(b"{}"))

    here = threading.Event()
    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(upload_head(2000, deployment="faulty") + b"x" * 1000)
        assert here.wait(20)
        client.send(b"y" * 1000)
        assert client.read_answer().body == b"{}"
    assert relay.record().outcome == "completed"


def test_tls_on_the_data_port(world: World, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    files = {"certificate": str(tmp_path / "certificate.pem"), "private_key": str(tmp_path / "key.pem")}
    relay = world.relay(server=files)
    world.tls = trusting
    with RawClient(relay.address, trusting) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        client.send(chat_request() + chat_request(Script(output_tokens=30), stream=True))
        assert client.read_answer().status == 200
        assert client.read_answer().body.endswith(DONE)
    with RawClient(relay.address, trusting) as client:
        client.send(chat_request(Script(output_tokens=600, hang_after=5), world.named("gone"), stream=True))
        assert client.read_head()[0] == 200
        client.read_chunk()
    assert not world.sent("gone").finished
    assert [record.outcome for record in relay.records(3)] == ["completed", "completed", "client_gone"]


def test_tls_to_an_upstream_of_our_own_authority(world: World, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "simulator.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    pem = str(tmp_path / "simulator.pem")
    with running_simulator(SimulatorSettings(certificate=pem, private_key=pem)) as secure:
        relay = world.relay(secure.url, upstream_settings={"ca_bundle": str(tmp_path / "authority.pem")})
        with RawClient(relay.address) as client:
            for stream in (False, True):
                client.send(chat_request(Script(output_tokens=50), deployment="faulty", stream=stream))
                assert client.read_answer().status == 200
        assert [record.usage.output_tokens for record in relay.records(2)] == [50, 50]
        stranger = world.relay(secure.url, folder=tmp_path / "stranger")
        with RawClient(stranger.address) as client:
            client.send(chat_request(deployment="faulty"))
            told = client.read_answer()
            assert (told.status, told.error["code"]) == (502, "upstream_unreachable")
            assert "the TLS handshake failed" in str(told.error["message"])
        assert stranger.record().outcome == "upstream_error"


@on_both_hosts
def test_usage_that_was_not_asked_for_is_taken_out_however_the_stream_is_cut(world: World) -> None:
    events = frame("one"), frame("two"), USAGE, DONE

    def play(line: Line) -> None:
        head, body = line.read_request()
        assert b'"include_usage":true' in body
        line.send(STREAM_HEAD)
        for byte in b"".join(events):
            line.send(chunked(bytes([byte])))
        line.send(LAST_CHUNK)

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_answer().body == b"".join(events).replace(USAGE, b"")
    assert relay.record().usage.total_tokens == 16

"""Days on which what comes is not HTTP as we accept it: answered, recorded, closed, and nothing is passed on."""

import ssl

import pytest

from support.raw_client import RawClient, chat_request, upload_head
from support.relay_thread import KEY, RelayThread
from support.scripted import Line
from support.streams import STREAM_HEAD, chunked, frame
from support.world import World, on_both_hosts
from tokenweir.deployments import DeploymentSettings, TargetSettings

PATH = b"/openai/deployments/gpt-4o/chat/completions?api-version=1"
BODY = b'{"messages":[{"role":"user","content":"hi"}]}'
SERVER = {"max_head": 8192, "max_body": 1000}


def post(*lines: bytes, body: bytes = b"", path: bytes = PATH) -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: gateway", b"api-key: " + KEY.encode()]
    return b"\r\n".join([*head, b"Content-Type: application/json", *lines, b"", b""]) + body


def of_length(body: bytes = BODY, *lines: bytes) -> bytes:
    return post(b"Content-Length: %d" % len(body), *lines, body=body)


def to(path: bytes) -> bytes:
    return post(b"Content-Length: %d" % len(BODY), body=BODY, path=path)


def first(line: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: gateway", b"api-key: " + KEY.encode(), *lines, b"", b""])


def hello() -> bytes:
    """How a TLS client begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="gateway.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


CHUNKED = b"Transfer-Encoding: chunked"

NONSENSE = {
    # where the body ends
    "length and chunked": post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n"),
    "chunked and length": post(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 45", b"Content-Length: 46", body=BODY),
    "the same length twice": post(b"Content-Length: 45", b"Content-Length: 45", body=BODY),
    "a list of lengths": post(b"Content-Length: 45, 45", body=BODY),
    "a negative length": post(b"Content-Length: -1"),
    "a length with a sign": post(b"Content-Length: +45", body=BODY),
    "a hexadecimal length": post(b"Content-Length: 0x2d", body=BODY),
    "a length beyond all measure": post(b"Content-Length: " + b"9" * 40),
    "gzip before chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "a coding like chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunked in HTTP/1.0": b"POST " + PATH + b" HTTP/1.0\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n",
    # chunks
    "a chunk size that is none": post(CHUNKED, body=b"zz\r\n" + BODY),
    "a chunk size with a sign": post(CHUNKED, body=b"+2d\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with 0x": post(CHUNKED, body=b"0x2d\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an empty chunk size": post(CHUNKED, body=b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size without end": post(CHUNKED, body=b"1" * 400),
    "a chunk size beyond all measure": post(CHUNKED, body=b"f" * 16 + b"\r\n" + BODY),
    "a chunk longer than it says": post(CHUNKED, body=b"2\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk ended by a line feed": post(CHUNKED, body=b"2d\n" + BODY + b"\r\n0\r\n\r\n"),
    "a trailer that is no header": post(CHUNKED, body=b"2d\r\n" + BODY + b"\r\n0\r\nno header\r\n\r\n"),
    "trailers without end": post(CHUNKED, body=b"0\r\n" + b"x-a: b\r\n" * 2000),
    # lines
    "a folded line": of_length(BODY, b"X-A: 1", b" folded"),
    "a bare line feed between lines": of_length(BODY, b"X-A: 1\nX-B: 2"),
    "bare line feeds only": b"GET /openai/models HTTP/1.1\nHost: x\n\n",
    "a bare carriage return": of_length(BODY, b"X-A: 1\rX-B: 2"),
    "a NUL in a value": of_length(BODY, b"X-A: 1\x00"),
    "a NUL in a name": of_length(BODY, b"X\x00A: 1"),
    "a value beyond ASCII": of_length(BODY, "X-A: é".encode()),
    "a name beyond ASCII": of_length(BODY, "X-É: 1".encode()),
    "a blank before the colon": post(b"Content-Length : 45", body=BODY),
    "a line without a colon": of_length(BODY, b"X-A"),
    "no host": b"GET /openai/models HTTP/1.1\r\n\r\n",
    "two hosts": of_length(BODY, b"Host: other"),
    "two keys": of_length(BODY, b"api-key: other"),
    # the first line
    "an absolute target": first(b"GET http://other.example/openai/models HTTP/1.1"),
    "an authority as target": first(b"CONNECT other.example:443 HTTP/1.1"),
    "an asterisk": first(b"OPTIONS * HTTP/1.1"),
    "a NUL in the target": first(b"GET /openai/mo\x00dels HTTP/1.1"),
    "a target beyond ASCII": first("GET /openai/modèles HTTP/1.1".encode()),
    "a blank in the target": first(b"GET /openai/models x HTTP/1.1"),
    "HTTP/0.9": b"GET /openai/models\r\n\r\n",
    "HTTP/1.2": first(b"GET /openai/models HTTP/1.2"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "a TLS handshake": hello(),
    "a method as long as a book": first(b"G" * 100 + b" /openai/models HTTP/1.1"),
    # the path
    "a climb in the deployment": to(b"/openai/deployments/../../admin"),
    "a climb, encoded": to(b"/openai/deployments/%2e%2e/chat/completions"),
    "a climb, half encoded": to(b"/openai/deployments/.%2E/chat/completions"),
    "a climb, encoded twice": to(b"/openai/deployments/%252e%252e/chat/completions"),
    "a climb with a parameter": to(b"/openai/deployments/..;x/chat/completions"),
    "a slash in the deployment": to(b"/openai/deployments/gpt-4o%2f..%2fother/chat/completions"),
    "a backslash in the deployment": to(b"/openai/deployments/gpt-4o%5cother/chat/completions"),
    "a NUL in the deployment": to(b"/openai/deployments/gpt-4o%00/chat/completions"),
    "a line feed in the deployment": to(b"/openai/deployments/gpt-4o%0d%0ax-a:%20b/chat/completions"),
    "a question mark in the deployment": to(b"/openai/deployments/gpt-4o%3fx/chat/completions"),
    "a deployment beyond ASCII": to(b"/openai/deployments/gpt-4%C3%B6/chat/completions"),
    "an empty segment": to(b"/openai//deployments/gpt-4o/chat/completions"),
    "a climb in the tail": to(b"/openai/deployments/gpt-4o/chat/../../../keys"),
    "a path as long as a book": to(b"/openai/deployments/gpt-4o/" + b"x" * 3000),
}


def refused(relay: RelayThread, sent: bytes) -> tuple[int, str]:
    """Sends it, and reads an answer in OpenAI's error shape after which the relay closes."""
    with RawClient(relay.address) as client:
        client.send(sent)
        told = client.read_answer()
        assert told.fields["content-type"] == "application/json"
        assert told.fields["connection"] == "close"
        assert told.error["type"] == "invalid_request_error"
        assert KEY not in told.body.decode()
        assert client.is_closed()
    record = relay.record()

    assert told.fields["x-tokenweir-call-id"] == record.call_id
    assert (record.outcome, record.status, record.error_code) == ("refused", told.status, told.error["code"])
    assert (record.attempts, record.backend, record.usage.source) == (0, None, "none")
    return told.status, str(record.error_code)


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(world: World, name: str) -> None:
    known = len(world.sim.calls)
    relay = world.relay(server=SERVER)

    assert refused(relay, NONSENSE[name]) == (400, "malformed_request")
    assert len(world.sim.calls) == known


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_behind_a_good_request_is_refused_and_the_good_one_answered(world: World, name: str) -> None:
    relay = world.relay(server=SERVER)
    with RawClient(relay.address) as client:
        client.send(chat_request() + NONSENSE[name])
        assert client.read_answer().status == 200
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (400, "malformed_request")
        assert client.is_closed()
    assert sorted(record.outcome for record in relay.records(2)) == ["completed", "refused"]


TOO_MUCH = {
    "a header line too long": (of_length(BODY, b"x-a: " + b"x" * 9000), 431),
    "a flood of header lines": (of_length(BODY, *(b"x-%d: y" % number for number in range(2000))), 431),
    "a first line without end": (b"GET /openai/models?" + b"x" * 9000, 431),
    "a length beyond the limit": (of_length(b"x" * 1001), 413),
    "a length far beyond the limit, and no body": (post(b"Content-Length: 900000000000"), 413),
    "chunks beyond the limit in one piece": (post(CHUNKED, body=b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"), 413),
    "chunks beyond the limit": (post(CHUNKED, body=b"64\r\n" + b"x" * 100 + b"\r\n") + b"64\r\n" + b"x" * 9_000, 400),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_refused(world: World, name: str) -> None:
    known = len(world.sim.calls)
    sent, status = TOO_MUCH[name]

    assert refused(world.relay(server=SERVER), sent)[0] == status
    assert len(world.sim.calls) == known


@on_both_hosts
def test_a_body_exactly_as_large_as_allowed_passes_and_one_byte_more_does_not(world: World) -> None:
    relay = world.relay(server=SERVER)
    exact = BODY + b" " * (1000 - len(BODY))
    in_chunks = post(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(exact), exact))
    too_large = post(CHUNKED, body=b"%x\r\n%b \r\n0\r\n\r\n" % (len(exact) + 1, exact))
    with RawClient(relay.address) as client:
        for sent in (of_length(exact), in_chunks):
            client.send(sent)
            assert client.read_answer().status == 200
        client.send(too_large)
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (413, "request_body_too_large")
        assert client.is_closed()
    assert [record.bytes_in for record in relay.records(3)[:2]] == [1000, 1000]


def test_a_stranger_cannot_send_without_end(world: World) -> None:
    relay = world.relay(server=SERVER)
    with RawClient(relay.address) as client:
        head = post(CHUNKED).replace(KEY.encode(), b"nobody's")
        client.send(head + (b"64\r\n" + b"x" * 100 + b"\r\n") * 20)  # and its end never comes
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (401, "invalid_api_key")
        relay.jump(3)
        assert client.is_closed()
    assert (relay.record().outcome, relay.record().caller) == ("refused", None)


def test_a_head_that_never_comes_whole(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        for piece in (b"POST ", b"/openai/", b"deployments"):  # a byte now and then does not buy time
            client.send(piece)
            relay.until(lambda: any(one._reader.waiting for one in relay.process.data_plane.clients))
            relay.jump(10.1)
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (408, "request_timeout")
        assert client.is_closed()
    assert (relay.record().outcome, relay.record().status) == ("refused", 408)


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_body_that_stops_coming(world: World, kind: str) -> None:
    known = len(world.sim.calls)
    sent = of_length() if kind == "length" else post(CHUNKED, body=b"2d\r\n" + BODY + b"\r\n")
    relay = world.relay(server={"min_body_rate": 0})
    with RawClient(relay.address) as client:
        client.send(sent[:-9])
        relay.until(lambda: relay.process.data_plane.calls)
        relay.jump(29)
        client.send(sent[-9:-8])  # a body may come slowly, a head may not
        relay.until(lambda: any(one._bytes_seen == len(sent) - 8 for one in relay.process.data_plane.clients))
        relay.jump(29)
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
        relay.jump(2)
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (408, "request_timeout")
        relay.jump(3)
        assert client.is_closed()
    assert (relay.record().outcome, relay.record().attempts) == ("refused", 0)
    assert len(world.sim.calls) == known


@pytest.mark.parametrize("trouble", ["stalls", "breaks"])
@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "answered"])
def test_an_upload_goes_wrong_on_its_way(world: World, trouble: str, answered: bool) -> None:
    def play(line: Line) -> None:
        line.read_head()
        if answered:
            line.send(STREAM_HEAD + chunked(frame("began")))
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream)
    with RawClient(relay.address) as client:
        client.send(upload_head(None, deployment="faulty") + b"4\r\nbody\r\n")
        relay.until(
            lambda: [
                call for call in relay.process.data_plane.calls if call.dispatch is not None and call.dispatch.attempts
            ]
        )
        if answered:
            assert client.read_head()[0] == 200
            assert b"began" in client.read_chunk()
        if trouble == "stalls":
            relay.jump(31)
        else:
            client.send(b"no chunk\r\n")
        upstream.wait_for_end()
        if answered:
            with pytest.raises(EOFError):
                client.read_chunk()
        else:
            told = client.read_answer()
            assert told.status == (408 if trouble == "stalls" else 400)
            relay.jump(3)
            assert client.is_closed()
    record = relay.record()

    code = "request_timeout" if trouble == "stalls" else "malformed_request"
    assert (record.outcome, record.error_code, record.attempts) == ("refused", code, 1)
    assert record.status == (200 if answered else 408 if trouble == "stalls" else 400)


@pytest.mark.parametrize("used", [False, True], ids=["never used", "used"])
def test_an_idle_connection_is_closed(world: World, used: bool) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        if used:
            client.send(chat_request())
            assert client.read_answer().status == 200
        relay.until(lambda: relay.process.data_plane.clients)
        relay.jump(74)
        assert relay.inside(lambda: len(relay.process.data_plane.clients)) == 1
        relay.jump(2)
        assert client.is_closed()
    assert len(relay.records(int(used))) == used


@on_both_hosts
def test_a_body_is_no_json_object(world: World) -> None:
    known = len(world.sim.calls)
    deep = b'{"messages":' + b"[" * 100_000
    bodies = [b"", b"[1]", b"null", b"{", b'{"a":1} {"b":2}', b"\xff\xfe", deep, deep + b"]" * 100_000 + b"}"]
    relay = world.relay()
    with RawClient(relay.address) as client:
        for body in bodies:
            client.send(of_length(body))
            told = client.read_answer()
            assert (told.status, told.error["code"]) == (400, "invalid_json"), body
    assert {record.outcome for record in relay.records(len(bodies))} == {"refused"}
    assert len(world.sim.calls) == known


HALVES = {
    "model": b'{"model":"\\ud83d","messages":[{"role":"user","content":"\\ud83d"}]}',
    "name": b'{"\\ud83d":1,"messages":[],"model":"gpt-4o","stream":true}',
    "option": b'{"stream_options":{"\\ud83d":1},"messages":[],"model":"gpt-4o","stream":true}',
}
ALIAS = [DeploymentSettings("gpt-4o", [TargetSettings("sim", "gpt-4o-sweden")])]


@pytest.mark.parametrize("deployments", [[], ALIAS], ids=["", "alias"])
@pytest.mark.parametrize(
    "path", [PATH, b"/openai/v1/chat/completions", b"/openai/responses?api-version=1", b"/v1/files"]
)
@pytest.mark.parametrize("name", HALVES)
def test_half_an_emoji_in_the_wrong_place(
    world: World, path: bytes, name: str, deployments: list[DeploymentSettings]
) -> None:
    body = HALVES[name]
    relay = world.relay(journal={"content": "full"}, deployments=deployments)
    with RawClient(relay.address) as client:
        client.send(post(b"Content-Length: %d" % len(body), body=body, path=path))
        told = client.read_answer()
    record = relay.record()

    assert record.status == told.status < 500
    assert record.request_body == body.decode()

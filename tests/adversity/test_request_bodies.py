"""Bodies that are large, packed, or too many at once."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from support.raw_client import RawClient
from support.relay_thread import KEY, RelayThread
from support.scripted import Line
from support.streams import answer
from support.world import World, on_both_hosts
from tokenweir.deployments import DeploymentSettings, TargetSettings

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"What does a weir do?"}]}'
REPLY = answer(b'{"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}')


def post(body: bytes, *lines: bytes, path: bytes = b"/openai/v1/chat/completions") -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: gateway", b"api-key: " + KEY.encode()]
    head += [b"Content-Type: application/json", b"Content-Length: %d" % len(body), *lines, b"", b""]
    return b"\r\n".join(head) + body


class Heard:
    """An upstream that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []

    def play(self, line: Line) -> None:
        while True:
            self.requests.append(line.read_request())
            line.send(REPLY)


def relay_before(world: World, heard: Heard, **server: int) -> RelayThread:
    upstream = world.upstream(heard.play)
    names = [DeploymentSettings("gpt-4o", [TargetSettings("faulty-0", "gpt-there")])]
    names.append(DeploymentSettings("sim", [TargetSettings("sim")]))
    return world.relay(upstream, deployments=names, server=server)


def held(relay: RelayThread) -> int:
    return relay.inside(lambda: relay.process.data_plane.services.bodies.used)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def in_members(data: bytes) -> bytes:
    return gzip.compress(data[:20], mtime=0) + gzip.compress(data[20:], mtime=0)


LARGE = json.dumps(
    {"messages": [{"role": "user", "content": "x" * 700_000}, {"model": ["no", {"it": '"'}]}], "stream": True}
).encode()


@on_both_hosts
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_large_bodys_members_are_changed_and_no_other_byte(world: World, before: bytes) -> None:
    heard = Heard()
    relay = relay_before(world, heard)
    body = LARGE[:-1] + b', "mod\\u0065l" : "gpt-4o" , "service_tier":"flex"}\n'
    with RawClient(relay.address) as client:
        client.send(post(before + body))
        assert client.read_answer().status == 200
    changed = LARGE[:-1] + b', "mod\\u0065l" : "gpt-there" , "service_tier":"flex"'
    assert heard.requests[0][1] == changed + b',"stream_options":{"include_usage":true}}\n'
    record = relay.record()
    assert (record.requested_model, record.stream, record.requested_service_tier) == ("gpt-4o", True, "flex")
    assert (record.usage.input_tokens, record.usage.source, held(relay)) == (7, "reported", 0)


@pytest.mark.parametrize("end", [b',"model":"a","model":"b"}', b',"a":1', b"}}", b',"a":1} x', b',"x":' + b"[" * 2000])
def test_a_large_body_that_is_no_object_is_refused(world: World, end: bytes) -> None:
    heard = Heard()
    relay = relay_before(world, heard)
    with RawClient(relay.address) as client:
        client.send(post(LARGE[:-1] + end))
        told = client.read_answer()
    assert (told.status, told.error["code"]) == (400, "invalid_json")
    assert (relay.record().outcome, heard.requests, held(relay)) == ("refused", [], 0)


def test_a_large_body_in_the_smallest_pieces(world: World) -> None:
    heard = Heard()
    relay = relay_before(world, heard)
    body = BODY[:-1] + b', "x":"' + b"y" * 300_000 + b'"}'
    chunked = b"".join(b"7\r\n" + body[at : at + 7].ljust(7) + b"\r\n" for at in range(0, len(body), 7))
    with RawClient(relay.address) as client:
        client.send(post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + chunked + b"0\r\n\r\n")
        assert client.read_answer().status == 200
    assert relay.record().bytes_in >= len(body)
    assert heard.requests[0][1].rstrip() == body.replace(b"gpt-4o", b"gpt-there")


@on_both_hosts
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"X-GZip", gzip.compress),
        (b"gzip", in_members),
        (b"deflate", zlib.compress),
        (b"deflate", bare),
        (b"identity", bytes),
    ],
)
@pytest.mark.parametrize("body", [BODY, LARGE[:-1] + b',"model":"gpt-4o"}'], ids=["small", "large"])
def test_a_packed_body_is_read_and_sent_on_as_it_is(
    world: World, encoding: bytes, pack: Callable[[bytes], bytes], body: bytes
) -> None:
    heard = Heard()
    relay = relay_before(world, heard)
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(post(pack(body), b"Content-Encoding: " + encoding))
            assert client.read_answer().status == 200
    for head, sent in heard.requests:
        assert b"content-encoding" not in head
        assert json.loads(sent) == {**json.loads(sent), **json.loads(body), "model": "gpt-there"}
    assert [record.requested_model for record in relay.records(2)] == ["gpt-4o"] * 2
    assert held(relay) == 0


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (BODY, b"br", 415, "unsupported_content_encoding"),
        (BODY, b"gzip, gzip", 415, "unsupported_content_encoding"),
        (BODY, b"gzip", 400, "invalid_json"),
        (gzip.compress(BODY, mtime=0)[:-12], b"gzip", 400, "invalid_json"),
        (gzip.compress(BODY, mtime=0) + b"xyz", b"gzip", 400, "invalid_json"),
        (gzip.compress(b"[1]", mtime=0), b"gzip", 400, "invalid_json"),
        (zlib.compress(BODY) + b"x", b"deflate", 400, "invalid_json"),
        (b"", b"gzip", 400, "invalid_json"),
        (gzip.compress(b'{"x":"' + bytes(30_000_000), mtime=0), b"gzip", 413, "request_body_too_large"),
    ],
)
def test_a_packed_body_that_cannot_be_read_is_refused(
    world: World, body: bytes, encoding: bytes, status: int, code: str
) -> None:
    heard = Heard()
    relay = relay_before(world, heard, max_body=1_000_000)
    with RawClient(relay.address) as client:
        client.send(post(body, b"Content-Encoding: " + encoding))
        told = client.read_answer()
    assert (told.status, told.error["code"]) == (status, code)
    assert (relay.record().error_code, heard.requests, held(relay)) == (code, [], 0)


@on_both_hosts
def test_bodies_beyond_what_may_be_held_are_told_to_come_again(world: World) -> None:
    heard = Heard()
    relay = relay_before(world, heard, max_buffered=1_000_000)
    request = post(LARGE[:-1] + b',"model":"gpt-4o"}')
    with RawClient(relay.address) as first, RawClient(relay.address) as second:
        first.send(request[:600_000])
        while held(relay) < 500_000:
            pass
        second.send(request)
        told = second.read_answer()
        assert (told.status, told.error["code"], told.fields["retry-after"]) == (503, "buffers_full", "1")
        first.send(request[600_000:])
        assert first.read_answer().status == 200
    with RawClient(relay.address) as third:
        third.send(request)
        assert third.read_answer().status == 200
    assert [record.status for record in relay.records(3)] == [503, 200, 200]
    assert held(relay) == 0
    assert relay.inside(lambda: relay.process.data_plane.services.bodies.refused) == 1


def test_a_client_that_leaves_inside_its_body_leaves_nothing_held(world: World) -> None:
    relay = relay_before(world, Heard())
    with RawClient(relay.address) as client:
        client.send(post(LARGE)[:600_000])
        while not held(relay):
            pass
    assert (relay.record().outcome, held(relay)) == ("client_gone", 0)


def test_a_large_prompt_is_estimated_like_a_small_one(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(b'{"model":"gpt-4o","choices":[{"index":0,"message":{"content":"Yes"}}]}'))

    relay = world.relay(world.upstream(play), deployments=[DeploymentSettings("gpt-4o", [TargetSettings("faulty-0")])])
    bodies = [BODY, BODY[:-1] + b',"metadata":{"x":"' + b"y" * 300_000 + b'"}}']
    for body in bodies:
        with RawClient(relay.address) as client:
            client.send(post(body))
            assert client.read_answer().status == 200
    small, large = relay.records(2)
    assert small.usage.source == large.usage.source == "estimated"
    assert small.usage.input_tokens == large.usage.input_tokens > 5

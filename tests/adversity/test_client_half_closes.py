"""A client that has sent what it had to say, and closes that half of its connection, still gets its answers."""

import asyncio
import threading

import pytest

from support.raw_client import RawClient, chat_request
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from support.world import World
from tokenweir.records import Duration
from tokenweir.simulator import Script

FRAME = frame("water")
BODY = b'{"id":"x","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


@pytest.fixture(params=["uvloop", "asyncio"], autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "asyncio":
        monkeypatch.setattr("support.relay_thread.uvloop.run", asyncio.run)


@pytest.mark.parametrize("policy", ["cancel", "drain"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_answer_that_had_not_begun_comes_whole(world: World, policy: str, version: str) -> None:
    asked, answer = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        answer.wait(20)
        line.send(WHOLE)

    relay = world.relay(world.upstream(play), server={"on_client_gone": policy})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", version=version))
        assert asked.wait(20)
        client.half_close()
        relay.until(lambda: all(one._is_half_closed for one in relay.process.data_plane.clients))
        answer.set()
        got = client.read_answer()
        assert (got.status, got.body) == (200, BODY)
        assert client.is_closed()
    record = relay.record()
    assert (record.outcome, record.usage.source, record.usage.total_tokens) == ("completed", "reported", 16)


def test_a_stream_that_had_begun_goes_on_to_its_end(world: World) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(FRAME) * 3)
        resume.wait(20)
        line.send(chunked(FRAME) * 3 + chunked(USAGE, DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_head()[0] == 200
        seen = b""
        while len(seen) < 3 * len(FRAME):
            seen += client.read_chunk()
        client.half_close()
        relay.until(lambda: all(one._is_half_closed for one in relay.process.data_plane.clients))
        resume.set()
        while piece := client.read_chunk():
            seen += piece
        assert seen == FRAME * 6 + DONE
        assert client.is_closed()
    record = relay.record()
    assert (record.outcome, record.usage.source, record.usage.total_tokens) == ("completed", "reported", 16)


def test_all_requests_that_were_sent_are_answered(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(Script(output_tokens=5, chunk_delay=Duration(0.01)), stream=True) + chat_request() * 2)
        client.half_close()
        assert client.read_head()[0] == 200
        while client.read_chunk():
            pass
        assert [client.read_answer().status for _ in range(2)] == [200, 200]
        assert client.is_closed()
    assert [record.outcome for record in relay.records(3)] == ["completed"] * 3


def test_a_request_in_part_is_not_answered(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request() + chat_request()[:-3])
        client.half_close()
        assert client.read_answer().status == 200
        assert client.is_closed()
    assert [record.outcome for record in relay.records(2)] == ["completed", "client_gone"]


@pytest.mark.parametrize("has_begun", [False, True])
def test_one_that_resets_later_has_left(world: World, has_begun: bool) -> None:
    asked = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        if has_begun:
            line.send(STREAM_HEAD + chunked(FRAME))
        asked.set()
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert asked.wait(20)
        if has_begun:
            client.read_head()
        client.half_close()
        relay.until(lambda: all(one._is_half_closed for one in relay.process.data_plane.clients))
        client.reset()
    upstream.wait_for_end()
    assert relay.record().outcome == "client_gone"


def test_what_the_client_reads_is_byte_for_byte_an_answer(world: World) -> None:
    asked, answer = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        answer.wait(20)
        line.send(STREAM_HEAD + chunked(FRAME, USAGE, DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert asked.wait(20)
        client.half_close()
        assert client.socket.recv(9) == b"HTTP/1.1 "  # written to learn whether the client is still there
        answer.set()
        assert client.read_to_end().startswith(b"200 OK\r\n")
    assert relay.record().outcome == "completed"


def test_one_that_is_idle_is_closed(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request())
        assert client.read_answer().status == 200
        client.half_close()
        assert client.is_closed()
    assert relay.record().outcome == "completed"

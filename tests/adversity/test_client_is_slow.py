"""Days on which the client reads slowly, or not at all."""

import select
import socket
import threading
from collections.abc import Callable
from hashlib import sha256

import pytest

from support.raw_client import RawClient, chat_request
from support.relay_thread import RelayThread
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World, on_both_hosts

FRAME = frame("water " * 2700)
# 16 MB, more than the kernel takes of them: 4 MB on their way to the client, and what it has for the relay.
PIECES = 1000


class Flood:
    """An upstream that sends some 16 MB as fast as they are taken, and counts them."""

    def __init__(self, *, ends: bool = True) -> None:
        self.pieces = 0
        self._ends = ends
        self._line: Line | None = None

    def play(self, line: Line) -> None:
        line.read_request()
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        line.send(STREAM_HEAD)
        self._line = line
        piece = chunked(FRAME)
        for _ in range(PIECES):
            line.send(piece)
            self.pieces += 1
        if self._ends:
            line.send(chunked(USAGE, DONE) + LAST_CHUNK)
            line.wait_closed()

    @property
    def is_held_back(self) -> bool:
        return self._line is not None and select.select([], [self._line.socket], [], 0)[1] == []


def wait_until_held_back(relay: RelayThread, flood: Flood) -> None:
    """Until the upstream cannot send, and not a byte has moved in any of a hundred looks."""
    wait_until_nothing_moves(relay, lambda: flood.pieces if flood.is_held_back else object())


def wait_until_nothing_moves(relay: RelayThread, seen: Callable[[], object]) -> None:
    """Until a hundred looks from inside the relay have seen the same."""
    still, before = 0, object()

    def looked() -> bool:
        nonlocal still, before
        now = seen()
        still, before = still + 1 if now == before else 0, now
        return still == 100

    relay.until(looked)


def buffered(relay: RelayThread) -> int:
    """Bytes that the relay itself holds for its one client, once it has come in."""
    transports = [client._transport for client in relay.process.data_plane.clients]
    return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)


@on_both_hosts
def test_a_client_that_does_not_read_holds_its_upstream_back_and_then_gets_every_byte(world: World) -> None:
    flood = Flood()
    relay = world.relay(world.upstream(flood.play))
    with RawClient(relay.address, buffer=16384) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        wait_until_held_back(relay, flood)

        assert flood.pieces < PIECES * 3 / 4
        if relay.host == "fast":
            assert relay.inside(lambda: buffered(relay)) < 512 * 1024

        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        assert client.read_head()[0] == 200
        digest, size = sha256(), 0
        while piece := client.read_chunk():
            digest.update(piece)
            size += len(piece)
    record = relay.record()

    assert size == PIECES * len(FRAME) + len(DONE)
    assert digest.digest() == sha256(FRAME * PIECES + DONE).digest()
    assert (record.outcome, record.usage.source, record.usage.total_tokens) == ("completed", "reported", 16)
    assert record.bytes_out == size + len(USAGE)


def test_a_client_that_never_reads_again_is_let_go(world: World) -> None:
    flood = Flood()
    upstream = world.upstream(flood.play)
    relay = world.relay(upstream)
    with RawClient(relay.address, buffer=16384) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        wait_until_held_back(relay, flood)
        relay.jump(121)  # upstreams.idle_timeout
        upstream.wait_for_end()
        record = relay.record()
        assert (record.outcome, record.status, record.usage.source) == ("client_gone", 200, "estimated")
        assert record.usage.output_tokens > 0

        relay.jump(76)  # server.keep_alive
        relay.jump(0)
        relay.until(lambda: not relay.process.data_plane.clients)


def test_a_client_that_never_reads_the_end_of_a_whole_answer_is_let_go(world: World) -> None:
    flow = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD)
        sent = 0
        while True:
            line.send(chunked(FRAME))
            sent += len(FRAME)
            relay.until(lambda: received(relay) == sent)  # noqa: B023 - asked before the next turn
            if relay.inside(lambda: buffered(relay)):
                break
        line.send(chunked(USAGE, DONE) + LAST_CHUNK)
        flow.set()

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address, buffer=16384) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert flow.wait(20)
        assert relay.record().outcome == "completed"
        assert relay.inside(lambda: buffered(relay)) > 0

        relay.jump(76)  # server.keep_alive
        relay.jump(0)
        relay.until(lambda: not relay.process.data_plane.clients)


def received(relay: RelayThread) -> int:
    (call,) = relay.process.data_plane.calls
    return call.response.received if call.response is not None else 0


@on_both_hosts
def test_a_slow_client_of_an_upstream_that_dies_gets_all_that_came_and_sees_the_break(world: World) -> None:
    flood = Flood(ends=False)
    relay = world.relay(world.upstream(flood.play))
    with RawClient(relay.address, buffer=16384) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        wait_until_held_back(relay, flood)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        assert client.read_head()[0] == 200
        size = 0
        with pytest.raises(EOFError):
            while piece := client.read_chunk():
                size += len(piece)
    record = relay.record()

    assert size == PIECES * len(FRAME) == record.bytes_out
    assert (record.outcome, record.error_code) == ("upstream_broken", "upstream_broken")
    assert record.usage.source == "estimated"


def test_a_client_that_pipelines_and_does_not_read_is_answered_no_further_than_it_reads(world: World) -> None:
    body = b"x" * 200_000
    asked = 0

    def play(line: Line) -> None:
        nonlocal asked
        while True:
            line.read_request()
            asked += 1
            line.send(answer(body))

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address, buffer=16384) as client:
        client.send(chat_request(deployment="faulty") * 100)  # 20 MB of answers
        relay.until(lambda: buffered(relay))
        wait_until_nothing_moves(relay, lambda: (asked, buffered(relay)))
        assert relay.inside(lambda: buffered(relay)) < 512 * 1024
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) <= 1
        assert asked < 60
        for _ in range(100):
            assert client.read_answer().body == body
    assert len(relay.records(100)) == 100

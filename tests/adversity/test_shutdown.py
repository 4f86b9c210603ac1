"""Days on which the gateway is told to stop while calls are under way."""

import socket
import threading

import pytest

from support.raw_client import RawClient, chat_request, upload_head
from support.relay_thread import RelayThread
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from support.world import World
from tokenweir.simulator import Script

pytestmark = pytest.mark.parametrize("durability", ["batch", "strict"])


def stop(relay: RelayThread) -> None:
    relay.tell_to_stop()
    relay.until(lambda: relay.process.data_plane.is_stopping)


def wait_for_end(relay: RelayThread) -> None:
    relay.thread.join(20)
    assert not relay.thread.is_alive()


def test_a_stream_that_ends_in_time_is_not_disturbed(world: World, durability: str) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("before")))
        resume.wait(20)
        line.send(chunked(frame("after"), USAGE, DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play), journal={"durability": durability}, server={"shutdown_grace": 20})
    with RawClient(relay.address) as streaming, RawClient(relay.address) as idle, RawClient(relay.address) as slow:
        streaming.send(chat_request(deployment="faulty", stream=True))
        assert streaming.read_head()[0] == 200
        assert streaming.read_chunk() == frame("before")
        body = chat_request()
        slow.send(body[:-10])
        idle.send(chat_request())
        assert idle.read_answer().status == 200
        relay.until(lambda: len(relay.process.data_plane.calls) == 2)
        stop(relay)

        assert idle.is_closed()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(relay.address).close()
        slow.send(body[-10:])  # its request had been let in
        told = slow.read_answer()
        assert (told.status, told.fields["connection"]) == (200, "close")
        resume.set()
        seen = b""
        while piece := streaming.read_chunk():
            seen += piece
        assert seen == frame("after") + DONE
        assert streaming.is_closed()
    wait_for_end(relay)

    assert [record.outcome for record in relay.records(3)] == ["completed"] * 3
    assert {record.usage.source for record in relay.records(3)} == {"reported"}


def test_what_does_not_end_in_time_is_ended_and_recorded(world: World, durability: str) -> None:
    asked = threading.Semaphore(0)

    def play(line: Line) -> None:
        line.read_head()
        asked.release()
        line.wait_closed()

    relay = world.relay(world.upstream(play), journal={"durability": durability}, server={"shutdown_grace": 0.2})
    with (
        RawClient(relay.address) as streaming,
        RawClient(relay.address) as waiting,
        RawClient(relay.address) as sending,
        RawClient(relay.address) as uploading,
    ):
        streaming.send(chat_request(Script(output_tokens=600, hang_after=5), world.named("cut"), stream=True))
        assert streaming.read_head()[0] == 200
        waiting.send(chat_request(deployment="faulty"))
        sending.send(chat_request()[:-10])
        uploading.send(upload_head(1000, deployment="faulty") + b"x" * 500)
        assert asked.acquire(timeout=20)
        assert asked.acquire(timeout=20)
        relay.until(lambda: len(relay.process.data_plane.calls) == 4)
        stop(relay)

        with pytest.raises((EOFError, ConnectionError)):
            while True:
                streaming.read_chunk()
        for client in (waiting, sending, uploading):
            told = client.read_answer()
            assert (told.status, told.error["code"], told.fields["connection"]) == (503, "shutting_down", "close")
            assert told.fields["retry-after"] == "1"
    wait_for_end(relay)
    records = {(record.operation, record.stream, record.attempts): record for record in relay.records(4)}

    assert len(records) == 4
    cut = records["chat", True, 1]
    assert (cut.outcome, cut.status, cut.error_code) == ("aborted", 200, "shutting_down")
    assert (cut.usage.source, cut.usage.output_tokens > 0) == ("estimated", True)
    assert not world.sent("cut").finished
    unanswered = records["chat", False, 1]
    assert (unanswered.outcome, unanswered.status, unanswered.error_code) == ("aborted", 503, "shutting_down")
    assert (unanswered.usage.source, unanswered.usage.input_tokens > 0) == ("estimated", True)
    half = records["chat", False, 0]
    assert (half.outcome, half.status, half.usage.source) == ("refused", 503, "none")
    uploaded = records["uploads", False, 1]
    assert (uploaded.outcome, uploaded.status, uploaded.bytes_in) == ("aborted", 503, 500)


def test_what_breaks_during_the_grace_and_what_is_ended_after_it_are_both_recorded(
    world: World, durability: str
) -> None:
    breaks = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("half")))
        if line.number == 0:
            breaks.wait(20)
        else:
            line.wait_closed()

    relay = world.relay(world.upstream(play), journal={"durability": durability}, server={"shutdown_grace": 1})
    with RawClient(relay.address) as first, RawClient(relay.address) as second:
        for client in (first, second):
            client.send(chat_request(deployment="faulty", stream=True))
            assert client.read_head()[0] == 200
            client.read_chunk()
        stop(relay)
        breaks.set()
        assert relay.records(1)[0].outcome == "upstream_broken"
        assert second.is_closed()
    wait_for_end(relay)

    assert [record.outcome for record in relay.records(2)] == ["upstream_broken", "aborted"]
    assert {record.usage.source for record in relay.records(2)} == {"estimated"}


def test_a_client_that_keeps_talking_is_told_that_it_is_over(world: World, durability: str) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("before")))
        resume.wait(20)
        line.send(chunked(DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play), journal={"durability": durability}, server={"shutdown_grace": 20})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True) + chat_request() * 3)
        assert client.read_head()[0] == 200
        client.read_chunk()
        stop(relay)
        resume.set()
        while client.read_chunk():
            pass
        assert client.is_closed()  # what it had sent ahead was not begun, and can be sent elsewhere
    wait_for_end(relay)
    assert [record.outcome for record in relay.records(1)] == ["completed"]


def test_told_a_second_time_it_does_not_wait_for_what_is_under_way(world: World, durability: str) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("half")))
        line.wait_closed()

    relay = world.relay(world.upstream(play), journal={"durability": durability}, server={"shutdown_grace": 3600})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_head()[0] == 200
        client.read_chunk()
        stop(relay)
        relay.tell_to_stop()
        assert client.is_closed()
    wait_for_end(relay)
    assert relay.record().outcome == "aborted"

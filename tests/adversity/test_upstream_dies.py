"""Days on which the upstream breaks down, in the middle of its answer or before it."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from support.raw_client import RawClient, chat_request, upload_head
from support.relay_thread import RelayThread
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World, on_both_hosts
from tokenweir.simulator import Script

EVENTS = [frame("Water "), frame("flows "), frame("over.")]
WHOLE = b'{"id":"a","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}'


def wait_until_held_back(relay: RelayThread) -> None:
    """Until the one client's body has not moved in any of a hundred looks, because it may not."""
    still, before = 0, 0

    def looked() -> bool:
        nonlocal still, before
        if not relay.process.data_plane.clients:
            return False  # it is not accepted yet
        (client,) = relay.process.data_plane.clients
        still = still + 1 if client._body_paused and client._bytes_seen == before else 0
        before = client._bytes_seen
        return still == 100

    relay.until(looked)


def close(line: Line) -> None:
    line.socket.close()


@on_both_hosts
@pytest.mark.parametrize("way", [close, Line.reset], ids=["close", "reset"])
def test_upstream_dies_mid_stream(world: World, way: Callable[[Line], None]) -> None:
    client_has_read = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(*EVENTS))
        client_has_read.wait(20)
        way(line)

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_head()[0] == 200
        seen = b""
        while seen.count(b"\n\n") < 3:
            seen += client.read_chunk()
        client_has_read.set()
        assert seen == b"".join(EVENTS)
        assert client.is_closed()
    record = relay.record()

    assert (record.outcome, record.status, record.error_code) == ("upstream_broken", 200, "upstream_broken")
    assert (record.usage.source, record.usage.output_tokens) == ("estimated", 4)
    assert (record.chunks, record.attempts, record.finish_reasons) == (3, 1, [])
    assert record.bytes_out == len(seen)


@on_both_hosts
def test_upstream_closes_in_the_middle_of_a_body_of_known_length(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(WHOLE)[:-10])

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        status, fields = client.read_head()
        assert (status, fields["content-length"]) == (200, str(len(WHOLE)))
        assert client.read_to_end() == WHOLE[:-10]
    record = relay.record()

    assert (record.outcome, record.status) == ("upstream_broken", 200)
    assert (record.usage.source, record.bytes_out) == ("estimated", len(WHOLE) - 10)


def test_upstream_breaks_the_chunked_grammar_mid_stream(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(*EVENTS) + b"these are no chunks\r\n")
        line.wait_closed()

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_head()[0] == 200
        seen = client.read_to_end()
    record = relay.record()

    assert not seen.endswith(LAST_CHUNK)
    assert b"these are no chunks" not in seen
    assert (record.outcome, record.error_code) == ("upstream_broken", "upstream_broken")


@on_both_hosts
def test_upstream_sends_an_error_frame_in_a_stream_that_began_well(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        script = Script(output_tokens=60, error_frame_after=5)
        client.send(chat_request(script, world.named("frame"), stream=True))
        told = client.read_answer()
    record = relay.record()

    assert b'"type":"server_error"' in told.body
    assert b"[DONE]" not in told.body
    assert (record.outcome, record.status, record.error_code) == ("upstream_error", 200, "server_error")
    assert record.usage.source == "estimated"
    assert abs(record.usage.output_tokens - world.sent("frame").visible_tokens) <= 1


@on_both_hosts
def test_upstream_ends_a_stream_without_done(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(Script(output_tokens=30, no_done=True), world.named("no-done"), stream=True))
        told = client.read_answer()
    record, sent = relay.record(), world.sent("no-done")

    assert b"[DONE]" not in told.body
    assert (record.outcome, record.status, record.error_code) == ("completed", 200, None)
    assert (record.usage.source, record.usage.output_tokens) == ("reported", sent.completion_tokens)


@on_both_hosts
def test_upstream_falls_silent_mid_stream(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(Script(output_tokens=60, hang_after=10), world.named("silent"), stream=True))
        assert client.read_head()[0] == 200
        seen = b""
        while seen.count(b"\n\n") < 12:
            seen += client.read_chunk()
        relay.jump(119)
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
        relay.jump(2)
        assert client.is_closed()
    record, sent = relay.record(), world.sent("silent")

    assert not sent.finished
    assert (record.outcome, record.status, record.error_code) == ("timed_out", 200, "upstream_timeout")
    assert record.usage.source == "estimated"
    assert abs(record.usage.output_tokens - sent.visible_tokens) <= 1


def reset_at_once(line: Line) -> None:
    line.read_request()
    line.reset()


def close_at_once(line: Line) -> None:
    line.read_request()


def garbage(line: Line) -> None:
    line.read_request()
    line.send(b"220 smtp.example.com ESMTP ready\r\n\r\n")
    line.wait_closed()


def binary(line: Line) -> None:
    line.read_request()
    line.send(bytes(range(256)) * 300)
    line.wait_closed()


def endless_head(line: Line) -> None:
    line.read_request()
    line.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        line.send(b"x-padding: " + b"x" * 1000 + b"\r\n")


def two_lengths(line: Line) -> None:
    line.read_request()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}}")
    line.wait_closed()


def other_protocol(line: Line) -> None:
    line.read_request()
    line.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\x81\x05hello")
    line.wait_closed()


def half_a_head(line: Line) -> None:
    line.read_request()
    line.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


DEATHS = [reset_at_once, close_at_once, garbage, binary, endless_head, two_lengths, other_protocol, half_a_head]


@on_both_hosts
@pytest.mark.parametrize("play", DEATHS, ids=lambda play: play.__name__)
def test_upstream_gives_no_answer_that_can_be_read(world: World, play: Callable[[Line], None]) -> None:
    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        told = client.read_answer()
        assert told.status == 502
        assert told.error["code"] == "upstream_broken"
        assert told.error["type"] == "upstream_error"
        assert "`faulty-0` gave no answer" in str(told.error["message"])
        client.send(chat_request())  # the client's own connection is as good as before
        assert client.read_answer().status == 200
    record = relay.records(2)[0]

    assert told.fields["x-tokenweir-call-id"] == record.call_id
    assert (record.outcome, record.status, record.error_code) == ("upstream_error", 502, "upstream_broken")
    assert (record.usage.source, record.attempts, record.backend) == ("none", 1, "faulty-0")


@pytest.mark.parametrize("play", DEATHS, ids=lambda play: play.__name__)
def test_upstream_gives_no_answer_and_the_second_target_takes_over(world: World, play: Callable[[Line], None]) -> None:
    relay = world.relay(world.upstream(play), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(chat_request(None, world.named("second"), deployment="faulty"))
        assert client.read_answer().status == 200
    record = relay.record()

    assert (record.outcome, record.status, record.attempts, record.backend) == ("completed", 200, 2, "sim")
    assert record.upstream_request_id == world.sent("second").id


def test_a_connection_that_grew_stale_is_replaced_and_the_call_repeated_once(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(WHOLE))
        line.read_request()
        assert line.number == 0
        line.socket.close()  # as a load balancer that had given the connection up

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(chat_request(deployment="faulty"))
            assert client.read_answer().body == WHOLE
    first, second = relay.records(2)

    assert (first.attempts, second.attempts) == (1, 2)
    assert (second.outcome, second.usage.source) == ("completed", "reported")


def test_of_many_stale_connections_only_one_is_met_and_the_call_repeated_on_a_fresh_one(world: World) -> None:
    together = threading.Barrier(4)

    def play(line: Line) -> None:
        line.read_request()
        if line.number < 4:
            together.wait(20)
            line.send(answer(WHOLE))
            line.read_request()
        line.socket.close()

    relay = world.relay(world.upstream(play))
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(relay.address)) for _ in range(4)]
        for client in clients:
            client.send(chat_request(deployment="faulty"))
        assert [client.read_answer().status for client in clients] == [200] * 4
        clients[0].send(chat_request(deployment="faulty"))
        assert clients[0].read_answer().status == 502
    assert [record.attempts for record in relay.records(5)] == [1, 1, 1, 1, 2]


def test_a_connection_that_breaks_while_the_model_may_be_at_work_is_not_taken_for_stale(world: World) -> None:
    asked, broken = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(WHOLE))
        line.read_request()
        asked.set()
        assert broken.wait(20)
        line.socket.close()

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert client.read_answer().status == 200
        client.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        relay.jump(1)
        broken.set()
        assert client.read_answer().status == 502
    assert [record.attempts for record in relay.records(2)] == [1, 1]


def test_the_time_that_a_failed_target_took_is_not_the_gateways_own(world: World) -> None:
    asked, jumped = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        assert jumped.wait(20)
        line.send(answer(b"{}", status="503 Busy"))
        line.wait_closed()

    relay = world.relay(world.upstream(play), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        relay.jump(5)
        jumped.set()
        assert client.read_answer().status == 200
    record = relay.record()
    assert record.attempts == 2 and record.latency_ms > 5000
    assert record.gateway_ms < 5000


def test_a_400_that_merely_quotes_the_caller_does_not_end_the_metering_of_others(world: World) -> None:
    requests: list[bytes] = []

    def play(line: Line) -> None:
        for told in (b"Invalid value: 'stream_options'", b"Invalid value: 'stream_options'", b""):
            requests.append(line.read_request()[1])
            body = b'{"error":{"message":"%b"}}' % told
            line.send(answer(body, status="400 Bad Request") if told else answer(WHOLE))
        line.wait_closed()

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_answer().status == 400
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_answer().status == 200
    assert [record.attempts for record in relay.records(2)] == [2, 1]
    assert [b"include_usage" in body for body in requests] == [True, False, True]


def test_a_connection_that_breaks_inside_an_answers_head_is_not_taken_for_stale(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(WHOLE))
        line.read_request()
        line.send(b"HTTP/1.1 200")

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert client.read_answer().status == 200
        client.send(chat_request(deployment="faulty"))
        assert client.read_answer().status == 502
    assert [record.attempts for record in relay.records(2)] == [1, 1]


def test_an_upload_on_a_stale_connection_cannot_be_repeated(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(WHOLE))
        line.read_head()
        line.socket.close()

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert client.read_answer().status == 200
        client.send(upload_head(10, deployment="faulty") + b"x" * 10)
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (502, "upstream_broken")
    record = relay.records(2)[1]

    assert (record.outcome, record.attempts, record.bytes_in) == ("upstream_error", 1, 10)


def test_upstream_speaks_of_early_hints_first(world: World) -> None:
    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answer(WHOLE))

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        for _ in range(2):
            client.send(chat_request(deployment="faulty"))
            told = client.read_answer()
            assert (told.status, told.body) == (200, WHOLE)
            assert "link" not in told.fields
    assert {record.outcome for record in relay.records(2)} == {"completed"}


@on_both_hosts
def test_upstream_answers_before_the_upload_has_come_whole(world: World) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(answer(b'{"error":{"code":"too_large"}}', status="413 Payload Too Large"))
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream)
    with RawClient(relay.address) as client:
        client.send(upload_head(1000, deployment="faulty") + b"x" * 500)
        told = client.read_answer()
        assert (told.status, told.fields["connection"]) == (413, "close")
        upstream.wait_for_end()  # or the rest of the upload would be taken for the next request
        client.send(b"x" * 500)
        assert client.is_closed()
    record = relay.record()

    assert (record.outcome, record.status, record.error_code) == ("upstream_error", 413, None)
    assert (record.bytes_in, record.usage.source) == (500, "none")


def test_upstream_answers_while_the_upload_is_held_back_and_then_reads_on(world: World) -> None:
    size = 24_000_000
    held_back = threading.Event()

    def play(line: Line) -> None:
        line.read_head()
        held_back.wait(20)
        line.send(STREAM_HEAD + chunked(frame("began")))
        assert line.read(size) == b"x" * size
        line.send(chunked(frame("all there"), DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(upload_head(size, deployment="faulty"))
        sending = threading.Thread(target=client.send, args=[b"x" * size])
        sending.start()
        wait_until_held_back(relay)
        held_back.set()
        assert b"all there" in client.read_answer().body
        sending.join()
    assert (relay.record().outcome, relay.record().bytes_in) == ("completed", size)


def test_upstream_answers_while_the_upload_still_comes_and_reads_on(world: World) -> None:
    size = 3_000_000

    def play(line: Line) -> None:
        line.read_head()
        line.send(STREAM_HEAD + chunked(frame("began")))
        assert line.read(size) == b"x" * size
        line.send(chunked(frame("all there"), DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(upload_head(size, deployment="faulty"))
        assert client.read_head()[0] == 200
        client.send(b"x" * size)
        seen = b""
        while piece := client.read_chunk():
            seen += piece
        assert b"all there" in seen
    record = relay.record()

    assert (record.outcome, record.bytes_in) == ("completed", size)
    assert USAGE not in seen


def test_upstream_does_not_take_an_upload(world: World) -> None:
    def play(line: Line) -> None:
        line.read_head()
        given_up.wait(20)

    given_up = threading.Event()
    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(upload_head(50_000_000, deployment="faulty"))
        sending = threading.Thread(target=send_until_refused, args=[client])
        sending.start()
        wait_until_held_back(relay)
        relay.jump(299)
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
        relay.jump(2)
        told = client.read_answer()
        assert (told.status, told.error["code"], told.fields["connection"]) == (504, "upstream_timeout", "close")
        given_up.set()
        relay.jump(3)  # it may go on sending for so long
        sending.join()
    record = relay.record()

    assert (record.outcome, record.status, record.attempts) == ("timed_out", 504, 1)


def send_until_refused(client: RawClient) -> None:
    try:
        while True:
            client.send(b"x" * 100_000)
    except OSError:
        pass

"""Days on which the upstream cannot be reached, is too slow, or has no room; and another target takes over."""

import threading

import pytest

from support.raw_client import RawClient, chat_request, upload_head
from support.scripted import Line, Play
from support.servers import closed_port
from support.streams import answer
from support.world import World

BUSY = b'{"error":{"code":"429","message":"later"}}'
BROKEN = b'{"error":{"code":null,"message":"sorry","type":"server_error","param":null}}'


def refused() -> str:
    """The URL of an upstream that refuses connections."""
    return f"http://127.0.0.1:{closed_port()}"


def saying(told: bytes) -> Play:
    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(told)

    return play


def busy(seconds: int) -> bytes:
    return answer(BUSY, f"retry-after: {seconds}", status="429 Too Many Requests")


def broken(status: str) -> bytes:
    return answer(BROKEN, status=status)


def test_upstream_refuses_connections(world: World) -> None:
    relay = world.relay(refused())
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (502, "upstream_unreachable")
        assert "Connection refused" in str(told.error["message"])
        assert "127.0.0.1" not in str(told.error["message"])
    record = relay.record()

    assert (record.outcome, record.status, record.error_code) == ("upstream_error", 502, "upstream_unreachable")
    assert (record.usage.source, record.attempts) == ("none", 0)


def test_upstream_does_not_begin_to_answer_in_time(world: World) -> None:
    asked = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        relay.until(lambda: [call for call in relay.process.data_plane.calls if call.timings.sent])
        relay.jump(299)
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
        relay.jump(2)
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (504, "upstream_timeout")
        upstream.wait_for_end()
        client.send(chat_request())
        assert client.read_answer().status == 200
    # the estimate of the first may end after the second
    other, record = sorted(relay.records(2), key=lambda record: record.outcome)

    assert (record.outcome, record.status, record.error_code) == ("timed_out", 504, "upstream_timeout")
    assert record.usage.source == "estimated"  # the model was at work
    assert record.usage.input_tokens == other.usage.input_tokens
    assert record.usage.output_tokens == 0


@pytest.mark.parametrize(
    "status",
    [
        "429 Too Many Requests",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "599 Simulated",
    ],
)
def test_the_second_target_takes_over_when_the_first_has_no_room(world: World, status: str) -> None:
    relay = world.relay(world.upstream(saying(broken(status))), then_sim=True)
    with RawClient(relay.address) as client:
        for stream in (False, True):
            name = f"over-{stream}"
            client.send(chat_request(None, world.named(name), deployment="faulty", stream=stream))
            assert client.read_answer().status == 200
            record, sent = relay.records(1 + stream)[-1], world.sent(name)
            assert (record.outcome, record.status, record.error_code) == ("completed", 200, None)
            is_left_alone = stream and status.startswith("429")  # since the call before
            assert (record.attempts, record.backend) == (1 if is_left_alone else 2, "sim")
            assert (record.usage.source, record.upstream_request_id) == ("reported", sent.id)
            assert record.usage.total_tokens == sent.prompt_tokens + sent.completion_tokens


def test_the_second_target_takes_over_when_the_first_refuses_connections(world: World) -> None:
    relay = world.relay(refused(), refused(), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert client.read_answer().status == 200
    record = relay.record()

    assert (record.outcome, record.backend, record.attempts) == ("completed", "sim", 1)


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "408 Request Timeout"])
def test_what_is_the_callers_own_fault_is_not_tried_elsewhere(world: World, status: str) -> None:
    relay = world.relay(world.upstream(saying(broken(status))), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(chat_request(None, world.named("fault"), deployment="faulty"))
        told = client.read_answer()
        assert (told.status, told.body) == (int(status[:3]), BROKEN)
    record = relay.record()

    assert (record.outcome, record.attempts, record.backend) == ("upstream_error", 1, "faulty-0")
    assert world.sent_calls() == []


def test_when_all_targets_fail_the_last_answer_is_passed_on_as_it_is(world: World) -> None:
    relay = world.relay(
        world.upstream(saying(broken("500 Internal Server Error"))),
        refused(),
        world.upstream(saying(busy(17))),
    )
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        told = client.read_answer()
        assert (told.status, told.body, told.fields["retry-after"]) == (429, BUSY, "17")
    record = relay.record()
    assert (record.outcome, record.status, record.error_code) == ("upstream_error", 429, "429")
    assert (record.attempts, record.backend, record.usage.source) == (2, "faulty-2", "none")


@pytest.mark.parametrize(("first", "seconds"), [(busy(7), "7"), (busy(17), "10"), (busy(0), "10")])
def test_when_one_target_is_busy_and_the_next_out_of_reach_the_client_is_told_when_to_come_back(
    world: World, first: bytes, seconds: str
) -> None:
    relay = world.relay(world.upstream(saying(first)), refused())
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        told = client.read_answer()
        assert (told.status, told.error["code"]) == (503, "no_target_available")
        assert told.fields.get("retry-after") == seconds  # of whichever is tried again first
    trace = relay.records(1)[0].trace
    assert trace is not None
    assert [(one.status, one.error) for one in trace.attempts] == [(429, None), (None, "upstream_unreachable")]
    assert (relay.record().outcome, relay.record().attempts) == ("upstream_error", 1)


def test_an_upload_that_has_begun_is_not_tried_elsewhere(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(busy(3))

    relay = world.relay(world.upstream(play), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(upload_head(5, deployment="faulty") + b"12345")
        told = client.read_answer()
        assert (told.status, told.fields["retry-after"]) == (429, "3")
    assert (relay.record().attempts, relay.record().backend) == (1, "faulty-0")


def test_an_upload_of_which_nothing_has_left_yet_is_tried_elsewhere(world: World) -> None:
    relay = world.relay(refused(), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(upload_head(5, world.named("upload"), deployment="faulty") + b"12345")
        assert client.read_answer().status == 200
    assert (relay.record().outcome, relay.record().backend) == ("completed", "sim")
    assert world.sent("upload").status == 200


def test_no_more_connections_than_allowed_are_opened(world: World) -> None:
    asked = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        line.wait_closed()

    relay = world.relay(world.upstream(play), upstream_settings={"max_connections": 1})
    with RawClient(relay.address) as first, RawClient(relay.address) as second:
        first.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        second.send(chat_request(deployment="faulty"))
        told = second.read_answer()
        assert (told.status, told.error["code"]) == (502, "upstream_unreachable")
        assert "all 1 connections are in use" in str(told.error["message"])
    assert {record.outcome for record in relay.records(2)} == {"upstream_error", "client_gone"}

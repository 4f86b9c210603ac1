"""Days on which the client is gone before its answer is."""

import threading
from collections.abc import Callable

import pytest

from support.raw_client import RawClient, chat_request, upload_head
from support.relay_thread import KEY
from support.scripted import Line, Play
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from support.world import World, on_both_hosts
from tokenweir.deployments import Catalogue, DeploymentSettings, TargetSettings
from tokenweir.policy import CallerSettings, hash_key
from tokenweir.simulator import Script

DRAIN = {"on_client_gone": "drain"}
# 20 chunks of 3 tokens, then silence: whoever waits for more has to leave.
HANGING = Script(output_tokens=600, hang_after=20)
OPENING = 2  # events before the first chunk: the prompt filter's and the role's

FRAME = frame("x " * 500)


def two_parts(resume: threading.Event) -> Play:
    """An upstream that streams 50 frames of a kilobyte, waits, and then comes to its end."""

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(FRAME) * 50)
        resume.wait(20)
        line.send(chunked(FRAME, USAGE, DONE) + LAST_CHUNK)

    return play


def read_events(client: RawClient, count: int) -> bytes:
    """Reads a stream's head and at least so many of its events."""
    status, _ = client.read_head()
    assert status == 200
    seen = b""
    while seen.count(b"\n\n") < count:
        seen += client.read_chunk()
    return seen


@on_both_hosts
@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset], ids=lambda way: way.__name__)
def test_client_vanishes_mid_stream(world: World, leave: Callable[[RawClient], None]) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(chat_request(HANGING, world.named("gone"), stream=True))
        read_events(client, OPENING + 20)
        leave(client)
        sent = world.sent("gone")  # comes only when the gateway has closed the upstream's connection
        record = relay.record()

    assert not sent.finished
    assert sent.visible_tokens == 60
    assert (record.outcome, record.status, record.error_code) == ("client_gone", 200, None)
    assert record.usage.source == "estimated"
    assert record.usage.input_tokens == sent.prompt_tokens
    assert abs(record.usage.output_tokens - sent.visible_tokens) <= 1
    assert record.usage.total_tokens == record.usage.input_tokens + record.usage.output_tokens
    assert record.upstream_request_id == sent.id
    assert record.chunks == OPENING + 20


@pytest.mark.parametrize("chosen_by", ["server", "deployment", "caller"])
def test_client_vanishes_mid_stream_and_the_answer_is_drained(world: World, chosen_by: str) -> None:
    resume = threading.Event()
    relay = world.relay(
        world.upstream(two_parts(resume)),
        server=DRAIN if chosen_by == "server" else {},
        callers=[CallerSettings("team-a", hash_key(KEY), on_client_gone="drain" if chosen_by == "caller" else None)],
    )
    if chosen_by == "deployment":
        faulty = DeploymentSettings("faulty", [TargetSettings("faulty-0")], "drain")
        sim = DeploymentSettings("gpt-4o", [TargetSettings("sim")])
        catalogue = Catalogue([faulty, sim], {"faulty-0": "azure", "sim": "azure"}, relay.clock)
        relay.process.data_plane.configure(catalogue=catalogue)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        read_events(client, 50)
    relay.until(lambda: not relay.process.data_plane.clients)
    assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
    resume.set()
    record = relay.record()

    assert (record.outcome, record.status, record.error_code) == ("client_gone", 200, None)
    assert (record.usage.source, record.usage.input_tokens, record.usage.output_tokens) == ("reported", 7, 9)
    assert record.chunks == 52


def test_client_vanishes_and_draining_takes_too_long(world: World) -> None:
    relay = world.relay(server=DRAIN)
    with RawClient(relay.address) as client:
        client.send(chat_request(HANGING, world.named("long"), stream=True))
        read_events(client, OPENING + 20)
    relay.until(lambda: not relay.process.data_plane.clients)
    relay.jump(59)
    assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
    relay.jump(2)
    record = relay.record()

    assert (record.outcome, record.usage.source) == ("client_gone", "estimated")
    assert abs(record.usage.output_tokens - world.sent("long").visible_tokens) <= 1


def test_client_vanishes_and_draining_reads_too_much(world: World) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(FRAME))
        resume.wait(20)
        line.send(chunked(FRAME) * 30)
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream, server={**DRAIN, "drain_size": 20_000})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        read_events(client, 1)
    relay.until(lambda: not relay.process.data_plane.clients)
    resume.set()
    upstream.wait_for_end()
    record = relay.record()

    assert (record.outcome, record.usage.source) == ("client_gone", "estimated")
    assert 20_000 < record.bytes_out == 31 * len(FRAME)


def test_what_was_delivered_before_the_client_vanished_does_not_count_as_drained(world: World) -> None:
    resume = threading.Event()
    relay = world.relay(world.upstream(two_parts(resume)), server={**DRAIN, "drain_size": 20_000})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        read_events(client, 50)
    relay.until(lambda: not relay.process.data_plane.clients)
    relay.jump(1)
    resume.set()
    record = relay.record()

    assert record.bytes_out > 50_000
    assert (record.outcome, record.usage.source) == ("client_gone", "reported")


@pytest.mark.parametrize("policy", ["cancel", "drain"])
def test_client_vanishes_before_the_answer_began(world: World, policy: str) -> None:
    asked, answer = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        if policy == "cancel":
            line.wait_closed()
            return
        answer.wait()
        line.send(STREAM_HEAD + chunked(USAGE, DONE) + LAST_CHUNK)

    upstream = world.upstream(play)
    relay = world.relay(upstream, server={"on_client_gone": policy})
    with RawClient(relay.address) as client:
        client.send(chat_request())
        client.read_answer()
        client.send(chat_request(deployment="faulty", stream=True))
        assert asked.wait(20)
    relay.until(lambda: not relay.process.data_plane.clients)
    answer.set()
    usual, record = relay.records(2)

    assert record.outcome == "client_gone"
    if policy == "cancel":
        upstream.wait_for_end()
        assert (record.status, record.usage.source) == (None, "estimated")
        assert (record.usage.input_tokens, record.usage.output_tokens) == (usual.usage.input_tokens, 0)
    else:
        assert (record.status, record.usage.source, record.usage.total_tokens) == (200, "reported", 16)


@on_both_hosts
@pytest.mark.parametrize("policy", ["cancel", "drain"])
def test_client_vanishes_before_anybody_was_asked(world: World, policy: str) -> None:
    connected = threading.Event()

    def play(line: Line) -> None:
        line.socket.recv(1)  # the first byte of a TLS handshake that comes to nothing
        connected.set()
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream.url.replace("http", "https"), server={"on_client_gone": policy})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert connected.wait(20)
    upstream.wait_for_end()
    record = relay.record()

    assert (record.outcome, record.status, record.attempts, record.usage.source) == ("client_gone", None, 0, "none")


@on_both_hosts
def test_client_vanishes_while_its_body_is_being_sent(world: World) -> None:
    relay = world.relay(server=DRAIN)
    with RawClient(relay.address) as client:
        client.send(chat_request(None, world.named("half"))[:-20])
        relay.until(lambda: relay.process.data_plane.calls)
    record = relay.record()

    assert (record.outcome, record.status, record.attempts) == ("client_gone", None, 0)
    assert (record.usage.source, record.deployment) == ("none", "gpt-4o")
    assert record.bytes_in > 0
    assert world.sent_calls() == []


@on_both_hosts
def test_client_vanishes_in_the_middle_of_an_upload(world: World) -> None:
    asked = threading.Event()

    def play(line: Line) -> None:
        line.read_head()
        asked.set()
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream, server=DRAIN)
    with RawClient(relay.address) as client:
        client.send(upload_head(900, deployment="faulty") + b"x" * 100)
        assert asked.wait(20)
    upstream.wait_for_end()
    record = relay.record()

    assert (record.outcome, record.status, record.attempts) == ("client_gone", None, 1)
    assert (record.usage.source, record.bytes_in, record.operation) == ("none", 100, "uploads")

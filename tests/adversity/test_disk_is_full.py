"""Days on which the journal cannot be written; strict durability shows when it is."""

import json
import os
import select
from collections.abc import Iterator

import pytest

from support.disks import fill_up
from support.raw_client import RawClient, chat_request
from support.relay_thread import RelayThread
from support.scripted import Line, Play
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World
from tokenweir.journal import JournalStatus, read_status
from tokenweir.records import Duration
from tokenweir.simulator import Script

FULL = {"content": "full"}
STRICT = {"content": "full", "durability": "strict"}
# Longer than what is left of a page that the journal has already been given.
BODY = json.dumps({"messages": [{"role": "user", "content": "What does a weir do? " * 1000}]}).encode()
STREAM = BODY[:-1] + b',"stream":true}'


def status_of(relay: RelayThread) -> JournalStatus:
    status = read_status(relay.journal.directory)
    assert status is not None
    return status


def wait_until_failing(relay: RelayThread) -> None:
    relay.until(lambda: relay.journal.status().failing_since)


def has_nothing_to_read(client: RawClient) -> bool:
    return select.select([client.socket], [], [], 0)[0] == []


def refused(client: RawClient) -> bool:
    """Whether the next call is answered as a gateway does that cannot write its journal."""
    client.send(chat_request())
    told = client.read_answer()
    if told.status == 200:
        return False
    assert (told.status, told.error["code"], told.error["type"]) == (503, "journal_unavailable", "server_error")
    assert told.fields["retry-after"] == "1"
    return True


def test_a_full_disk_refuses_new_calls_keeps_every_record_and_mends_itself(world: World) -> None:
    disk = world.small_disk()
    relay = world.relay(folder=disk, journal=FULL)
    with RawClient(relay.address) as client, RawClient(relay.address) as streaming:
        streaming.send(chat_request(Script(output_tokens=300, chunk_delay=Duration(0.001)), body=STREAM))
        assert streaming.read_head()[0] == 200
        filler = fill_up(disk)
        client.send(chat_request(body=BODY))
        assert client.read_answer().status == 200  # nothing was known of it yet
        wait_until_failing(relay)
        calls = len(world.sim.calls)
        assert refused(client)
        client.send(chat_request(key="nobody's"))
        assert client.read_answer().status == 401
        while piece := streaming.read_chunk():
            last = piece
        assert last.endswith(DONE)  # what was under way goes on
        assert len(world.sim.calls) == calls + 1

        relay.until(lambda: status_of(relay).failing_since)
        alarm = status_of(relay).last_error
        assert alarm is not None and "No space left on device" in alarm
        (logged,) = world.errors.taken()
        assert "new calls are refused" in logged

        filler.unlink()
        relay.until(lambda: relay.journal.accepts_calls)
        assert not refused(client)
    records = relay.records(5)

    assert [record.seq for record in records] == [1, 2, 3, 4, 5]
    told = [(record.outcome, record.status) for record in records]
    assert told == [("completed", 200), ("refused", 503), ("refused", 401), ("completed", 200), ("completed", 200)]
    assert records[1].error_code == "journal_unavailable"
    assert records[0].request_body == BODY.decode()


def test_a_disk_with_little_room_gets_records_without_bodies(world: World) -> None:
    disk = world.small_disk()
    relay = world.relay(folder=disk, journal={**FULL, "on_failure": "shed_content"})
    filler = fill_up(disk)
    os.truncate(filler, filler.stat().st_size - 8192)
    with RawClient(relay.address) as client:
        for _ in range(3):
            client.send(chat_request(body=BODY))
            assert client.read_answer().status == 200
    records = relay.records(3)

    assert [record.request_body for record in records] == [None, None, None]
    assert [record.usage.source for record in records] == ["reported"] * 3
    (logged,) = world.errors.taken()
    assert "without their bodies" in logged


def test_a_journal_whose_writer_has_died_refuses_calls_and_says_so(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        assert not refused(client)
        assert relay.inside(relay.journal.close) == 0
        for _ in range(2):
            assert refused(client)
    relay.until(lambda: relay.journal.status().records_lost == 2)
    assert ["is lost" in logged for logged in world.errors.taken()] == [True, True]


def saying(told: bytes) -> Play:
    def play(line: Line) -> None:
        line.read_request()
        line.send(told)

    return play


def byte_by_byte(*events: bytes) -> bytes:
    return STREAM_HEAD + chunked(*(bytes([byte]) for byte in b"".join(events))) + LAST_CHUNK


CRLF_DONE = b"data: [DONE]\r\n\r\n"
# What is said, and how much of it may be seen before the record is on disk.
ENDS = {
    "a body": (answer(b'{"id":"a"}'), None),
    "an empty body": (answer(b""), None),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", None),
    "an error": (answer(b'{"error":{}}', status="400 Bad Request"), None),
    "a body until the close": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}", b"{}"),
    "a stream": (STREAM_HEAD + chunked(frame("hi"), USAGE, DONE) + LAST_CHUNK, frame("hi")),
    "a stream byte by byte": (byte_by_byte(frame("hi"), USAGE, DONE), frame("hi")),
    "a stream in one piece": (STREAM_HEAD + chunked(frame("hi") + USAGE + DONE) + LAST_CHUNK, frame("hi")),
    "a stream without usage": (byte_by_byte(frame("hi"), DONE), frame("hi")),
    "a stream with CR LF": (byte_by_byte(frame("hi"), CRLF_DONE), frame("hi")),
    "a stream without a blank": (byte_by_byte(frame("hi"), b"data:[DONE]\n\n"), frame("hi")),
    "a stream without done": (byte_by_byte(frame("hi")), frame("hi")),
}


@pytest.mark.parametrize("name", ENDS)
def test_strict_an_answers_end_waits_until_its_record_is_on_disk(world: World, name: str) -> None:
    disk = world.small_disk()
    told, visible = ENDS[name]
    upstream = world.upstream(saying(told))
    relay = world.relay(upstream, folder=disk, journal=STRICT)
    filler = fill_up(disk)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", body=STREAM if visible else BODY))
        seen = b""
        if visible is not None:
            assert client.read_head()[0] == 200
            while len(seen) < len(visible):
                seen += client.read_chunk()
            assert seen == visible
        wait_until_failing(relay)
        assert has_nothing_to_read(client)
        assert relay.records(0) == []

        filler.unlink()
        if visible is None:
            assert client.read_answer().status == int(told[9:12])
        else:
            while piece := client.read_chunk():
                seen += piece
        assert len(relay.records(0)) == 1  # on disk before its end was seen
    whole = told if visible is None else b"".join(read_chunks(told)).replace(USAGE, b"")
    assert visible is None or seen == whole
    assert "new calls are refused" in world.errors.taken()[0]


def read_chunks(told: bytes) -> Iterator[bytes]:
    """The data of a chunked answer that is at hand whole; a body that ends with the close as it is."""
    _, _, rest = told.partition(b"\r\n\r\n")
    if b"chunked" not in told:
        yield rest
        return
    while rest != LAST_CHUNK:
        size, _, rest = rest.partition(b"\r\n")
        yield rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]


def test_strict_a_disk_that_does_not_come_back_breaks_the_answer(world: World) -> None:
    disk = world.small_disk()
    relay = world.relay(folder=disk, journal=STRICT)
    filler = fill_up(disk)
    with RawClient(relay.address) as client, RawClient(relay.address) as other:
        client.send(chat_request(Script(output_tokens=5), body=STREAM))
        assert client.read_head()[0] == 200
        wait_until_failing(relay)
        assert refused(other)  # at once: a refusal costs nobody anything
        other.send(chat_request(key="nobody's"))
        assert other.read_answer().status == 401
        relay.jump(31)
        assert DONE not in client.read_to_end()
    assert relay.inside(lambda: relay.process.data_plane.calls) == set()
    filler.unlink()
    relay.until(lambda: relay.journal.accepts_calls)
    assert sorted(str(record.status) for record in relay.records(3)) == ["200", "401", "503"]
    world.errors.taken()


def test_strict_a_client_that_vanishes_while_its_end_waits_is_recorded_once(world: World) -> None:
    disk = world.small_disk()
    relay = world.relay(folder=disk, journal=STRICT)
    filler = fill_up(disk)
    with RawClient(relay.address) as client:
        client.send(chat_request(Script(output_tokens=5), body=STREAM))
        assert client.read_head()[0] == 200
        wait_until_failing(relay)
    relay.until(lambda: not relay.process.data_plane.clients)
    filler.unlink()
    record = relay.record()

    assert (record.outcome, record.usage.source, record.usage.output_tokens) == ("completed", "reported", 5)
    world.errors.taken()

"""A key expires, is suspended or revoked while its client is at work."""

import threading
from pathlib import Path

import msgspec
import pytest

from support.raw_client import RawClient, chat_request
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, chunked, frame
from support.world import World
from tokenweir.policy import add_key, moment_of_expiry, resume_key, revoke_key, rotate_key, suspend_key


def ask(client: RawClient, key: str) -> tuple[int, str | None]:
    client.send(chat_request(key=key))
    answer = client.read_answer()
    return answer.status, msgspec.json.decode(answer.body).get("error", {}).get("code")


def test_a_key_that_expires_is_refused_on_the_connection_on_which_it_was_good(world: World, tmp_path: Path) -> None:
    relay = world.relay()
    before = relay.process.data_plane.services.keyring
    key, _ = add_key(tmp_path / "keys.json", "team-b", {}, relay.clock, expires_at=moment_of_expiry("1h", relay.clock))
    relay.until(lambda: relay.process.data_plane.services.keyring is not before)
    with RawClient(relay.address) as client:
        assert ask(client, key) == (200, None)
        relay.inside(lambda: relay.clock.jump(3601))
        assert ask(client, key) == (401, "invalid_api_key")
    refused = relay.records(2)[1]
    assert (refused.outcome, refused.status, refused.error_code) == ("refused", 401, "invalid_api_key")


def test_rotated_and_suspended_keys_are_what_they_are_on_open_connections(world: World, tmp_path: Path) -> None:
    relay, keys = world.relay(), tmp_path / "keys.json"
    services = relay.process.data_plane

    def until_seen(before: object) -> None:
        relay.until(lambda: services.services.keyring is not before)

    before = services.services.keyring
    old, stored = add_key(keys, "team-b", {}, relay.clock)
    new, successor, _ = rotate_key(keys, stored.key_id, 3600, relay.clock)
    until_seen(before)
    with RawClient(relay.address) as first, RawClient(relay.address) as second:
        assert (ask(first, old), ask(second, new)) == ((200, None), (200, None))
        before = services.services.keyring
        suspend_key(keys, successor.key_id, relay.clock)
        until_seen(before)
        assert (ask(first, old), ask(second, new)) == ((200, None), (403, "key_suspended"))
        before = services.services.keyring
        resume_key(keys, successor.key_id, relay.clock)
        until_seen(before)
        relay.inside(lambda: relay.clock.jump(3601))
        assert (ask(first, old), ask(second, new)) == ((401, "invalid_api_key"), (200, None))
    assert [record.key_id for record in relay.records(6)][:2] == [stored.key_id, successor.key_id]


@pytest.mark.parametrize("policy", ["finish", "end"])
def test_a_key_revoked_in_the_middle_of_a_stream(policy: str, world: World, tmp_path: Path) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("before")))
        resume.wait(20)
        line.send(chunked(frame("after"), USAGE, DONE) + LAST_CHUNK)

    keys = tmp_path / "keys.json"
    relay = world.relay(world.upstream(play), server={"on_key_revoked": policy})
    before = relay.process.data_plane.services.keyring
    key, stored = add_key(keys, "team-b", {}, relay.clock)
    relay.until(lambda: relay.process.data_plane.services.keyring is not before)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True, key=key))
        assert client.read_head()[0] == 200
        assert client.read_chunk() == frame("before")
        before = relay.process.data_plane.services.keyring
        revoke_key(keys, stored.key_id, relay.clock)
        relay.until(lambda: relay.process.data_plane.services.keyring is not before)
        if policy == "finish":
            resume.set()
            seen = b""
            while piece := client.read_chunk():
                seen += piece
            assert seen == frame("after") + DONE
        else:
            with pytest.raises(EOFError):
                client.read_chunk()
            resume.set()
    record = relay.record()
    told = ("completed", None, "reported") if policy == "finish" else ("refused", "invalid_api_key", "estimated")
    assert (record.outcome, record.error_code, record.usage.source) == told
    assert (record.caller, record.key_id, record.status) == ("team-b", stored.key_id, 200)


def test_the_first_key_of_an_open_gateway_ends_no_stream_that_came_in_without_one(world: World, tmp_path: Path) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("before")))
        resume.wait(20)
        line.send(chunked(USAGE, DONE) + LAST_CHUNK)

    relay = world.relay(world.upstream(play), server={"on_key_revoked": "end"}, callers=[])
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True, key="any").replace(b"gateway", b"localhost"))
        assert client.read_head()[0] == 200
        assert client.read_chunk() == frame("before")
        before = relay.process.data_plane.services.keyring
        add_key(tmp_path / "keys.json", "team-b", {}, relay.clock)
        relay.until(lambda: relay.process.data_plane.services.keyring is not before)
        resume.set()
        assert client.read_chunk()
    assert relay.record().outcome == "completed"
    world.check = lambda: None  # type: ignore[method-assign]  # its key is nobody's here

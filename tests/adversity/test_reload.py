"""Days on which the configuration or the keys change while calls are under way."""

import json
import threading
from pathlib import Path

from support.raw_client import RawClient, chat_request
from support.relay_thread import KEY, RelayThread
from support.scripted import Line
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World
from tokenweir.config import ConfigSource, load
from tokenweir.policy import add_key, hash_key, revoke_key
from tokenweir.records import Duration, SystemClock
from tokenweir.serve.reloading import reloaded

NEW_KEY = "tw-test-key-of-team-b"


def write_config(file: Path, *upstreams: tuple[str, str], caller: str = "team-b", key: str = NEW_KEY) -> None:
    """A file that serves every deployment from these upstreams, in this order, for one caller."""
    tables = [
        f'[[upstreams]]\nname = "{name}"\nendpoint = "{url}"\ncredential = {{ key = "k" }}' for name, url in upstreams
    ]
    tables.append(f'[[callers]]\nname = "{caller}"\nkey_sha256 = "{hash_key(key)}"')
    file.write_text("\n".join(tables))


def reload(relay: RelayThread) -> None:
    """As SIGHUP does."""
    relay.inside(relay.process.reload)


def status(client: RawClient, key: str) -> int:
    client.send(chat_request(key=key))
    return client.read_answer().status


def test_a_stream_does_not_notice_a_new_configuration_and_new_calls_have_it(world: World, tmp_path: Path) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("before")))
        resume.wait(20)
        line.send(chunked(frame("after"), USAGE, DONE) + LAST_CHUNK)

    config = tmp_path / "tokenweir.toml"
    relay = world.relay(world.upstream(play), config_path=config)
    with RawClient(relay.address) as streaming, RawClient(relay.address) as client:
        streaming.send(chat_request(deployment="faulty", stream=True))
        assert streaming.read_head()[0] == 200
        assert streaming.read_chunk() == frame("before")
        assert status(client, KEY) == 200
        write_config(config, ("renamed", world.sim.url))
        reload(relay)

        assert [status(client, KEY), status(client, NEW_KEY)] == [401, 200]
        resume.set()
        seen = b""
        while piece := streaming.read_chunk():
            seen += piece
        assert seen == frame("after") + DONE
        write_config(config, ("renamed", world.sim.url), caller="team-a", key=KEY)
        reload(relay)
        assert [status(client, KEY), status(client, NEW_KEY)] == [200, 401]
    records = relay.records(6)

    told = [(record.caller, record.backend, record.status) for record in records]
    assert told == [
        ("team-a", "sim", 200),
        (None, None, 401),
        ("team-b", "renamed", 200),
        ("team-a", "faulty-0", 200),
        ("team-a", "renamed", 200),
        (None, None, 401),
    ]
    assert records[3].usage.source == "reported"


def test_a_call_that_is_tried_elsewhere_finds_the_targets_it_began_with(world: World, tmp_path: Path) -> None:
    asked, fails = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        fails.wait(20)
        line.send(answer(b"{}", status="429 Too Many Requests"))

    config = tmp_path / "tokenweir.toml"
    relay = world.relay(world.upstream(play), then_sim=True, config_path=config)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        write_config(config, ("renamed", world.sim.url), caller="team-a", key=KEY)
        reload(relay)
        fails.set()
        assert client.read_answer().status == 200
    assert (relay.record().backend, relay.record().attempts) == ("sim", 2)
    assert relay.journal.upstream_errors == {"faulty-0": {"429": 1}}


def test_a_broken_configuration_changes_nothing_and_is_logged(world: World, tmp_path: Path) -> None:
    config = tmp_path / "tokenweir.toml"
    relay = world.relay(config_path=config)
    certificate = tmp_path / "authority.pem"
    certificate.write_text("this is no certificate")
    before = relay.process.data_plane.services.upstreams
    good = f'[[upstreams]]\nname = "sim"\nendpoint = "{world.sim.url}"\n'
    broken = {
        "not TOML": "[[upstreams",
        "no upstream": "",
        "an unknown name": good + 'credential = { key = "k" }\ncolour = "red"',
        "no credential": good + "credential = {}",
        "a missing variable": good + 'credential = { key_env = "TOKENWEIR_TEST_NO_SUCH_KEY" }',
        "a bad authority": good + f'credential = {{ key = "k" }}\nca_bundle = "{certificate}"',
        "not UTF-8": "\udcff",
    }
    with RawClient(relay.address) as client:
        for name, text in broken.items():
            config.write_bytes(text.replace("http://", "https://").encode(errors="surrogateescape"))
            reload(relay)
            (logged,) = world.errors.taken()
            assert "was not reloaded, the old one stays" in logged, name
            assert relay.process.data_plane.services.upstreams is before
            assert status(client, KEY) == 200
        config.unlink()
        reload(relay)
        assert "was not reloaded" in world.errors.taken()[0]
        assert status(client, KEY) == 200
    assert len(relay.records(8)) == 8


def test_keys_come_and_go_while_connections_stay(world: World, tmp_path: Path) -> None:
    relay = world.relay()
    keys = tmp_path / "keys.json"

    def until_seen(before: object) -> None:
        relay.until(lambda: relay.process.data_plane.services.keyring is not before)

    with RawClient(relay.address) as client:
        assert status(client, KEY) == 200
        before = relay.process.data_plane.services.keyring
        key, stored = add_key(keys, "team-c", {"cost_centre": "1"}, SystemClock())
        until_seen(before)
        assert [status(client, key), status(client, KEY)] == [200, 200]

        before = relay.process.data_plane.services.keyring
        revoke_key(keys, stored.key_id, SystemClock())
        until_seen(before)
        assert [status(client, key), status(client, KEY)] == [401, 200]

        before = relay.process.data_plane.services.keyring
        good = keys.read_bytes()
        keys.write_text("this is no keys file")
        relay.until(lambda: world.errors._messages)
        relay.inside(lambda: relay.clock.jump(10))
        until_seen(before)
        assert "all of its keys will be refused" in world.errors.taken()[0]
        relay.until(lambda: "all of its keys are refused" in relay.journal.troubles["keys"].message)
        assert [status(client, key), status(client, KEY)] == [503, 200]

        before = relay.process.data_plane.services.keyring
        keys.write_bytes(good)
        until_seen(before)
        assert [status(client, key), status(client, KEY)] == [401, 200]
        world.errors.taken()
    records = relay.records(9)

    assert [record.caller for record in records[:5]] == ["team-a", "team-c", "team-a", None, "team-a"]
    assert records[5].error_code == "keys_unavailable"
    assert records[1].key_id == stored.key_id
    assert records[1].tags == {"cost_centre": "1"}


def test_a_keys_file_that_is_gone_does_not_open_the_port(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    stored = {"key_id": "key_1", "caller": "team-a", "sha256": hash_key(KEY), "created_at": "2026-11-24T12:00:00Z"}
    keys.write_text(json.dumps({"keys": [stored]}))
    config = tmp_path / "tokenweir.toml"
    config.write_text(f'[[upstreams]]\nname = "sim"\nendpoint = "{world.sim.url}"\ncredential = {{ key = "k" }}')
    relay = world.relay(callers=[], config_path=config)
    with RawClient(relay.address) as client:
        assert [status(client, KEY), status(client, "another")] == [200, 401]
        keys.rename(tmp_path / "away.json")
        relay.until(lambda: world.errors._messages)
        assert "stay in force" in world.errors.taken()[0]
        assert [status(client, KEY), status(client, "another")] == [200, 401]
    assert len(relay.records(4)) == 4


def test_what_needs_a_new_start_is_named_each_time_and_nothing_else_is(world: World, tmp_path: Path) -> None:
    config = tmp_path / "tokenweir.toml"
    write_config(config, ("sim", world.sim.url), caller="team-a", key=KEY)
    running = load(config, {}).config
    assert reloaded(ConfigSource(config), running).waiting == []
    price = '[[prices]]\nmodel = "gpt-4o"\ncurrency = "EUR"\ninput = 1\noutput = 1\n'
    tables = '[journal]\ncontent = "full"\narchive = "kept"\n[tracing]\nsample = 0.5\n[retention]\ntraces = "7d"\n'
    config.write_text(f"{tables}{price}{config.read_text()}\n")
    for _ in range(2):
        again = reloaded(ConfigSource(config), running)
        assert again.waiting == ["journal.content", "tracing.sample"]
        running = again.config
    assert running.journal.content != "full"
    without_ledger = ConfigSource(config, {"TOKENWEIR_LEDGER__URL": "none"})  # as `serve --no-ledger` has it
    sink = '[[sinks]]\nname = "a"\nkind = "file"\nconnection = { path = "events.jsonl" }\n'
    config.write_text(config.read_text() + sink)
    started = without_ledger.load({}).config
    assert reloaded(without_ledger, started).waiting == []
    assert reloaded(ConfigSource(config), started).waiting == ["ledger.url"]
    assert (running.journal.archive, running.retention.traces) == (str(tmp_path / "kept"), Duration(7 * 86_400))
    assert [price.model for price in running.prices] == ["gpt-4o"]


def test_what_needs_a_new_start_does_not_come_with_a_reload(world: World, tmp_path: Path) -> None:
    config = tmp_path / "tokenweir.toml"
    relay = world.relay(config_path=config)
    write_config(config, ("sim", world.sim.url), caller="team-a", key=KEY)
    config.write_text('[journal]\ncontent = "full"\n' + config.read_text())
    reload(relay)
    with RawClient(relay.address) as client:
        assert status(client, KEY) == 200
    assert relay.record().request_body is None

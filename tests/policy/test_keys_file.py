"""The keys file keeps hashes only, and survives whatever happens around a change."""

import errno
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from tokenweir.errors import ConfigError
from tokenweir.policy import add_key, hash_key, read_keys, revoke_key
from tokenweir.records import SystemClock

CLOCK = JumpingClock()


def test_no_file_holds_no_keys(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "keys.json") == []


def test_a_created_key_is_found_by_its_hash_and_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    key, stored = add_key(path, "team-a", {"cost_centre": "4711"}, CLOCK)
    assert read_keys(path) == [stored]
    assert key.startswith("tw-") and len(key) == 46
    assert stored.sha256 == hash_key(key)
    assert stored.created_at == CLOCK.now()
    assert stored.tags == {"cost_centre": "4711"}
    assert key[3:] not in path.read_text()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "team-a", {}, CLOCK)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_two_keys_are_alike(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = [add_key(path, "team-a", {}, CLOCK) for _ in range(20)]
    assert len({key for key, _ in made}) == len({stored.key_id for _, stored in made}) == 20


def test_a_revoked_key_stays_with_the_time_of_its_first_revocation(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, stored = add_key(path, "team-a", {}, SystemClock())
    revoked = revoke_key(path, stored.key_id, CLOCK)
    assert revoked.is_revoked
    assert revoke_key(path, stored.key_id, SystemClock()) == revoked
    assert read_keys(path) == [revoked]


def test_an_unknown_key_cannot_be_revoked_and_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "team-a", {}, CLOCK)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"no key key_0000.*tokenweir keys list"):
        revoke_key(path, "key_0000", CLOCK)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b'{"keys": [{"key_id": "key_1"}]}',
        b'{"keys": [{"key_id": "k", "caller": "c", "sha256": "abc", "created_at": "2026-01-01T00:00:00Z"}]}',
    ],
)
def test_a_file_that_is_something_else_is_refused_by_name_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"keys\.json is not a keys file"):
        add_key(path, "team-a", {}, CLOCK)
    assert path.read_bytes() == content


def test_what_is_left_of_an_interrupted_write_is_swept_away(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    (tmp_path / "keys.json.new").write_bytes(b'{"keys": [')
    _, stored = add_key(path, "team-a", {}, CLOCK)
    assert read_keys(path) == [stored]
    assert not (tmp_path / "keys.json.new").exists()


def test_a_directory_in_its_place_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_keys(tmp_path)


def _create_ten(path: Path) -> None:
    for _ in range(10):
        add_key(path, "team-a", {}, SystemClock())


def test_two_people_creating_keys_at_once_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    spawn = multiprocessing.get_context("fork")
    people = [spawn.Process(target=_create_ten, args=(path,)) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(read_keys(path)) == 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_changes_still_belongs_to_the_service(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 23456)
    path = home / "data" / "keys.json"
    _, stored = add_key(path, "team-a", {}, CLOCK)
    owned = [path.parent, path, path.with_name("keys.json.lock")]
    assert [(file.stat().st_uid, file.stat().st_gid) for file in owned] == [(12345, 23456)] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    os.chown(path, 12345, 34567)
    revoke_key(path, stored.key_id, CLOCK)
    assert (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (12345, 34567, 0o640)


def test_where_a_new_file_finds_no_room_the_old_one_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    ids = [add_key(path, "team-a", {}, CLOCK)[1].key_id for _ in range(20)]
    size = path.stat().st_size

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    monkeypatch.setattr("os.posix_fallocate", full)
    for key_id in ids:
        assert revoke_key(path, key_id, CLOCK).is_revoked
    assert all(key.is_revoked for key in read_keys(path))
    assert path.stat().st_size == size
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left on device\), so nothing has changed"):
        for _ in range(20):
            add_key(path, "team-a", {}, CLOCK)
    assert all(key.is_revoked for key in read_keys(path)[:20])

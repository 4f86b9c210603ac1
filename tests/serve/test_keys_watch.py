"""What is in force of a keys file that changes, hides and breaks under a running gateway."""

import os
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from tokenweir.policy import add_key, revoke_key
from tokenweir.records import SystemClock
from tokenweir.serve.keys_watch import KeysWatch


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add(path: Path, caller: str) -> str:
    return add_key(path, caller, {}, SystemClock())[1].key_id


def in_force(watch: KeysWatch) -> list[tuple[str, bool]]:
    return [(key.caller, key.is_revoked) for key in watch.in_force.stored]


def test_keys_come_and_are_revoked(path: Path, clock: JumpingClock) -> None:
    watch = KeysWatch(path, clock)
    assert (in_force(watch), watch.trouble, watch.in_force.digest) == ([], None, 0)
    key_id = add(path, "ada")
    assert watch.look() and not watch.look()
    assert in_force(watch) == [("ada", False)]
    revoke_key(path, key_id, SystemClock())
    assert watch.look()
    assert in_force(watch) == [("ada", True)]


def test_a_change_that_the_times_of_a_share_do_not_show_is_seen_within_seconds(path: Path, clock: JumpingClock) -> None:
    add(path, "ada")
    watch = KeysWatch(path, clock)
    before = path.stat()
    content = path.read_bytes().replace(b"ada", b"bob")
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not watch.look()
    clock.jump(5)
    assert watch.look()
    assert in_force(watch) == [("bob", False)]


def test_another_time_with_the_same_content_changes_nothing(path: Path, clock: JumpingClock) -> None:
    add(path, "ada")
    watch = KeysWatch(path, clock)
    os.utime(path, ns=(1, 1))
    assert not watch.look()


def test_a_file_that_is_gone_leaves_its_keys_in_force(path: Path, clock: JumpingClock) -> None:
    add(path, "ada")
    watch = KeysWatch(path, clock)
    path.rename(path.with_name("away"))
    assert not watch.look()
    assert watch.trouble is not None and "is gone; the keys it held stay in force" in watch.trouble.message
    since = watch.trouble.since
    clock.jump(3600)
    assert not watch.look()
    assert watch.trouble.since == since
    path.with_name("away").rename(path)
    watch.look()
    assert watch.trouble is None and in_force(watch) == [("ada", False)]


def test_a_change_that_cannot_be_read_closes_after_a_pause(path: Path, clock: JumpingClock) -> None:
    add(path, "ada")
    watch = KeysWatch(path, clock)
    good = path.read_bytes()
    path.write_bytes(b"half of it")
    assert not watch.look()
    assert watch.trouble is not None and "all of its keys will be refused in 10 s" in watch.trouble.message
    clock.jump(9)
    assert not watch.look() and not watch.in_force.is_closed
    clock.jump(1)
    assert watch.look() and watch.in_force.is_closed
    assert "all of its keys are refused" in watch.trouble.message
    path.write_bytes(good)
    assert watch.look() and not watch.in_force.is_closed and watch.trouble is None


def test_a_file_that_cannot_be_read_at_the_start_closes_at_once(path: Path, clock: JumpingClock) -> None:
    path.write_bytes(b"?")
    watch = KeysWatch(path, clock)
    assert watch.in_force.is_closed and watch.trouble is not None
    path.unlink()
    assert watch.look() and not watch.in_force.is_closed and watch.trouble is None


def test_a_share_that_answers_with_errors_leaves_the_keys_in_force(
    path: Path, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(path, "ada")
    watch = KeysWatch(path, clock)

    def fail(self: Path) -> bytes:
        raise OSError(5, "Input/output error")

    clock.jump(5)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fail)
        assert not watch.look()
    clock.jump(60)
    assert watch.trouble is not None and "as they were read last" in watch.trouble.message
    assert not watch.in_force.is_closed


def test_trouble_is_logged_once(path: Path, clock: JumpingClock, caplog: pytest.LogCaptureFixture) -> None:
    add(path, "ada")
    watch = KeysWatch(path, clock)
    path.rename(path.with_name("away"))
    for _ in range(3):
        watch.look()
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1

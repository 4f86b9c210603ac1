"""Keys are made, rotated, suspended, resumed and revoked; what each of them opens follows from that."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from support.clocks import JumpingClock
from tokenweir.errors import ConfigError, InvalidApiKey, KeySuspended
from tokenweir.policy import (
    KeyNotValid,
    Keyring,
    KeysFile,
    StoredKey,
    UnknownKey,
    add_key,
    hash_key,
    moment_of_expiry,
    read_keys,
    require_groups,
    resume_key,
    revoke_key,
    rotate_key,
    suspend_key,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def opens(path: Path, key: str, now: datetime) -> bool:
    try:
        Keyring([], read_keys(path)).identify(key.encode(), now)
    except (InvalidApiKey, KeySuspended):
        return False
    return True


def test_a_rotated_key_and_its_successor_are_valid_at_once_for_the_overlap(path: Path, clock: JumpingClock) -> None:
    old, stored = add_key(path, "team", {"centre": "1"}, clock, groups=["gold"])
    new, successor, before = rotate_key(path, stored.key_id, 3600, clock)
    assert (successor.caller, successor.tags, successor.groups) == ("team", {"centre": "1"}, ["gold"])
    assert (successor.replaces, before.key_id, before.expires_at) == (stored.key_id, stored.key_id, NOW + HOUR)
    assert read_keys(path) == [before, successor]
    moments = [NOW, NOW + HOUR - timedelta(microseconds=1), NOW + HOUR]
    assert [opens(path, old, now) for now in moments] == [True, True, False]
    assert [opens(path, new, now) for now in moments] == [True, True, True]


def test_a_rotation_never_lets_the_old_key_live_longer(path: Path, clock: JumpingClock) -> None:
    _, stored = add_key(path, "team", {}, clock, expires_at=NOW + HOUR)
    assert rotate_key(path, stored.key_id, 86_400, clock)[2].expires_at == NOW + HOUR


def test_a_rotation_without_overlap_ends_the_old_key_at_once(path: Path, clock: JumpingClock) -> None:
    old, stored = add_key(path, "team", {}, clock)
    new, _, _ = rotate_key(path, stored.key_id, 0, clock, expires_at=NOW + HOUR)
    assert (opens(path, old, NOW), opens(path, new, NOW), opens(path, new, NOW + HOUR)) == (False, True, False)


def test_a_suspended_key_opens_nothing_and_says_so_until_it_is_resumed(path: Path, clock: JumpingClock) -> None:
    key, stored = add_key(path, "team", {}, clock)
    suspended = suspend_key(path, stored.key_id, clock)
    with pytest.raises(KeySuspended, match="is suspended") as refused:
        Keyring([], read_keys(path)).identify(key.encode(), NOW)
    assert (refused.value.status, refused.value.code) == (403, "key_suspended")
    clock.jump(60)
    assert suspend_key(path, stored.key_id, clock) == suspended
    assert resume_key(path, stored.key_id, clock) == stored == resume_key(path, stored.key_id, clock)
    assert opens(path, key, NOW)


def test_an_expired_key_says_when_it_expired(path: Path, clock: JumpingClock) -> None:
    key, _ = add_key(path, "team", {}, clock, expires_at=NOW + HOUR)
    with pytest.raises(InvalidApiKey, match="expired at 2026-11-22 13:00:00 UTC"):
        Keyring([], read_keys(path)).identify(key.encode(), NOW + HOUR)


def test_what_is_over_is_not_brought_back(path: Path, clock: JumpingClock) -> None:
    _, stored = add_key(path, "team", {}, clock)
    suspend_key(path, stored.key_id, clock)
    with pytest.raises(KeyNotValid, match="is suspended, so nothing can take its place"):
        rotate_key(path, stored.key_id, 0, clock)
    revoke_key(path, stored.key_id, clock)
    before = path.read_bytes()
    for change in (suspend_key, resume_key):
        with pytest.raises(KeyNotValid, match="revoked, for good"):
            change(path, stored.key_id, clock)
    with pytest.raises(KeyNotValid, match="is revoked"):
        rotate_key(path, stored.key_id, 0, clock)
    with pytest.raises(UnknownKey):
        rotate_key(path, "key_0", 0, clock)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("1h30m", NOW + 1.5 * HOUR),
        ("2027-06-30", datetime(2027, 6, 30, tzinfo=UTC)),
        ("2027-06-30T18:00:00+02:00", datetime(2027, 6, 30, 16, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_time_from_now_or_a_moment(text: str, moment: datetime, clock: JumpingClock) -> None:
    assert moment_of_expiry(text, clock) == moment


@pytest.mark.parametrize("text", ["", "soon", "-1d", "0s", "2026-11-22", "1e9", "99999999999d", "2027-13-01"])
def test_an_expiry_that_is_none_or_past_is_refused(text: str, clock: JumpingClock) -> None:
    with pytest.raises(ConfigError, match="no time at which a key can expire|is past"):
        moment_of_expiry(text, clock)


def test_a_group_that_is_not_configured_is_refused() -> None:
    require_groups(["gold"], {"gold": 1, "silver": 1})
    with pytest.raises(ConfigError, match="no group is called 'bronze'; there is gold, silver"):
        require_groups(["gold", "bronze"], ["silver", "gold"])


def test_a_document_of_a_version_before_has_keys_that_never_expire(path: Path) -> None:
    kept = {"key_id": "key_1", "caller": "team", "sha256": hash_key("k"), "created_at": "2026-01-01T00:00:00Z"}
    path.write_text(json.dumps({"keys": [kept]}))
    assert read_keys(path) == [StoredKey("key_1", "team", hash_key("k"), datetime(2026, 1, 1, tzinfo=UTC))]
    assert opens(path, "k", datetime.max.replace(tzinfo=UTC))


ACTS = st.lists(st.sampled_from(["rotate", "suspend", "resume", "revoke", "pass time"]), max_size=12)


@given(ACTS)
def test_a_key_opens_exactly_while_it_is_valid_whatever_is_done_to_it(acts: list[str]) -> None:
    """Against a model of three facts."""
    clock, store = JumpingClock(NOW), _Memory()
    key, stored = add_key(store, "team", {}, clock)
    revoked = suspended = False
    end: datetime | None = None
    for act in acts:
        valid = not (revoked or suspended or (end is not None and clock.now() >= end))
        try:
            if act == "rotate":
                rotate_key(store, stored.key_id, 3600, clock)
                assert valid
                end = min(end or datetime.max.replace(tzinfo=UTC), clock.now() + HOUR)
            elif act == "suspend":
                suspend_key(store, stored.key_id, clock)
                suspended = True
            elif act == "resume":
                resume_key(store, stored.key_id, clock)
                suspended = False
            elif act == "revoke":
                revoke_key(store, stored.key_id, clock)
                revoked = True
            else:
                clock.jump(1800)
        except KeyNotValid:
            assert revoked or (act == "rotate" and not valid)
        valid = not (revoked or suspended or (end is not None and clock.now() >= end))
        assert (store.keys[0].state_at(clock.now()) == "valid") is valid
        try:
            Keyring([], store.keys).identify(key.encode(), clock.now())
            assert valid
        except (InvalidApiKey, KeySuspended):
            assert not valid


class _Memory(KeysFile):
    """A store without a disk."""

    def __init__(self) -> None:
        self.where = "memory"
        self.keys: list[StoredKey] = []

    def content(self) -> bytes | None:
        return b"{}"

    def changing(self):  # type: ignore[no-untyped-def]
        return self

    def __enter__(self) -> list[StoredKey]:
        return self.keys

    def __exit__(self, *_: object) -> None:
        pass

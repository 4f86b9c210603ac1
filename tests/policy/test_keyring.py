"""A key becomes an identity or the call ends; the port is open only where nobody was ever given a key."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest

from tokenweir.errors import InvalidApiKey, KeysUnavailable
from tokenweir.policy import ANONYMOUS, CallerSettings, Identity, Keyring, StoredKey, hash_key

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def stored(key: str, caller: str, *, revoked: bool = False, tags: dict[str, str] | None = None) -> StoredKey:
    return StoredKey("key_" + caller, caller, hash_key(key), NOW, NOW if revoked else None, tags or {})


def caller(name: str, key: str | None = None, **tags: str) -> CallerSettings:
    return CallerSettings(name, sha256(key.encode()).hexdigest() if key else None, tags)


def test_with_no_key_anywhere_every_key_opens() -> None:
    keyring = Keyring([], [])
    assert keyring.is_open
    assert keyring.identify(None, NOW) is keyring.identify(b"any", NOW) is ANONYMOUS
    assert repr(keyring) == "<Keyring open to all>"


@pytest.mark.parametrize(
    "keyring",
    [
        Keyring([caller("team")], []),
        Keyring([caller("team", "k")], []),
        Keyring([], [stored("k", "team")]),
        Keyring([], [stored("old", "team", revoked=True)]),
        Keyring([caller("team", "k")], [stored("old", "team", revoked=True)]),
    ],
    ids=["a caller without a key", "a caller with one", "a stored key", "a revoked key only", "both"],
)
@pytest.mark.parametrize("key", [None, b"", b"old", b"wrong", b"K", b"k "])
def test_once_anybody_is_configured_nobody_else_comes_in(keyring: Keyring, key: bytes | None) -> None:
    assert not keyring.is_open
    with pytest.raises(InvalidApiKey):
        keyring.identify(key, NOW)


def test_a_key_in_the_configuration_is_its_callers() -> None:
    settings = CallerSettings("team", sha256(b"k").hexdigest().upper(), {"centre": "4711"}, "drain")
    identity = Keyring([settings], []).identify(b"k", NOW)
    digest = sha256(b"k").hexdigest()
    assert identity == Identity("team", f"sha256-{digest[:12]}", {"centre": "4711"}, "drain")


def test_a_stored_key_has_its_callers_tags_and_its_own_go_first() -> None:
    known = CallerSettings("team", None, {"centre": "4711", "stage": "prod"}, "drain")
    keyring = Keyring([known], [stored("k", "team", tags={"stage": "test"}), stored("x", "stranger", tags={"a": "b"})])
    assert keyring.identify(b"k", NOW) == Identity("team", "key_team", {"centre": "4711", "stage": "test"}, "drain")
    assert keyring.identify(b"x", NOW) == Identity("stranger", "key_stranger", {"a": "b"})


def test_a_key_that_was_made_for_a_former_name_is_a_key_of_the_caller() -> None:
    renamed = CallerSettings("platform", tags={"cost_centre": "4711"}, formerly=["team-a"])
    identity = Keyring([renamed], [stored("sk", "team-a")]).identify(b"sk", NOW)
    assert (identity.caller, identity.tags) == ("platform", {"cost_centre": "4711"})


def test_several_keys_of_one_caller_are_told_apart() -> None:
    keyring = Keyring([caller("team", "k1")], [stored("k2", "team")])
    first, second = keyring.identify(b"k1", NOW), keyring.identify(b"k2", NOW)
    assert first.caller == second.caller == "team"
    assert first.key_id != second.key_id
    assert repr(keyring) == "<Keyring 2 keys>"


def test_a_revoked_key_does_not_close_the_others() -> None:
    keyring = Keyring([], [stored("old", "team", revoked=True), stored("new", "team")])
    assert keyring.identify(b"new", NOW).caller == "team"
    with pytest.raises(InvalidApiKey, match="not known here, or was revoked"):
        keyring.identify(b"old", NOW)


def test_a_refusal_says_where_a_key_belongs_and_never_repeats_it() -> None:
    keyring = Keyring([caller("team", "k")], [])
    with pytest.raises(InvalidApiKey) as missing:
        keyring.identify(None, NOW)
    for place in ("api-key", "Ocp-Apim-Subscription-Key", "Authorization: Bearer", "subscription-key"):
        assert place in str(missing.value)
    with pytest.raises(InvalidApiKey) as wrong:
        keyring.identify(b"s3cret", NOW)
    assert "s3cret" not in str(wrong.value) and wrong.value.status == 401


def test_keys_that_cannot_be_read_may_have_been_revoked() -> None:
    ring = Keyring([CallerSettings("ada", hash_key("known"))], [], unreadable=True)
    assert ring.identify(b"known", NOW).caller == "ada"
    with pytest.raises(KeysUnavailable):
        ring.identify(b"of the file", NOW)
    with pytest.raises(InvalidApiKey):
        ring.identify(None, NOW)


def test_a_ring_that_may_not_be_open_lets_nobody_in() -> None:
    ring = Keyring([], [], may_be_open=False)
    assert not ring.is_open
    with pytest.raises(InvalidApiKey):
        ring.identify(b"any", NOW)


def test_an_operator_may_have_keys_written_down_as_they_are() -> None:
    keyring = Keyring([CallerSettings("team", hash_key("k"))], [], keeps_keys=True)
    assert keyring.identify(b"k", NOW).key_id == "k"
    assert Keyring([], [], keeps_keys=True).identify(b"any", NOW) is ANONYMOUS

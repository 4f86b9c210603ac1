"""Keys are shown once, listed without themselves, and revoked for good."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenweir.policy.keys_file import hash_key, read_keys

Tokenweir = Callable[..., Any]
KEYS = Path("tokenweir-data/keys.json")


def test_a_new_key_is_all_of_standard_output_and_its_hash_is_stored(tokenweir: Tokenweir) -> None:
    ran = tokenweir("keys", "create", "team-a", "--tag", "cost_centre=4711", "--tag", "note=a=b")
    key = ran.out.strip()
    [stored] = read_keys(KEYS)
    assert ran.exit_code == 0
    assert stored.sha256 == hash_key(key)
    assert stored.caller == "team-a"
    assert stored.tags == {"cost_centre": "4711", "note": "a=b"}
    assert stored.key_id in ran.err and "only time" in ran.err
    assert key not in ran.err


def test_the_first_key_says_that_anonymous_access_ends(tokenweir: Tokenweir) -> None:
    assert "It is the first key" in tokenweir("keys", "create", "team-a").err
    assert "It is the first key" not in tokenweir("keys", "create", "team-b").err


def test_a_key_beside_configured_callers_is_not_the_first(tokenweir: Tokenweir, minimal: Path) -> None:
    minimal.write_text(minimal.read_text() + '[[callers]]\nname = "a"\n')
    assert "It is the first key" not in tokenweir("keys", "create", "team-a").err


def test_keys_are_made_where_the_configuration_says_even_while_a_gateway_could_not_start(
    tokenweir: Tokenweir, here: Path
) -> None:
    (here / "open.toml").write_text('[server]\ndata = "0.0.0.0:8080"\nkeys = "elsewhere/keys.json"\n')
    assert tokenweir("keys", "create", "team-a", "--config", "open.toml").exit_code == 0
    assert len(read_keys(here / "elsewhere/keys.json")) == 1


@pytest.mark.parametrize("name", ["", " ", " a", "a\n", "x" * 129])
def test_a_name_that_would_spoil_reports_is_refused(tokenweir: Tokenweir, name: str) -> None:
    ran = tokenweir("keys", "create", name)
    assert (ran.exit_code, ran.out) == (2, "")
    assert "cannot be a caller's name" in ran.err
    assert not KEYS.exists()


@pytest.mark.parametrize("tag", ["x", "=x"])
def test_a_tag_has_a_name_and_a_value(tokenweir: Tokenweir, tag: str) -> None:
    ran = tokenweir("keys", "create", "team-a", "--tag", tag)
    assert ran.exit_code == 2
    assert "write it like cost_centre=4711" in ran.err
    assert not KEYS.exists()


def test_the_list_shows_every_key_and_no_hash(tokenweir: Tokenweir) -> None:
    tokenweir("keys", "create", "team-a")
    tokenweir("keys", "create", "team-b", "--tag", "x=y")
    first, second = read_keys(KEYS)
    tokenweir("keys", "revoke", first.key_id)
    rows = json.loads(tokenweir("keys", "list", "--format", "json").out)
    assert [row["key_id"] for row in rows] == [first.key_id, second.key_id]
    assert [row["revoked_at"] is None for row in rows] == [False, True]
    table = tokenweir("keys", "list").out
    assert first.key_id in table and "team-b" in table and "x=y" in table
    assert first.sha256 not in table + str(rows)


def test_revoking_says_whose_key_it_was_and_an_unknown_one_is_refused(tokenweir: Tokenweir) -> None:
    tokenweir("keys", "create", "team-a")
    [stored] = read_keys(KEYS)
    ran = tokenweir("keys", "revoke", stored.key_id)
    assert ran.out.startswith(f"{stored.key_id} of team-a is revoked since ")
    assert read_keys(KEYS)[0].is_revoked
    assert tokenweir("keys", "revoke", "key_nosuch").exit_code == 2


def test_a_key_is_made_for_a_while_and_in_a_group(tokenweir: Tokenweir, minimal: Path) -> None:
    minimal.write_text(minimal.read_text() + '[[groups]]\nname = "gold"\n')
    ran = tokenweir("keys", "create", "team-a", "--group", "gold", "--expires", "2099-01-01")
    [stored] = read_keys(KEYS)
    assert (stored.groups, str(stored.expires_at)) == (["gold"], "2099-01-01 00:00:00+00:00")
    assert "It expires at 2099-01-01 00:00:00 UTC." in ran.err
    for wrong in (["--group", "silver"], ["--expires", "soon"], ["--expires", "2020-01-01"]):
        refused = tokenweir("keys", "create", "team-a", *wrong)
        assert (refused.exit_code, refused.out) == (2, "")
    assert len(read_keys(KEYS)) == 1


def test_a_key_is_rotated_suspended_and_resumed(tokenweir: Tokenweir) -> None:
    tokenweir("keys", "create", "team-a", "--tag", "x=y")
    [old] = read_keys(KEYS)
    ran = tokenweir("keys", "rotate", old.key_id, "--overlap", "1h")
    before, new = read_keys(KEYS)
    assert new.sha256 == hash_key(ran.out.strip())
    assert (new.caller, new.tags, new.replaces) == ("team-a", {"x": "y"}, old.key_id)
    assert f"{old.key_id} is valid beside it until {before.expires_at:%Y-%m-%d %H:%M:%S} UTC." in ran.err
    assert tokenweir("keys", "suspend", new.key_id).out.startswith(f"{new.key_id} of team-a is suspended since ")
    rows = json.loads(tokenweir("keys", "list", "--format", "json").out)
    assert [row["state"] for row in rows] == ["valid", "suspended"]
    assert tokenweir("keys", "rotate", new.key_id).exit_code == 2
    assert tokenweir("keys", "resume", new.key_id).out == f"{new.key_id} of team-a is not suspended.\n"
    assert tokenweir("keys", "rotate", old.key_id, "--overlap", "soon").exit_code == 2
    assert tokenweir("keys", "suspend", "key_nosuch").exit_code == 2

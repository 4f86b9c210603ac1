"""What a caller may use: its own lists, else those of all its groups together."""

from datetime import UTC, datetime

import pytest

from tokenweir.policy import CallerSettings, GroupSettings, Keyring, NameList, Permissions, StoredKey, hash_key

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BASIC = GroupSettings("basic", {"tier": "basic", "centre": "1"}, ["gpt-4o-mini", "text-*"])
GOLD = GroupSettings("gold", {"tier": "gold"}, ["gpt-5*"], ["gpt-5*"])
BOOKED = GroupSettings("booked", {"booked": "yes"})


def identity_of(caller: CallerSettings | None, key_groups: tuple[str, ...] = (), **tags: str):  # type: ignore[no-untyped-def]
    stored = StoredKey("key_1", "team", hash_key("k"), NOW, None, tags, list(key_groups))
    return Keyring([caller] if caller else [], [stored], [BASIC, GOLD, BOOKED]).identify(b"k", NOW)


def allowed(permissions: Permissions | None, kind: str) -> str | None:
    assert permissions is not None
    names = getattr(permissions, kind)
    return None if names is None else str(names)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["a", "b*"], {"a": True, "aa": False, "b": True, "b-1": True, "ab": False, "": False}),
        (["*"], {"": True, "anything": True}),
        ([], {"": False, "a": False}),
        (["a*b"], {"a*b": True, "axb": False}),
    ],
)
def test_a_list_has_names_and_beginnings(patterns: list[str], names: dict[str, bool]) -> None:
    assert {name: NameList(patterns).holds(name) for name in names} == names


def test_without_any_list_everything_may_be_used() -> None:
    identity = identity_of(CallerSettings("team", groups=["booked"]))
    assert (identity.groups, identity.permissions, identity.tags) == (("booked",), None, {"booked": "yes"})
    assert identity_of(None).permissions is None


def test_groups_add_up_and_one_that_has_no_list_says_nothing() -> None:
    identity = identity_of(CallerSettings("team", groups=["basic", "gold", "booked"]))
    assert allowed(identity.permissions, "deployments") == "gpt-4o-mini, gpt-5*, text-*"
    assert allowed(identity.permissions, "models") == "gpt-5*"
    assert allowed(identity.permissions, "surfaces") is None


def test_a_list_of_the_callers_own_stands_in_the_place_of_its_groups_list_of_that_kind() -> None:
    identity = identity_of(CallerSettings("team", groups=["gold"], deployments=["o3"]))
    assert allowed(identity.permissions, "deployments") == "o3"
    assert allowed(identity.permissions, "models") == "gpt-5*"


def test_a_key_with_groups_of_its_own_is_in_those_instead() -> None:
    identity = identity_of(CallerSettings("team", groups=["gold"]), ("basic",))
    assert identity.groups == ("basic",)
    assert allowed(identity.permissions, "deployments") == "gpt-4o-mini, text-*"


def test_a_group_that_is_gone_allows_nothing_and_takes_nothing_away() -> None:
    assert allowed(identity_of(None, ("gone",)).permissions, "deployments") == "nothing"
    both = identity_of(None, ("gone", "basic")).permissions
    assert allowed(both, "deployments") == "gpt-4o-mini, text-*"
    assert allowed(both, "surfaces") == "nothing"


def test_of_a_tag_the_key_goes_before_the_caller_the_caller_before_groups_and_the_first_group_before_others() -> None:
    caller = CallerSettings("team", tags={"centre": "2"}, groups=["gold", "basic"])
    assert identity_of(caller, tier="trial").tags == {"tier": "trial", "centre": "2"}
    assert identity_of(caller).tags == {"tier": "gold", "centre": "2"}


def test_callers_that_are_alike_share_what_they_may_use() -> None:
    callers = [CallerSettings(f"team-{n}", hash_key(f"k{n}"), groups=["basic"]) for n in range(3)]
    ring = Keyring(callers, [], [BASIC])
    assert len({id(ring.identify(b"k%d" % n, NOW).permissions) for n in range(3)}) == 1

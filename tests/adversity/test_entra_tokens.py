"""Callers with tokens of Entra ID, on good days and bad ones of their issuer."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from support.clocks import JumpingClock
from support.entra import APPLICATION, TENANT, Issuer, issuer_settings, serving_issuer
from support.raw_client import RawClient, chat_request
from support.relay_thread import KEY, RelayThread
from support.world import World
from tokenweir.policy import CallerSettings, GroupSettings, hash_key

CALLERS = [CallerSettings("team-a", hash_key(KEY)), CallerSettings("team-app", applications=[APPLICATION])]
GROUPS = [GroupSettings("mini", {"tier": "mini"}, ["gpt-4o-mini"], entra=["mini-users"])]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving_issuer(JumpingClock(runs=True)) as serving:
        yield serving


def relay_with(world: World, issuer: Issuer, *, ready: bool = True, **chosen: Any) -> RelayThread:
    tables = {"entra": issuer_settings(issuer, **chosen), "groups": GROUPS}
    relay = world.relay(callers=CALLERS, tables=tables)
    issuer.clock = relay.clock
    if ready:
        relay.until(lambda: "<TokenVerifier 0" not in repr(relay.process.data_plane.services.keyring.tokens))
    return relay


def call(client: RawClient, *, token: str | None = None, key: str | None = None) -> tuple[int, str | None]:
    request = chat_request(None, *([f"Authorization: Bearer {token}"] if token else []), key=key or "")
    if key is None:
        request = request.replace(b"api-key: \r\n", b"")
    client.send(request)
    answer = client.read_answer()
    return answer.status, msgspec.json.decode(answer.body).get("error", {}).get("code")


def test_a_token_opens_the_port_and_says_who_calls_for_whom(world: World, issuer: Issuer) -> None:
    relay = relay_with(world, issuer)
    with RawClient(relay.address) as client:
        assert call(client, token=issuer.token()) == (200, None)
        assert call(client, token=issuer.token(azp="app-2", scp="call", oid="ada")) == (200, None)
        assert call(client, token=issuer.token(groups=["mini-users"])) == (403, "not_permitted")
        assert call(client, key=KEY) == (200, None)
        assert call(client) == (401, "invalid_api_key")
    records = relay.records(5)
    told = [(record.caller, record.application, record.subject, record.identity_source) for record in records]
    assert told == [
        ("team-app", APPLICATION, None, "validated_token"),
        ("app-2", "app-2", "ada", "validated_token"),
        ("team-app", APPLICATION, None, "validated_token"),
        ("team-a", None, None, None),
        (None, None, None, None),
    ]
    assert records[2].tags == {"tier": "mini"}


def test_a_key_and_a_token_are_both_to_be_good(world: World, issuer: Issuer) -> None:
    relay = relay_with(world, issuer, with_key="both")
    with RawClient(relay.address) as client:
        assert call(client, token=issuer.token(scp="call", oid="ada"), key=KEY) == (200, None)
        assert call(client, token=issuer.token()) == (401, "invalid_api_key")
        assert call(client, key=KEY) == (401, "invalid_token")
        assert call(client, token=issuer.token(), key="wrong") == (401, "invalid_api_key")
        assert call(client, token=issuer.token(aud="another"), key=KEY) == (401, "invalid_token")
        world.check = lambda: None  # type: ignore[method-assign]  # its call has a key only
    first = relay.records(5)[0]
    assert (first.caller, first.application, first.subject) == ("team-a", APPLICATION, "ada")


def test_a_token_ends_on_the_connection_on_which_it_was_good(world: World, issuer: Issuer) -> None:
    relay = relay_with(world, issuer)
    token = issuer.token()
    with RawClient(relay.address) as client:
        assert call(client, token=token) == (200, None)
        relay.inside(lambda: relay.clock.jump(3600 + 121))
        assert call(client, token=token) == (401, "invalid_token")
        assert call(client, token=issuer.token()) == (200, None)
    assert len(relay.records(3)) == 3


def test_keys_are_rotated_while_calls_come(world: World, issuer: Issuer) -> None:
    relay = relay_with(world, issuer)
    with RawClient(relay.address) as client:
        assert call(client, token=issuer.token()) == (200, None)
        issuer.published = [0, 1]
        new = issuer.token(number=1)
        relay.inside(lambda: relay.clock.jump(20))  # the keys came more than ten seconds ago
        asked = issuer.asked
        assert call(client, token=new) == (503, "token_keys_unavailable")
        relay.until(lambda: issuer.asked > asked)
        relay.until(lambda: "<TokenVerifier 2" in repr(relay.process.data_plane.services.keyring.tokens))
        assert call(client, token=new) == (200, None)
        assert call(client, token=issuer.token(number=2)) == (401, "invalid_token")
        assert call(client, token=issuer.token()) == (200, None)
    assert issuer.asked == asked + 1
    assert len(relay.records(5)) == 5


def test_an_issuer_that_is_down_at_the_start_holds_up_no_key_and_is_asked_until_it_answers(
    world: World, issuer: Issuer
) -> None:
    issuer.is_ill = True
    relay = relay_with(world, issuer, ready=False)
    relay.until(lambda: "token keys" in relay.journal.troubles)
    assert f"the keys of tenant {TENANT} cannot be fetched" in world.errors.taken()[0]
    with RawClient(relay.address) as client:
        assert call(client, key=KEY) == (200, None)
        assert call(client, token=issuer.token()) == (503, "token_keys_unavailable")
        assert relay.journal.troubles["token keys"].hinders_calls
        issuer.is_ill = False
        relay.inside(lambda: relay.clock.jump(120))
        relay.until(lambda: not relay.journal.troubles)
        assert call(client, token=issuer.token()) == (200, None)
    assert len(relay.records(3)) == 3


def test_an_issuer_that_is_down_later_is_not_noticed_by_calls(world: World, issuer: Issuer) -> None:
    relay = relay_with(world, issuer)
    issuer.is_ill = True
    relay.inside(lambda: relay.clock.jump(3601))
    relay.until(lambda: "token keys" in relay.journal.troubles)
    assert "those that came last stay in force" in world.errors.taken()[0]
    assert not relay.journal.troubles["token keys"].hinders_calls
    with RawClient(relay.address) as client:
        assert call(client, token=issuer.token()) == (200, None)
    assert len(relay.records(1)) == 1

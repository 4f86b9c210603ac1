"""The script in Redis says to every message what the holder in Python says."""

import json
from collections.abc import Iterator
from time import monotonic

import pytest
import redis
from hypothesis import given, settings, strategies as st

from support.redis_server import RedisServer, running_redis
from tokenweir.limits import Ask, Granted, Held, Holder, Return
from tokenweir.limits.redis_script import SCRIPT, arguments, granted_of

ROOT = "{tokenweir}"
MONTH = 1_790_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


def handle(
    client: "redis.Redis",
    relay: str,
    asks: list[Ask],
    returns: list[Return] | None = None,
    held: list[Held] | None = None,
    *,
    has_met: bool = False,
) -> list[Granted | None]:
    _, answers = client.eval(SCRIPT, 1, ROOT, *arguments(relay, asks, returns or [], held or [], has_met=has_met))
    return granted_of(answers)


units = st.integers(0, 12)
relays = st.sampled_from(["one", "two"])
windows = st.sampled_from(["", "hour", "minute"])


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, list[Ask], list[Return], list[Held]]:
    def ask(window: str, least: int, ahead: int) -> Ask:
        return Ask("k", window, MONTH if window == "hour" else 0, 50, least, least + ahead, 0)

    asks = draw(st.lists(st.builds(ask, windows, units, units), max_size=3))
    back = st.builds(lambda units: Return("k", "hour", MONTH, units), st.integers(-5, 5))
    held = st.builds(lambda units: Held("k", units), units)
    return draw(relays), asks, draw(st.lists(back, max_size=2)), draw(st.lists(held, max_size=1))


@settings(max_examples=60, deadline=None)
@given(st.lists(messages(), max_size=15))
def test_whatever_relays_say_both_give_out_the_same(
    server: RedisServer, talk: list[tuple[str, list[Ask], list[Return], list[Held]]]
) -> None:
    holder = Holder()
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        for relay, asks, returns, held in talk:
            ours = holder.handle(relay, asks, returns, held, monotonic())
            theirs = handle(client, relay, asks, returns, held)
            assert [(one.units, one.given) for one in theirs if one] == [(one.units, one.given) for one in ours]


def test_a_rate_tells_how_long_to_wait_and_takes_back_what_was_not_needed(client: "redis.Redis") -> None:
    ask = Ask("k", "minute", 0, 10, 6, 6, 0)
    first = handle(client, "one", [ask])[0]
    refused = handle(client, "two", [ask])[0]
    assert first and refused
    assert (first.units, refused.units) == (6, 0)
    assert 60 < refused.wait <= 62
    assert 60 < refused.reset <= 62
    second = handle(client, "two", [ask], [Return("k", "minute", first.slot, 2)])[0]
    assert second and second.units == 6
    charged = handle(client, "two", [ask], [Return("k", "minute", -1, -3)])[0]
    assert charged and (charged.units, charged.given) == (0, 13)


def test_amounts_of_money_stay_exact(client: "redis.Redis") -> None:
    """In thousand-millionths: nine million of anything."""
    large = 9_000_000_000_000_001
    granted = handle(client, "one", [Ask("k", "month", MONTH, large, large, large, 0)])[0]
    assert granted and (granted.units, granted.given) == (large, large)


def test_a_redis_that_has_lost_everything_waits_until_all_have_told_what_they_know(client: "redis.Redis") -> None:
    ask = Ask("k", "day", MONTH, 100, 10, 10, 0)
    assert handle(client, "one", [ask])[0]
    client.flushall()
    assert handle(client, "one", [ask._replace(known=10)], has_met=True) == [None]
    assert handle(client, "two", [ask._replace(least=0, wish=0, known=70)], has_met=True) == [None]
    assert handle(client, "new", [ask]) == [None]
    client.set(ROOT + "born", str(int(json.loads(client.get(ROOT + "born") or b"0")) - 3000))  # three seconds pass
    granted = handle(client, "one", [ask._replace(known=10)], has_met=True)[0]
    assert granted and (granted.units, granted.given) == (10, 80)


def test_the_first_relay_ever_need_not_wait(client: "redis.Redis") -> None:
    assert handle(client, "one", [Ask("k", "day", MONTH, 100, 10, 10, 0)])[0]


def test_nothing_is_kept_for_ever(client: "redis.Redis") -> None:
    asks = [Ask("k", window, MONTH if window == "day" else 0, 100, 10, 10, 0) for window in ("day", "minute", "")]
    handle(client, "one", asks)
    keys = client.keys(ROOT + "?:*")
    assert len(keys) == 3
    assert all(client.ttl(key) > 0 for key in keys)

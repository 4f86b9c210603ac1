"""Which target a call tries next: by priority, weight, affinity and headroom; never one that is drained or open."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, strategies as st

from support.clocks import JumpingClock
from tokenweir.deployments import (
    BreakerSettings,
    Candidates,
    Catalogue,
    DeploymentSettings,
    TargetPool,
    TargetSettings,
)
from tokenweir.deployments.affinity import AffinityRule, hashed, preference
from tokenweir.records import Duration

UPSTREAMS = ("a", "b", "c", "d")


class Pool:
    """One deployment's pool and its clock."""

    def __init__(self, *targets: TargetSettings, before: Catalogue | None = None, **settings: Any) -> None:
        self.clock = JumpingClock()
        self.catalogue = Catalogue(
            [DeploymentSettings("gpt", list(targets), **settings)],
            dict.fromkeys(UPSTREAMS, "azure"),
            self.clock,
            before,
            UPSTREAMS,
        )

    @property
    def pool(self) -> TargetPool:
        return self.catalogue.pool("gpt", "v1")

    def call(self, key: int = 0) -> Candidates:
        return Candidates(self.pool, key)

    def served(self, calls: int, key: int = 0) -> Counter[str]:
        """How many calls each target answers."""
        counts: Counter[str] = Counter()
        for _ in range(calls):
            candidates = self.call(key)
            target = candidates.next()
            assert target is not None
            candidates.answered(200, b"")
            counts[target.upstream] += 1
        return counts

    def throttle(self, upstream: str, lines: bytes = b"\r\nretry-after: 7") -> None:
        """As if a call had been answered 429 there."""
        candidates = self.call()
        (candidates.member,) = [one for one in self.pool.members if one.target.upstream == upstream]
        candidates.answered(429, lines)


def order(candidates: Candidates) -> list[str]:
    """Where a call goes, one after the other."""
    found = []
    while candidates.has_more():
        target = candidates.next()
        assert target is not None
        found.append(target.upstream)
    assert candidates.next() is None
    return found


# --- priority and weight ---


def test_calls_are_shared_by_weight_in_turns_and_not_in_runs() -> None:
    pool = Pool(TargetSettings("a", weight=5), TargetSettings("b", weight=1), TargetSettings("c", weight=2))
    assert pool.served(800) == {"a": 500, "b": 100, "c": 200}
    assert pool.served(8) == {"a": 5, "b": 1, "c": 2}


def test_a_higher_priority_is_tried_only_when_no_lower_one_takes_calls() -> None:
    pool = Pool(TargetSettings("b", priority=2), TargetSettings("a"), TargetSettings("c", priority=2))
    assert pool.served(10) == {"a": 10}
    assert order(pool.call()) in (["a", "b", "c"], ["a", "c", "b"])
    pool.throttle("a")
    assert set(pool.served(10)) == {"b", "c"}
    pool.clock.jump(7)
    assert pool.served(10) == {"a": 10}


def test_spill_over_is_counted_and_said() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    pool.throttle("a")
    candidates = pool.call()
    assert candidates.next() == pool.pool.targets[1]
    assert candidates.passed is not None
    (passed,) = candidates.passed
    assert (passed.target.upstream, passed.reason, passed.wait) == ("a", "429", 7.0)
    assert [member.health.spillovers for member in pool.pool.members] == [0, 1]


@pytest.mark.parametrize("drained", [TargetSettings("b", drain=True), TargetSettings("b", weight=0)])
def test_a_drained_target_gets_no_call_and_a_single_other_is_not_left_alone(drained: TargetSettings) -> None:
    pool = Pool(TargetSettings("a"), drained)
    assert pool.served(10) == {"a": 10}
    assert order(pool.call()) == ["a"]
    pool.throttle("a")
    assert order(pool.call()) == ["a"]  # where nobody else is, a call is better tried than refused


def test_when_all_are_drained_that_is_said() -> None:
    pool = Pool(TargetSettings("a", drain=True))
    candidates = pool.call()
    assert candidates.next() is None
    refusal = candidates.refusal()
    assert refusal is not None and "drained" in str(refusal)
    assert (refusal.status, refusal.retry_after) == (503, None)


def test_one_target_with_nothing_configured_has_no_breaker_at_all() -> None:
    pool = Pool(TargetSettings("a"))
    assert pool.pool.policy is None and pool.catalogue.health == {}
    assert order(pool.call()) == ["a"]


def test_one_target_has_a_breaker_where_it_is_asked_for() -> None:
    pool = Pool(TargetSettings("a"), breaker=BreakerSettings())
    pool.throttle("a")
    assert order(pool.call()) == []


# --- breakers ---


def test_when_all_are_out_the_earliest_time_to_come_back_is_said() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b"), TargetSettings("c", priority=9))
    for name, seconds in (("a", 40), ("b", 31), ("c", 50)):
        pool.throttle(name, b"\r\nretry-after: %d" % seconds)
    pool.clock.jump(0.5)
    candidates = pool.call()
    assert candidates.next() is None
    refusal = candidates.refusal()
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.retry_after) == (503, "no_target_available", "31")
    assert candidates.passed is not None
    assert [(one.target.upstream, one.wait) for one in candidates.passed] == [("a", 39.5), ("b", 30.5), ("c", 49.5)]


def test_only_one_call_probes_and_the_others_go_elsewhere() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    pool.throttle("a")
    pool.clock.jump(8)
    probe, other = pool.call(), pool.call()
    first, second = probe.next(), other.next()
    assert first is not None and second is not None
    assert (first.upstream, second.upstream) == ("a", "b")
    probe.answered(200, b"")
    assert pool.served(3) == {"a": 3}


@pytest.mark.parametrize("status", [400, 401, 404, 408, 422])
def test_who_answers_that_a_request_is_wrong_is_well(status: int) -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    for _ in range(50):
        candidates = pool.call()
        candidates.next()
        candidates.answered(status, b"\r\nretry-after: 9")
    assert pool.served(1) == {"a": 1}


def test_a_503_that_says_when_is_believed_and_one_that_does_not_is_one_failure() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    candidates = pool.call()
    candidates.next()
    candidates.answered(503, b"\r\nx-ratelimit-reset-tokens: 30")
    assert pool.served(1) == {"a": 1}
    candidates.answered(503, b"\r\nretry-after: 30")
    assert pool.served(1) == {"b": 1}


def test_one_call_that_is_too_large_does_not_keep_the_others_away() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    pool.throttle("a", told(600) + b"\r\nretry-after: 60")
    assert pool.served(1) == {"a": 1}
    for _ in range(4):
        pool.throttle("a", told(600) + b"\r\nretry-after: 60")
    assert pool.served(1) == {"b": 1}  # but many of them do
    for lines in (told(99), told(600) + b"\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-limit-requests: 9"):
        full = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
        full.throttle("a", lines)
        assert full.served(1) == {"b": 1}


def test_who_may_use_some_of_the_targets_gets_these_and_their_turns() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b"), TargetSettings("c"))
    some = pool.pool.only(pool.pool.targets[1:])
    assert {target.upstream for _ in range(9) if (target := Candidates(some).next()) is not None} == {"b", "c"}
    assert pool.pool.only(pool.pool.targets) is pool.pool
    for name in ("b", "c"):
        pool.throttle(name)
    refusal = Candidates(some).refusal()
    assert refusal is not None and refusal.retry_after == "7"
    assert pool.served(2) == {"a": 2}


def test_who_answers_well_and_breaks_every_stream_is_left_alone() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    for _ in range(5):
        candidates = pool.call()
        assert candidates.next() == pool.pool.targets[0]
        candidates.answered(200, b"")
        candidates.failed("upstream_broken")
    assert pool.served(1) == {"b": 1}


def test_a_flapping_target_costs_each_call_one_more_try_at_most() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    tries = 0
    for number in range(1000):
        candidates = pool.call()
        target = candidates.next()
        assert target is not None
        tries += 1
        if target.upstream == "a":
            candidates.answered(500 if number % 2 else 200, b"")
            if number % 2:
                assert candidates.has_more(costs=True)
                assert candidates.next(costs=True) == pool.pool.targets[1]
                tries += 1
        pool.clock.jump(0.1)
    assert tries < 1100


# --- retries ---


def test_requests_that_were_worked_at_are_made_again_within_a_budget() -> None:
    never = BreakerSettings(trip=Duration(0))
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2), breaker=never, retries=0.1)
    repeated = 0
    for _ in range(2000):
        candidates = pool.call()
        candidates.next()
        candidates.answered(500, b"")
        if candidates.has_more(costs=True):
            candidates.next(costs=True)
            repeated += 1
    assert repeated == pytest.approx(100 + 0.1 * 2000, abs=2)


def test_a_429_goes_on_whatever_the_budget() -> None:
    never = BreakerSettings(trip=Duration(0))
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2), breaker=never, retries=0.0)
    for _ in range(1000):
        candidates = pool.call()
        candidates.next()
        candidates.answered(429, b"")
        assert not candidates.has_more(costs=True)
        assert candidates.has_more()
        assert candidates.next() == pool.pool.targets[1]


# --- affinity ---


def test_a_key_stays_with_its_target_and_moves_only_if_that_is_out() -> None:
    targets = [TargetSettings(name) for name in UPSTREAMS]
    pool = Pool(*targets)
    keys = [hashed(b"session-%d" % number) for number in range(400)]
    at = {key: next(iter(pool.served(3, key))) for key in keys}
    assert all(pool.served(2, key) == {at[key]: 2} for key in keys)
    assert all(70 <= count <= 130 for count in Counter(at.values()).values())
    pool.throttle("a")
    for key in keys:
        (now,) = pool.served(1, key)
        assert now != "a" if at[key] == "a" else now == at[key]


def test_every_relay_comes_to_the_same_target_in_whatever_order_the_file_has_them() -> None:
    one, other = Pool(TargetSettings("a"), TargetSettings("b")), Pool(TargetSettings("b"), TargetSettings("a"))
    keys = [hashed(b"%d" % number) for number in range(100)]
    assert [one.served(1, key) for key in keys] == [other.served(1, key) for key in keys]


def test_affinity_follows_weights() -> None:
    pool = Pool(TargetSettings("a", weight=3), TargetSettings("b", weight=1))
    served = sum((pool.served(1, hashed(b"%d" % number)) for number in range(4000)), Counter())
    assert 2850 <= served["a"] <= 3150


@given(st.integers(1, 2**30 - 1), st.integers(0, 2**30 - 1), st.floats(0.001, 1000))
def test_a_preference_is_always_a_number_above_nothing(key: int, seed: int, weight: float) -> None:
    assert preference(key, seed, weight) > 0.0


BODY = b'{"model":"gpt","messages":[{"role":"system","content":"You are %b"}],"prompt_cache_key": "tenant \\"7\\""}'


def test_a_key_is_read_from_the_first_source_that_a_call_has() -> None:
    rule = AffinityRule(["header:X-Session-Id", "prompt_cache_key", "prompt"])
    assert rule.key({b"x-session-id": b"s1"}, BODY) == hashed(b"s1")
    assert rule.key({}, BODY) == hashed(b'"tenant \\"7\\""')
    assert rule.key({}, b'{"input":"hi"}') == hashed(b'"input":"hi"}')
    assert rule.key({}, b'{"n":1}') == 0
    assert rule.key({}, b"\xff" * 100) == 0


def test_prompts_that_begin_alike_go_to_the_same_place() -> None:
    rule = AffinityRule(["prompt"])
    prompt = b"a" * 5000
    begun = b'{"messages":[{"role":"system","content":"' + prompt
    assert rule.key({}, begun + b'"},{"content":"one"}]}') == rule.key({}, begun + b'"},{"content":"two"}]}')
    other = b'{"messages":[{"role":"system","content":"b' + prompt
    assert rule.key({}, begun) != rule.key({}, other)
    assert rule.key({}, b'{"model":"gpt",' + begun[1:]) == rule.key({}, begun)


# --- headroom ---


def told(remaining: int, limit: int = 1000) -> bytes:
    return b"\r\nx-ratelimit-limit-tokens: %d\r\nx-ratelimit-remaining-tokens: %d" % (limit, remaining)


def heard(pool: Pool, upstream: str, lines: bytes) -> None:
    candidates = pool.call()
    (candidates.member,) = [one for one in pool.pool.members if one.target.upstream == upstream]
    candidates.answered(200, lines)
    pool.clock.jump(0.05)


def counted(pool: Pool, calls: int) -> Counter[str]:
    """Whose turn it is, without an answer."""
    return Counter(target.upstream for _ in range(calls) if (target := pool.call().next()) is not None)


def test_who_has_more_left_gets_more() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b"), balance="headroom")
    heard(pool, "a", told(900))
    heard(pool, "b", told(100))
    assert counted(pool, 100) == {"a": 90, "b": 10}
    pool.clock.jump(60)
    assert counted(pool, 100) == {"a": 50, "b": 50}  # what was left a minute ago says nothing


def test_the_scarcer_of_requests_and_tokens_counts_and_a_limit_need_not_be_told() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b"), balance="headroom")
    heard(pool, "a", b"\r\nx-ratelimit-remaining-requests: 100\r\nx-ratelimit-remaining-tokens: 1000")
    heard(pool, "a", b"\r\nx-ratelimit-remaining-requests: 25\r\nx-ratelimit-remaining-tokens: 900")
    heard(pool, "b", b"\r\nx-ratelimit-remaining-requests: 25")
    assert counted(pool, 100) == {"a": 20, "b": 80}


def test_who_has_nothing_left_is_asked_now_and_then_and_nonsense_changes_nothing() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b"), balance="headroom")
    heard(pool, "a", told(0))
    heard(pool, "a", b"\r\nx-ratelimit-remaining-tokens: many\r\nx-ratelimit-remaining-requests: -3")
    assert counted(pool, 1010) == {"a": 10, "b": 1000}


# --- what stays over a reload ---


def test_a_target_that_stays_keeps_its_breaker_and_one_on_a_changed_upstream_begins_anew() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    pool.throttle("a")
    after = Pool(
        TargetSettings("c"), TargetSettings("a", weight=9), TargetSettings("b", priority=3), before=pool.catalogue
    )
    assert after.served(4) == {"c": 4}
    moved = Catalogue(
        [DeploymentSettings("gpt", [TargetSettings("a"), TargetSettings("b", priority=2)])],
        dict.fromkeys(UPSTREAMS, "azure"),
        pool.clock,
        pool.catalogue,
        {"b"},
    )
    assert Candidates(moved.pool("gpt", "v1")).next() == moved.pool("gpt", "v1").targets[0]


def test_settings_of_a_breaker_change_when_the_catalogue_takes_effect_and_not_sooner() -> None:
    pool = Pool(TargetSettings("a"), TargetSettings("b", priority=2))
    changed = Pool(
        TargetSettings("a"),
        TargetSettings("b", priority=2),
        breaker=BreakerSettings(failures=1, trip=Duration(30)),
        before=pool.catalogue,
    )
    candidates = pool.call()
    candidates.next()
    candidates.answered(500, b"")
    assert pool.served(1) == {"a": 1}  # the new file may still be refused
    changed.catalogue.take_effect()
    candidates.answered(500, b"")
    assert changed.served(1) == {"b": 1}
    assert changed.pool.wait(changed.clock.monotonic()) == 0.0
    assert changed.pool.members[0].breaker.wait(changed.clock.monotonic()) == 30.0


def test_names_that_callers_make_up_are_forgotten_before_they_fill_the_memory() -> None:
    clock = JumpingClock()
    catalogue = Catalogue([], {"a": "azure", "b": "azure"}, clock)
    for number in range(5000):
        assert len(catalogue.pool(f"made-up-{number}", "v1").targets) == 2
    assert len(catalogue.health) <= 2048

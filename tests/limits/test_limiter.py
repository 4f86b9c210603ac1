"""A call is let in by all of its limits or by none; whatever becomes of it, nothing of its reservation stays."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import QuotaExceeded, RateLimited
from tokenweir.limits import Calendar, Limit, LimitAmounts, Limiter, LimitSettings, Reservation, limits_of
from tokenweir.limits.limit import NANO
from tokenweir.limits.settings import Money

NOW, MOMENT = 1000.0, 1_790_000_000.0


def limit(setting: str, amount: int, name: str = "caller alpha", **how: Any) -> Limit:
    return Limit(name, setting, amount, **how)


def limiter_of(*limits: Limit, most: int = 100) -> Limiter:
    return Limiter(limits, Calendar(), most)


def ask(limiter: Limiter, tokens: int = 10, at: float = 0.0, **who: Any) -> Reservation:
    asked: dict[str, Any] = {"caller": "alpha", "groups": (), "deployment": "gpt-4o", "surface": "chat", "session": ""}
    asked |= who
    return limiter.admit(**asked, tokens=tokens, output=tokens, now=NOW + at, moment=MOMENT + at)


def test_a_rate_refuses_with_how_long_to_wait_and_then_lets_in() -> None:
    limiter = limiter_of(limit("requests_per_minute", 2))
    ask(limiter)
    ask(limiter, at=20)
    with pytest.raises(RateLimited, match=r"limit of 2 requests per minute \(caller alpha\)") as refused:
        ask(limiter, at=30)
    assert refused.value.retry_after_seconds == 31
    assert b"x-ratelimit-remaining-requests: 0" in refused.value.lines
    ask(limiter, at=61)


def test_a_quota_refuses_until_its_period_ends_and_says_what_is_left() -> None:
    limiter = limiter_of(limit("tokens_per_day", 100))
    ask(limiter, 95)
    with pytest.raises(QuotaExceeded, match=r"100 tokens per day \(caller alpha\) has 5 left.*may use 10") as refused:
        ask(limiter, 10)
    wait = refused.value.retry_after_seconds
    assert 0 < wait <= 86_400
    ask(limiter, 5)
    ask(limiter, 100, at=wait)


def test_calls_under_way_are_counted_until_they_end() -> None:
    limiter = limiter_of(limit("concurrent_calls", 1))
    first = ask(limiter)
    with pytest.raises(RateLimited):
        ask(limiter, at=3600)
    limiter.settle(first, 3, NOW + 3600, has_run=True)
    ask(limiter, at=3600)


def test_a_call_that_one_limit_refuses_takes_nothing_of_the_others() -> None:
    limiter = limiter_of(limit("requests_per_minute", 5), limit("tokens_per_day", 10), limit("concurrent_calls", 5))
    for _ in range(20):
        with pytest.raises(QuotaExceeded):
            ask(limiter, 11)
    for _ in range(5):
        ask(limiter, 2)
    assert limiter.counts.open == 5


def test_of_two_limits_that_refuse_the_one_that_lasts_longer_is_told() -> None:
    limiter = limiter_of(limit("requests_per_minute", 0), limit("tokens_per_month", 1))
    with pytest.raises(QuotaExceeded):
        ask(limiter)


def test_what_was_reserved_too_much_comes_back_when_the_call_ends() -> None:
    limiter = limiter_of(limit("tokens_per_minute", 100), limit("tokens_per_month", 100))
    for used in range(0, 90, 10):
        limiter.settle(ask(limiter, 100 - used), 10, NOW, has_run=True)
    with pytest.raises(QuotaExceeded):
        ask(limiter, 11)
    ask(limiter, 10)


def test_what_no_upstream_has_seen_counts_for_nothing_and_what_is_not_known_for_what_was_reserved() -> None:
    limiter = limiter_of(limit("requests_per_minute", 2), limit("tokens_per_day", 100))
    for _ in range(5):
        limiter.settle(ask(limiter, 100), 100, NOW, has_run=False)
    limiter.settle(ask(limiter, 60), None, NOW, has_run=True)
    with pytest.raises(QuotaExceeded):
        ask(limiter, 41)
    ask(limiter, 40)


def test_a_call_that_is_more_than_the_rate_ever_allows_gets_all_of_it_alone() -> None:
    """As with API Management's tutorial, whose limit of 100 tokens a minute is less than one answer."""
    limiter = limiter_of(limit("tokens_per_minute", 100))
    limiter.settle(ask(limiter, 5000), 130, NOW, has_run=True)
    with pytest.raises(RateLimited) as refused:
        ask(limiter, 5000)
    ask(limiter, 5000, at=refused.value.retry_after_seconds)


def test_nothing_at_all_is_let_in_where_nothing_is_allowed() -> None:
    limiter = limiter_of(limit("tokens_per_minute", 0))
    with pytest.raises(RateLimited) as refused:
        ask(limiter, 1)
    assert refused.value.retry_after_seconds == 0


@pytest.mark.parametrize(
    ("how", "other"),
    [
        ({"per": ("caller",)}, {"caller": "beta"}),
        ({"per": ("deployment",)}, {"deployment": "gpt-5"}),
        ({"per": ("surface",)}, {"surface": "embeddings"}),
        ({"per": ("session",)}, {"session": "agent-2"}),
        ({"per": ("caller", "session")}, {"caller": "beta"}),
        ({"per": ("group",)}, {"groups": ("b",)}),
    ],
)
def test_what_is_counted_apart_does_not_touch_each_other(how: dict[str, Any], other: dict[str, Any]) -> None:
    limiter = limiter_of(limit("requests_per_minute", 1, **how))
    who: dict[str, Any] = {"groups": ("a",), "session": "agent-1"}
    ask(limiter, **who)
    with pytest.raises(RateLimited):
        ask(limiter, **who)
    ask(limiter, **(who | other))


@pytest.mark.parametrize(
    ("how", "other"),
    [
        ({"callers": frozenset(["alpha"])}, {"caller": "beta"}),
        ({"deployments": frozenset(["gpt-4o"])}, {"deployment": "gpt-5"}),
        ({"surfaces": frozenset(["chat"])}, {"surface": "embeddings"}),
        ({"groups": frozenset(["gold"])}, {"groups": ()}),
    ],
)
def test_a_limit_is_for_those_that_it_names(how: dict[str, Any], other: dict[str, Any]) -> None:
    limiter = limiter_of(limit("requests_per_minute", 0, **how))
    with pytest.raises(RateLimited):
        ask(limiter, groups=("gold", "x"))
    ask(limiter, **{"groups": ("gold", "x"), **other})


def test_the_callers_of_a_group_share_its_limit() -> None:
    limiter = limiter_of(limit("requests_per_minute", 2, groups=frozenset(["gold"])))
    ask(limiter, caller="alpha", groups=("gold",))
    ask(limiter, caller="beta", groups=("gold",))
    with pytest.raises(RateLimited):
        ask(limiter, caller="gamma", groups=("gold",))


def test_ten_thousand_session_names_take_no_more_memory_than_a_hundred() -> None:
    limiter = limiter_of(limit("requests_per_minute", 1, per=("session",)), most=100)
    refused = 0
    for number in range(10_000):
        try:
            ask(limiter, session=f"agent-{number}")
        except RateLimited:
            refused += 1
    assert len(limiter._allowances) <= 101
    assert refused == 9_900 - 1  # what has no account of its own shares one, and is not let in without being counted
    ask(limiter, session="agent-later", at=100)  # those of which nothing is left in the window make room


def test_a_name_of_a_megabyte_is_kept_short() -> None:
    limiter = limiter_of(limit("requests_per_minute", 1, per=("session",)))
    ask(limiter, session="x" * 1_000_000)
    assert all(len(key) < 300 for key in limiter._allowances)


def test_other_limits_find_what_was_used_before_and_calls_under_way_are_settled_there() -> None:
    before = limiter_of(limit("tokens_per_day", 100))
    under_way = ask(before, 90)
    after = before.configure([limit("tokens_per_day", 120), limit("requests_per_minute", 1)], Calendar())
    with pytest.raises(QuotaExceeded, match="120 tokens per day"):
        ask(after, 31)
    before.settle(under_way, 20, NOW, has_run=True)
    ask(after, 100)
    assert after.counts.open == 1


def test_a_stream_goes_on_while_there_is_something_left_and_no_longer() -> None:
    limiter = limiter_of(limit("tokens_per_day", 100, ends_overrun=True))
    stream = ask(limiter, 40)
    assert limiter.may_go_on(stream, 40, NOW)
    assert limiter.may_go_on(stream, 100, NOW)
    assert not limiter.may_go_on(stream, 101, NOW)
    limiter.settle(stream, 70, NOW, has_run=True)
    ask(limiter, 30)


def test_a_stream_that_is_not_to_be_ended_is_charged_as_it_goes() -> None:
    limiter = limiter_of(limit("tokens_per_day", 100))
    stream = ask(limiter, 40)
    assert limiter.may_go_on(stream, 500, NOW)
    with pytest.raises(QuotaExceeded):
        ask(limiter, 1)
    limiter.settle(stream, 500, NOW, has_run=True)


def test_what_an_answer_says_is_left_is_what_is_left() -> None:
    limiter = limiter_of(
        limit("requests_per_minute", 10), limit("tokens_per_minute", 1000), limit("requests_per_minute", 3, "gold")
    )
    lines = limiter.lines(ask(limiter, 400), NOW)
    assert lines == (
        b"\r\nx-ratelimit-limit-requests: 3\r\nx-ratelimit-remaining-requests: 2\r\nx-ratelimit-reset-requests: 1m1s"
        b"\r\nx-ratelimit-limit-tokens: 1000\r\nx-ratelimit-remaining-tokens: 600\r\nx-ratelimit-reset-tokens: 1m1s"
    )


def budget(amount: str, **how: Any) -> Limit:
    owner = LimitSettings("alpha", LimitAmounts(cost_per_month=Money.parse(amount), **how))
    (made,) = limits_of([], [], [], [owner])
    return made


def test_a_budget_is_reserved_by_the_price_and_settled_by_what_the_call_cost() -> None:
    limiter = limiter_of(budget("1.50 EUR"))
    for _ in range(3):
        limiter.settle(ask(limiter, cost=NANO), 10, NOW, has_run=True, cost=NANO // 10)
    said = r"1\.50 EUR cost per month \(alpha\) has 1\.20 EUR left.*cost 1\.200000001 EUR"
    with pytest.raises(QuotaExceeded, match=said):
        ask(limiter, cost=1_200_000_001)
    ask(limiter, cost=1_200_000_000)


def test_what_has_no_price_counts_as_what_was_reserved_for_it() -> None:
    limiter = limiter_of(budget("1 EUR"))
    limiter.settle(ask(limiter, cost=NANO // 2), 10, NOW, has_run=True, cost=None)
    with pytest.raises(QuotaExceeded):
        ask(limiter, cost=NANO // 2 + 1)


def test_a_stream_that_has_used_up_its_budget_may_not_go_on() -> None:
    limiter = limiter_of(budget("1 EUR", on_overrun="end"))
    stream = ask(limiter, 40, cost=NANO // 2, output_price=NANO // 100 * 1000)  # a hundredth for each token
    assert limiter.may_go_on(stream, 90, NOW)
    assert not limiter.may_go_on(stream, 91, NOW)
    limiter.settle(stream, 90, NOW, has_run=True, cost=NANO)


@pytest.mark.parametrize("text", ["500 EUR", "12.50 USD", "0.000000001 EUR"])
def test_an_amount_of_money_is_read_as_it_is_written(text: str) -> None:
    assert str(Money.parse(text)) == text
    assert Money.parse(text) == Money.parse(f" {text} ") != Money.parse("1 CHF")
    assert hash(Money.parse(text)) == hash(Money.parse(text))


@pytest.mark.parametrize("text", ["500", "EUR 500", "-5 EUR", "5 eur", "1e3 EUR", "5,00 EUR", "0.0000000001 EUR", ""])
def test_anything_else_is_no_amount_of_money(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        Money.parse(text)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "settle", "lost", "unknown"]),
            st.integers(0, 60),
            st.floats(0, 40),
            st.floats(-90_000, 90_000),
        ),
        max_size=80,
    )
)
def test_at_the_end_of_any_day_every_reservation_is_settled_and_no_quota_was_passed(
    steps: list[tuple[str, int, float, float]],
) -> None:
    """Against a plain model, with a wall clock that jumps and a monotonic one that does not."""
    calendar = Calendar()
    limiter = Limiter([limit("tokens_per_day", 100), limit("concurrent_calls", 5)], calendar)
    used: dict[int, int] = {}
    under_way: list[tuple[Reservation, int, int]] = []
    now, moment = NOW, MOMENT
    for step, amount, passes, jump in steps:
        now += passes
        moment = max(MOMENT, min(MOMENT + 80_000, moment + jump))
        day = calendar.period("day", moment).start
        reserved = sum(tokens for _, tokens, began in under_way if began == day)
        if step == "ask":
            fits = used.get(day, 0) + reserved + amount <= 100 and len(under_way) < 5
            try:
                reservation = limiter.admit("alpha", (), "", "chat", "", amount, 0, now, moment)
            except (RateLimited, QuotaExceeded):
                assert not fits
            else:
                assert fits
                under_way.append((reservation, amount, day))
        elif under_way:
            reservation, tokens, began = under_way.pop(amount % len(under_way))
            actual = {"settle": min(amount, tokens), "lost": 0, "unknown": tokens}[step]
            used[began] = used.get(began, 0) + actual
            limiter.settle(reservation, None if step == "unknown" else actual, now, has_run=step != "lost")
            limiter.settle(reservation, 1000, now, has_run=True)  # a second time changes nothing
        assert limiter.counts.open == len(under_way)
        assert all(total <= 100 for total in used.values())

"""A rate never gives out more than its amount in any 60 seconds; a quota, in any of its periods."""

from hypothesis import given, strategies as st

from tokenweir.limits.accounts import Account, QuotaAccount, RateAccount, account_for

AMOUNT = 10

Steps = list[tuple[float, int, int]]
steps: st.SearchStrategy[Steps] = st.lists(
    st.tuples(st.floats(0, 45), st.integers(1, AMOUNT), st.integers(-AMOUNT, 3)), max_size=60
)
"""Seconds that pass, units that are wanted, and by how many units more were used in the end."""


def taken_over_time(account: Account, walked: Steps) -> list[tuple[float, int]]:
    now, taken = 1000.0, []
    for passes, units, _ in walked:
        now += passes
        if account.given(now, 0) + units <= AMOUNT:
            account.take(units, now, 0)
            taken.append((now, units))
    return taken


@given(steps)
def test_no_sixty_seconds_see_more_than_the_amount(walked: Steps) -> None:
    taken = taken_over_time(RateAccount(), walked)
    for began, _ in taken:
        assert sum(units for at, units in taken if began <= at < began + 60) <= AMOUNT


@given(steps)
def test_all_that_was_taken_comes_back_within_sixty_one_seconds(walked: Steps) -> None:
    account = RateAccount()
    taken = taken_over_time(account, walked)
    last = taken[-1][0] if taken else 0.0
    assert account.reset(last) <= 61
    assert account.given(last + 61, 0) == 0
    assert account.is_idle(last + 61, 0)


@given(steps, st.integers(1, AMOUNT))
def test_whoever_waits_as_long_as_told_gets_it_and_whoever_waits_less_does_not(walked: Steps, units: int) -> None:
    account = RateAccount()
    taken = taken_over_time(account, walked)
    now = taken[-1][0] if taken else 0.0
    wait = account.wait(units, AMOUNT, now)
    if account.given(now, 0) + units <= AMOUNT:
        assert wait == 0
        return
    assert account.given(now + wait - 0.01, 0) + units > AMOUNT
    assert account.given(now + wait + 0.001, 0) + units <= AMOUNT


@given(steps)
def test_what_is_settled_ends_where_only_what_was_used_had_been_taken(walked: Steps) -> None:
    """Within the window: what was used is what counts, and what was released leaves nothing behind."""
    account, now = RateAccount(), 1000.0
    slots = [(account.take(units, now, 0), units, max(-units, more)) for _, units, more in walked]
    for slot, _, more in slots:
        account.change(more, slot, now + 30)
    assert account.given(now + 30, 0) == sum(units + more for _, units, more in slots)


def test_a_call_longer_than_the_window_is_charged_for_what_it_used_beyond_its_reservation() -> None:
    account = RateAccount()
    slot = account.take(4, 1000.0, 0)
    account.change(3, slot, 1200.0)
    assert account.given(1200.0, 0) == 3
    slot = account.take(4, 1300.0, 0)
    account.change(-3, slot, 1500.0)  # what it gives back was out of the window long ago
    assert account.given(1500.0, 0) == 0


def test_a_call_over_the_end_of_a_month_is_settled_in_the_month_in_which_it_began() -> None:
    account = QuotaAccount()
    slot = account.take(100, 0.0, 1)
    account.take(7, 0.0, 2)
    account.change(-60, slot, 0.0)
    assert (account.given(0.0, 1), account.given(0.0, 2)) == (40, 7)


def test_a_clock_that_goes_back_finds_what_was_used_in_the_period_before() -> None:
    account = QuotaAccount()
    account.take(100, 0.0, 1)
    account.take(7, 0.0, 2)
    assert account.given(0.0, 1) == 100
    for period in range(3, 10):
        account.take(1, 0.0, period)
    assert account.given(0.0, 1) == 0  # so long ago that it is forgotten, not kept for ever


def test_calls_under_way_are_as_many_as_there_are() -> None:
    account = account_for("")
    slots = [account.take(1, 0.0, 0) for _ in range(3)]
    account.change(-1, slots[0], 99.0)
    assert account.given(99.0, 0) == 2

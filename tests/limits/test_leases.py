"""Relays that share limits by slices: never more is given out than there is, whatever gets lost and whoever is killed.

First every order of events is walked that a small world has, then random walks through a larger one; both against the
plainest of models: what was used, when.
"""

import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.errors import LimitsUnavailable, QuotaExceeded, RateLimited
from tokenweir.limits import Calendar, Limit, Limiter, Reservation, accounts
from tokenweir.limits.holder import HELD_TERM, Ask, Held, Holder, Return
from tokenweir.limits.slices import Grant

MOMENT = 1_790_000_000.0
FULL = (RateLimited, QuotaExceeded, LimitsUnavailable)
Message = tuple[list[Ask], list[Return], list[Held]]


class Relay:
    """One relay's side, with its messages in the hands of the test."""

    def __init__(self, name: str, limits: list[Limit]) -> None:
        self.name = name
        self.limiter = Limiter(limits, Calendar(), shares=True)
        self.waiting: tuple[Reservation, Message] | None = None
        self.answer: list[Grant] | None = None
        self.under_way: list[tuple[Reservation, int]] = []


class World:
    """A holder, relays, and what was used when."""

    def __init__(self, limit: Limit, units: int = 1) -> None:
        self.limit = limit
        self.units = units
        self.holder = Holder()
        self.now = 1000.0
        self.runs = 0
        self.relays = [self._new_relay(), self._new_relay()]
        self.used: list[tuple[float, int]] = []
        """Of tokens and requests: when they were let in, and how many."""

    def _new_relay(self) -> Relay:
        self.runs += 1
        return Relay(f"run-{self.runs}", [self.limit])

    def check(self) -> None:
        if self.limit.window == "minute":
            for at, _ in self.used:
                assert sum(units for when, units in self.used if at <= when < at + 60) <= self.limit.amount
        elif self.limit.is_quota:
            assert sum(units for _, units in self.used) <= self.limit.amount
        else:
            alive = sum(len(relay.under_way) for relay in self.relays)
            assert alive <= self.limit.amount

    # --- what can happen; False: not now ---

    def ask(self, relay: Relay) -> bool:
        if relay.waiting is not None:
            return False
        limiter = relay.limiter
        try:
            reservation = limiter.admit("a", (), "d", "chat", "", self.units, 0, self.now, MOMENT)
        except FULL:
            return True
        if reservation.missing:
            asks, returns = limiter.question(reservation, self.now)
            relay.waiting = reservation, (asks, returns, [])
        else:
            self._let_in(relay, reservation)
        return True

    def deliver(self, relay: Relay) -> bool:
        """The question comes to the holder, and its answer is on the way."""
        if relay.waiting is None or relay.answer is not None:
            return False
        relay.answer = [Grant(*granted) for granted in self.holder.handle(relay.name, *relay.waiting[1], self.now)]
        return True

    def take(self, relay: Relay) -> bool:
        if relay.waiting is None or relay.answer is None:
            return False
        (reservation, _), answer = relay.waiting, relay.answer
        relay.waiting = relay.answer = None
        try:
            relay.limiter.answered(reservation, answer, self.now, MOMENT)
        except FULL:
            return True
        if reservation.is_open:
            self._let_in(relay, reservation)
        return True

    def lose(self, relay: Relay) -> bool:
        """The question or its answer is lost; the relay lets nothing in without."""
        if relay.waiting is None:
            return False
        reservation, _ = relay.waiting
        relay.waiting = relay.answer = None
        with suppress(LimitsUnavailable):
            relay.limiter.unanswered(reservation, self.now, 0)
        assert not reservation.is_open
        return True

    def leave(self, relay: Relay) -> bool:
        """The client goes away while its call waits."""
        if relay.waiting is None or not relay.waiting[0].is_open:
            return False
        relay.limiter.settle(relay.waiting[0], 0, self.now, has_run=False)
        return True

    def end(self, relay: Relay) -> bool:
        """A call ends, and has used all that was reserved."""
        if not relay.under_way:
            return False
        reservation, units = relay.under_way.pop()
        relay.limiter.settle(reservation, units, self.now, has_run=True)
        return True

    def end_early(self, relay: Relay) -> bool:
        """A call ends, and has used nothing."""
        if not relay.under_way or self.limit.counts != "tokens":
            return False
        reservation, _ = relay.under_way.pop()
        at = next(index for index, (_, units) in enumerate(self.used) if units)
        self.used[at] = self.used[at][0], 0
        relay.limiter.settle(reservation, 0, self.now, has_run=True)
        return True

    def tell(self, relay: Relay) -> bool:
        self.holder.handle(relay.name, [], *relay.limiter.tidings(self.now, MOMENT), self.now)
        return True

    def kill(self, relay: Relay) -> bool:
        """Its calls are gone with it; another run takes its place."""
        if self.runs > 3:
            return False
        self.relays[self.relays.index(relay)] = self._new_relay()
        return True

    def wait(self, relay: Relay) -> bool:
        self.now += 1.5
        return True

    def _let_in(self, relay: Relay, reservation: Reservation) -> None:
        relay.under_way.append((reservation, self.units))
        self.used.append((self.now, self.units))


STEPS = ["ask", "deliver", "take", "lose", "leave", "end", "end_early", "tell", "kill", "wait"]
LIMITS = [
    Limit("all", "requests_per_minute", 2),
    Limit("all", "tokens_per_day", 2),
    Limit("all", "concurrent_calls", 2),
]


def walked(world: World, depth: int) -> int:
    """Walks every order of so many steps. Returns how many different states there were."""
    layer, seen = {pickle.dumps(world)}, set[bytes]()
    for _ in range(depth):
        after = set[bytes]()
        for state in layer:
            for step, index in EVENTS:
                world = pickle.loads(state)
                if getattr(world, step)(world.relays[index]):
                    world.check()
                    after.add(pickle.dumps(world))
        seen |= layer
        layer = after - seen
    return len(seen)


# Worlds are kept as bytes, which a compiled object cannot be made of; the walks below run on both builds.
is_pure = pytest.mark.skipif(not accounts.__file__.endswith(".py"), reason="compiled objects cannot be pickled")

EVENTS = [(step, index) for step in STEPS for index in (0, 1) if step != "wait" or not index]


@is_pure
@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.setting)
def test_in_no_order_of_events_is_more_let_in_than_there_is(limit: Limit) -> None:
    assert walked(World(limit), 5) > 300


@is_pure
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.setting)
def test_nor_in_any_longer_one(limit: Limit) -> None:
    assert walked(World(limit), 8) > 10_000


steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1)), max_size=120)


@pytest.mark.parametrize("amount", [1, 7, 60])
@pytest.mark.parametrize("setting", ["requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrent_calls"])
@settings(max_examples=60)
@given(walk=steps, units=st.integers(1, 4))
def test_on_no_long_day_is_more_let_in_than_there_is(
    setting: str, amount: int, walk: list[tuple[str, int]], units: int
) -> None:
    world = World(Limit("all", setting, amount), units if "tokens" in setting and units <= amount else 1)
    for step, index in walk:
        getattr(world, step)(world.relays[index])
        world.check()
    for relay in world.relays:  # at the end of the day nothing is left over
        world.lose(relay)
        while world.end(relay):
            pass
        assert relay.limiter.counts.open == 0
        world.holder.handle(relay.name, [], *relay.limiter.tidings(world.now, MOMENT, is_last=True), world.now)
    if setting == "concurrent_calls":
        assert world.holder.calls("all concurrent_calls", world.now + HELD_TERM) == 0


def one_call(world: World, relay: Relay) -> bool:
    """Whether it is let in."""
    before = len(relay.under_way)
    world.ask(relay)
    world.deliver(relay)
    world.take(relay)
    return len(relay.under_way) > before


@pytest.mark.parametrize("setting", ["requests_per_minute", "tokens_per_day", "concurrent_calls"])
def test_all_that_there_is_can_be_used_by_two_relays(setting: str) -> None:
    world = World(Limit("all", setting, 1000))
    let_in = [one_call(world, world.relays[number % 2]) for number in range(1200)]
    for relay in world.relays:
        world.tell(relay)
        world.tell(relay)
    let_in += [one_call(world, world.relays[number % 2]) for number in range(100)]
    assert sum(let_in) == 1000 if setting != "requests_per_minute" else sum(let_in) >= 990


def test_most_calls_ask_nobody_and_slices_shrink_as_the_end_comes_near() -> None:
    world = World(Limit("all", "tokens_per_day", 10_000))
    relay, asked, let_in = world.relays[0], [], 0
    while True:
        world.now += 0.001
        world.ask(relay)
        if relay.waiting is not None:
            asked.append(relay.waiting[1][0][0].wish)
            world.deliver(relay)
            granted = relay.answer[0].units if relay.answer else 0
            if not granted:
                break
            world.take(relay)
        let_in += 1
    assert let_in == 10_000
    assert len(asked) < 150


def test_the_calls_of_a_killed_relay_come_back_after_their_term() -> None:
    world = World(Limit("all", "concurrent_calls", 1))
    assert one_call(world, world.relays[0])
    world.kill(world.relays[0])
    assert not one_call(world, world.relays[1])
    world.now += HELD_TERM
    assert one_call(world, world.relays[1])


def test_a_relay_that_says_what_it_holds_keeps_it_for_longer_than_a_term() -> None:
    world = World(Limit("all", "concurrent_calls", 1))
    assert one_call(world, world.relays[0])
    for _ in range(20):
        world.now += 1
        world.tell(world.relays[0])
    assert not one_call(world, world.relays[1])


def test_what_was_given_out_without_a_holder_that_is_away_is_told_when_it_is_back() -> None:
    world = World(Limit("all", "tokens_per_day", 100), 10)
    relay = world.relays[0]
    assert one_call(world, relay)
    let_in = 0
    for _ in range(20):
        try:
            reservation = relay.limiter.admit("a", (), "d", "chat", "", 10, 0, world.now, MOMENT)
            relay.limiter.unanswered(reservation, world.now, 2)  # half of what is left is this relay's
        except LimitsUnavailable:
            break
        let_in += 1
        relay.limiter.settle(reservation, 7, world.now, has_run=True)
    assert 4 <= let_in <= 6
    world.end(relay)
    world.tell(relay)
    world.tell(relay)
    day = Calendar().period("day", MOMENT).start
    assert world.holder.quotas["all tokens_per_day"].given(0.0, day) == 10 + let_in * 7


def test_a_truth_that_was_lost_is_no_less_than_what_its_relays_know() -> None:
    world: Any = World(Limit("all", "tokens_per_day", 100), 60)
    assert one_call(world, world.relays[0])
    world.holder = Holder()
    assert not one_call(world, world.relays[0])

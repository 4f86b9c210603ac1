"""A breaker against a simple model, with a clock that jumps; and what it does on bad days."""

from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tokenweir.deployments import BreakerSettings
from tokenweir.deployments.breaker import CLOSED, OPEN, Breaker
from tokenweir.records import Duration

SETTINGS = BreakerSettings(failures=3, interval=Duration(10), trip=Duration(5), longest=Duration(60))


def opened(seconds: float | None = None) -> Breaker:
    breaker = Breaker(SETTINGS)
    breaker.open(100.0, "429", seconds)
    return breaker


def test_it_opens_when_failures_gather_and_not_before() -> None:
    breaker = Breaker(SETTINGS)
    for now in (100.0, 101.0):
        breaker.failed(now, "500")
        assert breaker.state is CLOSED and breaker.lets(now)
    breaker.failed(109.0, "503")
    assert (breaker.state, breaker.reason, breaker.trips) == (OPEN, "503", 1)
    assert not breaker.lets(113.9) and breaker.wait(110.0) == 4.0
    assert breaker.lets(114.0)


def test_failures_that_are_far_apart_do_not_count_together() -> None:
    breaker = Breaker(SETTINGS)
    for number in range(100):
        breaker.failed(100.0 + 6.0 * number, "500")  # two within each interval
    assert breaker.state is CLOSED


def test_after_its_time_one_call_tries_and_no_other_until_that_is_known() -> None:
    breaker = opened()
    breaker.begin(106.0)
    assert breaker.state.name == "HALF_OPEN" and not breaker.lets(107.0)
    breaker.succeeded()
    assert breaker.state is CLOSED and breaker.lets(107.0)


def test_a_probe_that_fails_opens_it_again_for_the_whole_time() -> None:
    breaker = opened()
    breaker.begin(106.0)
    breaker.failed(107.0, "500")
    assert (breaker.state, breaker.trips) == (OPEN, 2)
    assert not breaker.lets(111.9) and breaker.lets(112.0)


def test_a_probe_of_which_nothing_is_heard_gives_its_place_away() -> None:
    breaker = opened()
    breaker.begin(106.0)  # its client leaves, and nobody tells
    assert not breaker.lets(110.9)
    assert breaker.lets(111.0)


def test_what_earlier_calls_tell_late_does_not_close_it() -> None:
    breaker = opened()
    breaker.succeeded()
    breaker.failed(101.0, "500")
    assert breaker.state is OPEN and breaker.wait(101.0) == 4.0


def test_the_target_says_how_long_and_is_not_believed_for_ever() -> None:
    assert opened(0.25).lets(100.25)
    assert opened(31_536_000.0).wait(100.0) == 60.0
    later = opened(2.0)
    later.open(101.0, "429", 30.0)
    assert later.wait(101.0) == 30.0
    later.open(102.0, "429", 1.0)
    assert later.wait(102.0) == 29.0  # who said more stays right
    assert later.trips == 1


def test_with_no_trip_there_is_none() -> None:
    breaker = Breaker(BreakerSettings(trip=Duration(0)))
    for _ in range(100):
        breaker.failed(1.0, "500")
        breaker.open(1.0, "429", 60.0)
    assert breaker.state is CLOSED and breaker.trips == 0


@given(st.floats(-1e6, 1e6))
def test_wherever_the_clock_jumps_it_is_open_no_longer_than_the_longest(jump: float) -> None:
    breaker = opened(60.0)
    now = 100.0 + jump
    assert 0.0 <= breaker.wait(now) <= 60.0
    assert breaker.lets(now + 60.0)


class BreakerAgainstModel(RuleBasedStateMachine):
    """The model keeps all that ever happened and looks through it each time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(SETTINGS)
        self.now = 1000.0
        self.state = "closed"
        self.until = 0.0
        self.failures: list[float] = []

    def _open(self, seconds: float) -> None:
        until = self.now + min(seconds, 60.0)
        self.until = max(self.until, until) if self.state == "open" else until
        self.state, self.failures = "open", []

    @property
    def lets(self) -> bool:
        return self.state == "closed" or self.now >= self.until

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 4.0, 5.0, 9.5, 61.0, 1e6]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.lets)
    @rule()
    def a_call_begins(self) -> None:
        self.breaker.begin(self.now)
        if self.state != "closed":
            self.state, self.until = "half-open", self.now + 5.0

    @rule()
    def a_call_succeeds(self) -> None:
        self.breaker.succeeded()
        if self.state == "half-open":
            self.state, self.failures = "closed", []

    @rule()
    def a_call_fails(self) -> None:
        self.breaker.failed(self.now, "500")
        if self.state == "half-open":
            self._open(5.0)
        elif self.state == "closed":
            self.failures.append(self.now)
            if len([moment for moment in self.failures if moment >= self.now - 10.0]) >= 3:
                self._open(5.0)

    @rule(seconds=st.sampled_from([None, 0.25, 7.0, 60.0, 86_400.0]))
    def a_call_is_throttled(self, seconds: float | None) -> None:
        self.breaker.open(self.now, "429", seconds)
        self._open(5.0 if seconds is None else seconds)

    @rule()
    def a_connection_stands(self) -> None:
        self.breaker.close()
        self.state, self.failures = "closed", []

    @invariant()
    def both_say_the_same(self) -> None:
        assert self.breaker.state.name.lower().replace("_", "-") == self.state
        assert self.breaker.is_closed is (self.state == "closed")
        assert self.breaker.lets(self.now) is self.lets


TestBreakerAgainstModel = BreakerAgainstModel.TestCase

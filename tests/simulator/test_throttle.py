"""The limits of a deployment: what is let through, what has to wait, and for how long."""

from support.clocks import JumpingClock
from tokenweir.simulator import SimulatorSettings
from tokenweir.simulator.throttle import Throttle


def test_requests_above_the_limit_wait_until_the_oldest_is_a_minute_old() -> None:
    clock = JumpingClock()
    throttle = Throttle(SimulatorSettings(requests_per_minute=2), clock)
    assert throttle.wait("a") is None
    clock.jump(20)
    assert throttle.wait("a") is None
    assert throttle.wait("a") == 40
    assert throttle.wait("b") is None
    clock.jump(40)
    assert throttle.wait("a") is None
    assert throttle.wait("a") == 20


def test_tokens_above_the_limit_wait_for_those_that_were_used() -> None:
    clock = JumpingClock()
    throttle = Throttle(SimulatorSettings(tokens_per_minute=100), clock)
    assert throttle.wait("a") is None
    throttle.used("a", 130)
    clock.jump(15)
    assert throttle.wait("a") == 45
    clock.jump(45)
    assert throttle.wait("a") is None

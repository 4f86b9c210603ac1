"""``python -m benchmarks.admission``: what limits cost a call, in CPU time of one relay.

Whole answers in memory, as in ``tracing.py``: without limits, with five of them that this relay counts itself, and with
the same five shared, whose holder answers at once. Ways take turns, the least time of all rounds counts.
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Sequence
from time import process_time

from tokenweir.gateway import LimitRule
from tokenweir.limits import AdmissionSettings, Ask, Calendar, Grant, Held, Holder, Limit, Limiter, Return
from tokenweir.policy import TracingSettings
from tokenweir.records import Clock

from .frames import Script
from .machine import describe_machine
from .tracing import memory_call

_MUCH = 10**15
_SETTINGS = ("requests_per_minute", "tokens_per_minute", "concurrent_calls", "tokens_per_day", "tokens_per_month")


class HolderAtHand:
    """The holder without a socket."""

    truth = 0

    def __init__(self, clock: Clock) -> None:
        self._holder, self._clock = Holder(), clock
        self.asked = 0

    def ask(
        self,
        asks: Sequence[Ask],
        returns: Sequence[Return],
        held: Sequence[Held],
        on_answer: Callable[[Sequence[Grant] | None], None],
    ) -> None:
        self.asked += 1
        granted = self._holder.handle("bench", asks, returns, held, self._clock.monotonic())
        on_answer([Grant(*one) for one in granted])


def _rule(clock: Clock, *, shares: bool) -> LimitRule:
    limits = [Limit("caller bench", setting, _MUCH, callers=frozenset(["bench"])) for setting in _SETTINGS]
    holder = HolderAtHand(clock) if shares else None
    return LimitRule(Limiter(limits, Calendar(), shares=shares), AdmissionSettings(), clock, holder)


_WAYS: dict[str, Callable[[Clock], LimitRule | None]] = {
    "none": lambda clock: None,
    "five, counted here": lambda clock: _rule(clock, shares=False),
    "five, shared": lambda clock: _rule(clock, shares=True),
}


async def _measure(rounds: int) -> dict[str, float]:
    calls = {way: memory_call(TracingSettings(), Script(stream=False), limits) for way, limits in _WAYS.items()}
    for call in calls.values():
        call()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for way, call in calls.items():
            began = process_time()
            for _ in range(500):
                call()
            least[way] = min(least[way], (process_time() - began) / 500)
    return least


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admission", description="What limits cost a call.")
    parser.add_argument("--rounds", type=int, default=60, help="[%(default)s]")
    least = asyncio.run(_measure(parser.parse_args(arguments).rounds))
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print("\n| limits | an answer, CPU µs | more |\n|---|--:|--:|")
    for way, seconds in least.items():
        print(f"| {way} | {seconds * 1e6:.1f} | {(seconds - least['none']) * 1e6:+.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

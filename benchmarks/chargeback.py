"""``python -m benchmarks.chargeback``: how many of API Management's events a minute one core meters.

Events go from their bytes to records, in batches as the Functions host hands them over; nothing is sent anywhere. Each
has a prompt, a time and a key of its own, so nothing is remembered from one to the next.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time

from tokenweir.delivery import BrokerMessage, MessageBatch
from tokenweir.delivery.sources import Reassembler
from tokenweir.delivery.sources.apim import ApimEvents
from tokenweir.policy import Keyring

from .frames import EVENTS, Answer, Script
from .machine import describe_machine
from .processes import GATEWAY_CORE

TARGET = 10_000
"""Events a minute that one core is to meter."""

_BATCH = 200
_CALLERS = 50
# About as long as API Management logs it whole.
_LONG = 550


@dataclass(frozen=True)
class Case:
    name: str
    script: Script
    source: str
    """What the records must say, so that it is sure what was measured."""


CASES = [
    Case("answer, with its usage", Script(), "reported"),
    Case(f"stream of {EVENTS} events, with its usage", Script(stream=True, include_usage=True), "reported"),
    Case(f"stream of {EVENTS} events, counted", Script(stream=True), "estimated"),
    Case(f"stream of {_LONG} events, counted", Script(stream=True, events=_LONG), "estimated"),
]


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.sched_setaffinity(0, {GATEWAY_CORE})
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print(
        f"\n{options.seconds} s of CPU for each row, batches of {_BATCH}, one core.\n\n"
        "| event | bytes | CPU µs an event | events a minute of CPU | target | events a minute by the clock |\n"
        "|---|--:|--:|--:|--:|--:|"
    )
    for case in CASES:
        print(_row(case, options.seconds), flush=True)
    return 0


def _row(case: Case, seconds: float) -> str:
    batches = _batches(event_maker(case.script))
    inbox = Reassembler(ApimEvents(Keyring([], [])))
    inbox.take(next(batches))  # loads the vocabulary
    cpu = clock = 0.0
    events = size = 0
    while cpu < seconds:
        batch = next(batches)
        started, began = process_time(), perf_counter()
        taken = inbox.take(batch)
        cpu += process_time() - started
        clock += perf_counter() - began
        if len(taken.records) != _BATCH or any(record.usage.source != case.source for record in taken.records):
            raise RuntimeError(f"{case.name}: not every event became a record whose usage is {case.source}")
        events += _BATCH
        size = len(batch.messages[0].body)
    return (
        f"| {case.name} | {size:,} | {cpu / events * 1e6:,.0f} | {events / cpu * 60:,.0f} | {TARGET:,} "
        f"| {events / clock * 60:,.0f} |"
    )


def _batches(make: Callable[[int], bytes]) -> Iterator[MessageBatch]:
    number = 0
    while True:
        messages = [BrokerMessage(body=make(at), place=str(at)) for at in range(number, number + _BATCH)]
        number += _BATCH
        yield MessageBatch(partition="hub/0", position=str(number), messages=messages)


def event_maker(script: Script) -> Callable[[int], bytes]:
    """Makes the event with a number: the chargeback solution's five fields."""
    answer = Answer(script)
    if script.stream:
        written = b"".join(answer.at(index) for index in range(answer.writes))
        response = b"".join(re.findall(rb"data: .*?\n\n", written, re.DOTALL)).decode()
    else:
        response = answer.whole.partition(b"\r\n\r\n")[2].decode()
    asked = json.loads(script.body)
    *before, question = asked["messages"]

    def make(number: int) -> bytes:
        changed = question | {"content": f"{question['content']} This is question {number}."}
        event = {
            "eventTime": f"2026-11-24T12:{number // 60 % 60:02}:{number % 60:02}.{number % 10**7:07}Z",
            "apiOperation": "ChatCompletion",
            "appSubscriptionKey": f"{number % _CALLERS:032x}",
            "request": json.dumps(asked | {"messages": [*before, changed]}),
            "response": response,
        }
        return json.dumps(event).encode()

    return make


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chargeback", description="Events metered by one core.")
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds for each row [%(default)s]")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

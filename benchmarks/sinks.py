"""``python -m benchmarks.sinks``: events through a sink on one core, to Event Hubs or Application Insights on another.

Those are the tests' own, which confirm at once: what is measured is what a sink costs, not what Azure adds.
Events are handed over in groups of as many as the shipper gathers, each after the one before was confirmed.
"""

import argparse
import cProfile
import os
import pstats
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter, process_time

import uvloop

from tokenweir.delivery.sinks import KINDS, JsonEvent, SinkEvent, SinkSettings
from tokenweir.records import CallRecord, from_fields

from .machine import describe_machine
from .measure import cpu_seconds
from .processes import GATEWAY_CORE, LOAD_CORE, python_module, talking

TARGET = 5000
"""Events a second that the sink to Event Hubs is to send on one core."""

_CALLERS = 50
_WARM_UP_GROUPS = 5


@dataclass(frozen=True)
class Measured:
    events: int
    seconds: float
    sink_cpu: float
    hub_cpu: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.sched_setaffinity(0, {GATEWAY_CORE})
    is_hub = options.kind == "event_hubs"
    place = python_module("hub", options.partitions) if is_hub else python_module("ingestion")
    with talking(place, LOAD_CORE) as lines:
        hub = next(lines)
        profile = cProfile.Profile() if options.profile else None
        measured = uvloop.run(_send(hub["connection_string"], hub["pid"], options, profile))
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    what = f"{options.size} bytes an event, {options.partitions} partitions" if is_hub else "one custom event a call"
    target = f"{TARGET:,}" if is_hub else ""
    print(
        f"\n{options.kind}: {what}, {options.group} events at once, "
        f"{options.seconds} seconds\n\n"
        "| events/s | target | CPU µs an event, sink | CPU µs an event, other side |\n|--:|--:|--:|--:|\n"
        f"| {measured.per_second:,.0f} | {target} | {measured.sink_cpu / measured.events * 1e6:.0f} "
        f"| {measured.hub_cpu / measured.events * 1e6:.0f} |"
    )
    if profile is not None:
        print("\nUnder cProfile, which slows everything down:\n")
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sinks", description=__doc__)
    parser.add_argument("--kind", choices=["event_hubs", "application_insights"], default="event_hubs")
    parser.add_argument("--seconds", type=float, default=10, help="[%(default)s]")
    parser.add_argument("--size", type=int, default=2000, help="bytes of a body [%(default)s]")
    parser.add_argument("--group", type=int, default=1000, help="events handed over at once [%(default)s]")
    parser.add_argument("--partitions", type=int, default=4, help="[%(default)s]")
    parser.add_argument("--profile", action="store_true", help="show where the time goes; its rates are no results")
    return parser.parse_args(arguments)


async def _send(
    connection_string: str, hub: int, options: argparse.Namespace, profile: cProfile.Profile | None
) -> Measured:
    settings = SinkSettings("sink", options.kind, KINDS[options.kind](connection_string_env="C"))
    sink = settings.new_sink({"C": connection_string})
    await sink.open()
    if options.kind == "event_hubs":
        events: list[SinkEvent] = [_event(number, options.size) for number in range(options.group)]
    else:
        events = [
            one
            for number in range(options.group)
            for one in settings.connection.events.fit(_call(number), settings, sink.max_event_size)
        ]
    for _ in range(_WARM_UP_GROUPS):
        await sink.send(events)
    sent = 0
    if profile is not None:
        profile.enable()
    began, sink_cpu, hub_cpu = perf_counter(), process_time(), cpu_seconds([hub])
    while perf_counter() - began < options.seconds:
        await sink.send(events)
        sent += len(events)
    measured = Measured(sent, perf_counter() - began, process_time() - sink_cpu, cpu_seconds([hub]) - hub_cpu)
    if profile is not None:
        profile.disable()
    await sink.close()
    return measured


def _call(number: int) -> CallRecord:
    return from_fields(
        call_id=f"0193a1b2-c3d4-7e5f-8a9b-{number:012x}",
        started_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        api="chat_completions",
        caller=f"team-{number % _CALLERS}",
        key_id=f"key-{number % _CALLERS}",
        tags={"cost_centre": "4711"},
        deployment="gpt-4o",
        response_model="gpt-4o-2024-11-20",
        backend="sweden",
        region="Sweden Central",
        attempts=1,
        status=200,
        usage_source="reported",
        input_tokens=812,
        output_tokens=97,
        total_tokens=909,
        first_token_ms=412.5,
        latency_ms=1812.25,
        cost=Decimal("0.0030000"),
        currency="EUR",
    )


def _event(number: int, size: int) -> JsonEvent:
    call_id = f"0193a1b2-c3d4-7e5f-8a9b-{number:012x}"
    body = b'{"call_id":"%s","text":"' % call_id.encode()
    return JsonEvent(
        body=body + b"x" * (size - len(body) - 2) + b'"}',
        key=f"team-{number % _CALLERS}",
        call_id=call_id,
        properties={"call_id": call_id, "replica": "relay-0", "seq": str(number), "shape": "tokenweir"},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where the time went: connecting, waiting for the first token, silences in between."""

from collections.abc import Iterator

from ..capture import Capture
from ..measures import Measures
from .buffering import came_at_once, came_in_batches
from .finding import Finding, milliseconds

__all__ = ["pace"]

_SLOW_CONNECTION_SECONDS = 0.3
_SLOW_FIRST_TOKEN_SECONDS = 1.0

# Pieces that may come together by chance are fewer.
_FEW = 3

# Headers in which an endpoint says how many milliseconds it took itself.
_OWN_TIMES = ("openai-processing-ms", "x-envoy-upstream-service-time", "cmp-upstream-response-duration")


def pace(capture: Capture, measures: Measures) -> Iterator[Finding]:
    """What was slow, as far as the times tell."""
    yield from _connecting(capture)
    times = [event.at for event in capture.events if event.frame.is_output]
    if came_at_once(times):
        return
    yield from _first_token(capture, measures)
    if not came_in_batches(times):
        yield from _silences(measures)


def _connecting(capture: Capture) -> Iterator[Finding]:
    connected = capture.connected
    if connected is None:
        return
    steps = {"looking up the name": connected.lookup, "connecting": connected.connect, "TLS": connected.tls or 0.0}
    slowest, took = max(steps.items(), key=lambda step: step[1])
    if took >= _SLOW_CONNECTION_SECONDS:
        yield Finding(
            "slow_connection",
            "odd",
            f"{slowest} took {milliseconds(took)}, before anything was sent",
            "this is the network, or the machine that is connected to; no model is involved yet",
            "keep connections open between calls; look at DNS, the proxy and the distance",
        )


def _first_token(capture: Capture, measures: Measures) -> Iterator[Finding]:
    first = measures.first_token
    if first is None or first < _SLOW_FIRST_TOKEN_SECONDS:
        return
    seen = f"the first token came after {milliseconds(first)}"
    means = "whoever answers was slow, or the network"
    if capture.connected is not None:
        seen += f"; connecting had taken {milliseconds(capture.connected.connect)}"
        if capture.connected.connect * 4 > first:
            means = "much of that may be the network: a round trip takes about as long as connecting"
        else:
            means = (
                "the network is not what was slow: the waiting was at the endpoint or behind it, for a gateway, "
                "a queue, or the model, which reads the prompt and may reason"
            )
    if told := _own_time(capture):
        name, took = told
        seen += f", and {name} says {took} ms"
        means += "; the endpoint's own count leaves the rest to what lies between it and here"
    yield Finding("slow_first_token", "note", seen, means, "ask past the gateway, too: --compare; try a shorter prompt")


def _own_time(capture: Capture) -> tuple[str, str] | None:
    head = capture.head
    found = ((name, head.header(name)) for name in _OWN_TIMES) if head else ()
    return next(((name, value) for name, value in found if value and value.isdigit()), None)


def _silences(measures: Measures) -> Iterator[Finding]:
    if not measures.stalls:
        return
    longest = max(measures.stalls, key=lambda stall: stall.length)
    count = len(measures.stalls)
    seen = (
        f"{'a silence' if count == 1 else f'{count} silences, the longest'} of {milliseconds(longest.length)} after "
        f"piece {longest.after} of {measures.outputs}"
    )
    missed = 0.0
    if longest.usual is not None:
        seen += f"; {milliseconds(longest.usual)} is usual here"
        missed = longest.length / longest.usual
    if longest.usual is not None and longest.caught_up >= max(_FEW, missed / 2):
        means = (
            f"then {longest.caught_up} pieces came at once, about as many as had been missed: they had been written, "
            "and were held up on the way"
        )
        fix = "look at the network (lost packets, a proxy that pauses), not at the model"
    elif longest.caught_up < _FEW:
        means = "then it went on at its usual pace: whoever writes had paused, and nothing was waiting on the way"
        fix = "look at the model's side: shared capacity, a content filter, a gateway's upstream"
    else:
        means = f"then {longest.caught_up} pieces came at once, which does not tell who had paused"
        fix = "repeat the call, and compare with one past the gateway: --repeat, --compare"
    yield Finding("stall", "bad", seen, means, fix)

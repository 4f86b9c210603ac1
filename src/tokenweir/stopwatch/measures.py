"""The numbers of one call, all of them seen and none of them guessed. Seconds throughout."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import msgspec

from ..metering import read_usage
from ..records import Usage
from .capture import Capture
from .target import CALLED

__all__ = [
    "TOGETHER_SECONDS",
    "Burst",
    "Gaps",
    "Measures",
    "Stall",
    "bursts",
    "gaps_of",
    "measure",
    "percentile",
    "stalls",
]

# A silence counts where a reader would notice it, and where it stands out from this very stream.
_STALL_SECONDS = 0.25
_STALL_FACTOR = 8

# Reads follow one another within this where the data is there already.
TOGETHER_SECONDS = 0.002


class Gaps(msgspec.Struct, frozen=True):
    """The times between one piece of output and the next; each is a gap that was seen."""

    count: int
    p50: float
    p90: float
    p99: float
    longest: float


class Stall(msgspec.Struct, frozen=True):
    """A silence in the middle of the output."""

    at: float
    """When it began."""
    length: float
    after: int
    """How many pieces of output had come."""
    caught_up: int
    """How many came together when it ended: all that had been written meanwhile, if it was held on the way."""
    usual: float | None
    """The median of the other gaps, without those inside what came together; None where there are no others."""


class Burst(msgspec.Struct, frozen=True):
    """Neighbours that came together."""

    began: float
    ended: float
    count: int


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """None where there was nothing to measure."""

    first_byte: float | None
    """The answer's head."""
    first_event: float | None
    first_token: float | None
    """The first event that carries what the model wrote; filters and roles come before."""
    last_token: float | None
    ended: float
    events: int
    outputs: int
    """Events that carry what the model wrote."""
    bytes: int
    reads: int
    """Reads of the socket that gave something of the body; 0 through the SDK."""
    usage: Usage | None
    tokens_per_second: float | None
    outputs_per_second: float | None
    gaps: Gaps | None
    stalls: list[Stall]
    finish: str | None
    model: str | None
    characters: int
    """Of what the model wrote."""


def measure(capture: Capture) -> Measures:
    """Everything that can be counted about a call."""
    times = [event.at for event in capture.events if event.frame.is_output]
    frames = [event.frame for event in capture.events]
    told = next((frame.usage for frame in reversed(frames) if frame.usage), None)
    usage = read_usage(told, CALLED[capture.began.api].name) if told else None
    return Measures(
        first_byte=capture.head.at if capture.head else None,
        first_event=capture.events[0].at if capture.events else None,
        first_token=times[0] if times else None,
        last_token=times[-1] if times else None,
        ended=capture.ended.at,
        events=len(frames),
        outputs=len(times),
        bytes=sum(piece.size for piece in capture.pieces) or sum(event.size for event in capture.events),
        reads=len(capture.pieces),
        usage=usage,
        tokens_per_second=_rate(times, usage.output_tokens - usage.reasoning_tokens) if usage else None,
        outputs_per_second=_rate(times, len(times)),
        gaps=gaps_of(times),
        stalls=stalls(times),
        finish=next((frame.finish for frame in reversed(frames) if frame.finish), None),
        model=next((frame.model for frame in frames if frame.model), None),
        characters=sum(len(frame.text) for frame in frames if frame.is_output),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of ``ordered`` that ``share`` of them do not exceed (nearest rank): a value that was seen."""
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


def gaps_of(times: Sequence[float]) -> Gaps | None:
    """None for fewer than two."""
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    if not gaps:
        return None
    return Gaps(len(gaps), percentile(gaps, 0.5), percentile(gaps, 0.9), percentile(gaps, 0.99), gaps[-1])


def bursts(times: Sequence[float], quiet: float) -> list[Burst]:
    """``times``, which do not go back, cut wherever there was nothing for longer than ``quiet``."""
    found: list[Burst] = []
    first = 0
    for index, at in enumerate(times):
        if index + 1 == len(times) or times[index + 1] - at > quiet:
            found.append(Burst(times[first], at, index + 1 - first))
            first = index + 1
    return found


def stalls(times: Sequence[float]) -> list[Stall]:
    """Silences that a reader notices and that stand out among this stream's own gaps."""
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if not gaps:
        return []
    limit = max(_STALL_SECONDS, _STALL_FACTOR * percentile(sorted(gaps), 0.5))
    others = sorted(gap for gap in gaps if TOGETHER_SECONDS < gap < limit)
    usual = percentile(others, 0.5) if others else None
    return [
        Stall(times[index - 1], gap, index, bursts(times[index:], TOGETHER_SECONDS)[0].count, usual)
        for index, gap in enumerate(gaps, start=1)
        if gap >= limit
    ]


def _rate(times: Sequence[float], amount: int) -> float | None:
    """``amount`` a second, without what came first: when that began to be made cannot be seen."""
    if len(times) < 2 or times[-1] <= times[0] or amount <= 0:
        return None
    return amount * (len(times) - 1) / len(times) / (times[-1] - times[0])

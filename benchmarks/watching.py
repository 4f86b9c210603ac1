"""A gateway under load as it is seen from outside, second by second: what callers tell, what its processes take."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import time_ns
from typing import Any

from tokenweir.journal import bytes_behind, read_status

from .load import percentile
from .measure import cpu_seconds, resident_bytes
from .parts import Hub, Served
from .results import Case, Results, Sample
from .scenario import Values

__all__ = ["CURSOR", "Moment", "Watch", "now", "summed_up"]

CURSOR = "sink-hub"
"""What the sink named ``hub`` calls its place in a journal."""

Lines = Iterator[dict[str, Any]]


@dataclass
class Moment:
    """What was seen in one second."""

    phase: str
    round: int
    at: float
    """Seconds since 1970."""
    told: dict[str, Any]
    """The client's line."""
    relay_cpu: float
    books_cpu: float
    hub_cpu: float
    relay_bytes: int
    books_bytes: int
    journal_bytes: int
    behind_bytes: int
    load: float


@dataclass
class Watch:
    """Follows the client's lines, and looks at the gateway with each of them."""

    lines: Lines
    gateway: Served
    moments: list[Moment] = field(default_factory=list)
    hub: Hub | None = None

    def __post_init__(self) -> None:
        self._aside = self.gateway.aside()
        self._books = max(self._aside, key=lambda pid: resident_bytes([pid]))
        self._hub_cpu = 0.0

    def phase(self, name: str, turn: int, seconds: float, until: Callable[[], bool] = lambda: True) -> None:
        """Looks for so long, and on until the condition holds."""
        began = now()
        _say(f"{name}, round {turn + 1}")
        while now() - began < seconds or not until():
            self.look(name, turn)

    def look(self, name: str, turn: int) -> None:
        told = next(self.lines)
        relay, _ = self.gateway.cpu()
        self.moments.append(
            Moment(
                phase=name,
                round=turn,
                at=now(),
                told=told,
                relay_cpu=relay,
                books_cpu=cpu_seconds(self._aside),
                hub_cpu=cpu_seconds([self.hub.pid]) if self.hub else 0.0,
                relay_bytes=self.gateway.resident(),
                books_bytes=resident_bytes([self._books]),
                journal_bytes=sum(file.stat().st_size for file in self.gateway.journal.rglob("*") if file.is_file()),
                behind_bytes=bytes_behind(self.gateway.journal, CURSOR),
                load=os.getloadavg()[0],
            )
        )

    def has_caught_up(self) -> bool:
        """The sink is behind by no more than what a few seconds bring."""
        status = read_status(self.gateway.journal)
        written, seconds = (status.bytes_written if status else 0), self.moments[-1].at - self.moments[0].at
        return self.moments[-1].behind_bytes < 3 * written / max(seconds, 1.0)


def summed_up(moments: Sequence[Moment], rate: float) -> Results:
    """Each phase of each round. What was used in a second is the difference to the one before."""
    results = Results()
    pairs = list(zip(moments, moments[1:], strict=False))
    for phase, turn in dict.fromkeys((moment.phase, moment.round) for moment in moments):
        inside = [(old, new) for old, new in pairs if (new.phase, new.round) == (phase, turn)]
        if inside and phase != "warm-up":
            results.samples.append(Sample(Case("outage", tls=False, size=round(rate)), phase, turn, _values(inside)))
    return results


def _values(inside: Sequence[tuple[Moment, Moment]]) -> Values:
    calls = sum(new.told["calls"] for _, new in inside)
    seconds = sum(new.told["seconds"] for _, new in inside)
    found = {
        "minutes": seconds / 60,
        "per_second": calls / seconds,
        "errors": sum(new.told["errors"] for _, new in inside),
        "relay_us": sum(new.relay_cpu - old.relay_cpu for old, new in inside) / calls * 1e6,
        "books_percent": sum(new.books_cpu - old.books_cpu for old, new in inside) / seconds * 100,
        "load": median(new.load for _, new in inside),
    }
    for name in ("answer_ms", "first_byte_ms", "control_ms"):
        values = sorted(value for _, new in inside for value in new.told[name])
        if values:
            found |= {f"{name}_p50": percentile(values, 0.5), f"{name}_p99": percentile(values, 0.99)}
    return found


def now() -> float:
    """Seconds since 1970."""
    return time_ns() / 1e9


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

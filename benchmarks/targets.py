"""What the design promises of Tokenweir, and whether this run kept it."""

from collections.abc import Callable
from dataclasses import dataclass

from .results import Case, Results

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """``measured`` must not be above ``limit``."""

    promise: str
    limit: float
    unit: str
    measured: Callable[[Results], float | None]


def _against(other: str, scenario: str, *, tls: bool) -> Callable[[Results], float | None]:
    return lambda results: results.ratio(Case(scenario, tls, 32), "tokenweir", other, "cpu_us")


def _stream_memory(results: Results) -> float | None:
    sizes = [sample.case.size for sample in results.samples if sample.case.scenario == "open"]
    return results.median(Case("open", False, max(sizes)), "tokenweir", "stream_kb") if sizes else None


def _growth(results: Results) -> float | None:
    many, few = (results.median(Case("open", False, size), "tokenweir", "cpu_us") for size in (5000, 100))
    return many / few if many and few else None


TARGETS = (
    Target("CPU per answer, of bare Envoy's", 1.0, "×", _against("envoy", "requests", tls=False)),
    Target("CPU per event, of bare Envoy's", 1.0, "×", _against("envoy", "streams", tls=False)),
    Target("CPU per event, of bare nginx's", 1.5, "×", _against("nginx", "streams", tls=False)),
    Target("CPU per answer with TLS upstream, of bare Envoy's", 1.0, "×", _against("envoy", "requests", tls=True)),
    Target("CPU per event with TLS upstream, of bare Envoy's", 1.2, "×", _against("envoy", "streams", tls=True)),
    Target("Memory per open stream", 30, " KB", _stream_memory),
    Target("CPU per event with 5,000 open streams, of that with 100", 1.3, "×", _growth),
)

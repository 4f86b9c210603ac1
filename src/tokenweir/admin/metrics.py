"""What Prometheus is told: sums over the calls that were posted, and how the relays are.

Labels are names that an operator chose (callers, deployments, backends) and small closed sets, never what a
stranger sends. Should there be more of them than is good for a metrics server, the rest is one ``(other)``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..records import CallRecord
from .relays import RelayStatus

__all__ = ["Metrics"]

# Azure Monitor and Prometheus servers both begin to suffer at some tens of thousands of series.
_MOST_PAIRS = 1000

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_KINDS = ("input", "cached_input", "output", "reasoning")
_WHO = ("caller", "deployment")


class Metrics:
    """The counters of one books process. They begin at 0 with it; ``rate()`` does not mind."""

    def __init__(self, relays: Callable[[], list[RelayStatus]]) -> None:
        self._registry = CollectorRegistry()
        self._pairs: set[tuple[str, str]] = set()
        self._calls = Counter(
            "tokenweir_calls", "Calls that have ended.", [*_WHO, "outcome", "status"], registry=self._registry
        )
        self._tokens = Counter(
            "tokenweir_tokens", "Tokens used.", [*_WHO, "kind", "source"], registry=self._registry
        )
        self._bytes = Counter("tokenweir_body_bytes", "Body bytes passed.", ["direction"], registry=self._registry)
        self._latency = _histogram("tokenweir_call_seconds", "From request to last byte.", self._registry)
        self._first_token = _histogram("tokenweir_first_token_seconds", "From request to first output.", self._registry)
        self._gateway = _histogram("tokenweir_gateway_seconds", "The gateway's own part of it.", self._registry)
        self._registry.register(_RelayCollector(relays))

    def observe(self, record: CallRecord) -> None:
        """Counts one call that was posted."""
        who = self._bounded(record.caller or "(unknown)", record.deployment or "(none)")
        status = f"{record.status // 100}xx" if record.status else "none"
        self._calls.labels(*who, record.outcome, status).inc()
        counts = (record.input_tokens, record.cached_input_tokens, record.output_tokens, record.reasoning_tokens)
        for kind, count in zip(_KINDS, counts, strict=True):
            if count:
                self._tokens.labels(*who, kind, record.usage_source).inc(count)
        self._bytes.labels("in").inc(record.bytes_in)
        self._bytes.labels("out").inc(record.bytes_out)
        self._latency.observe(record.latency_ms / 1000)
        self._gateway.observe(record.gateway_ms / 1000)
        if record.first_token_ms is not None:
            self._first_token.observe(record.first_token_ms / 1000)

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)

    def _bounded(self, caller: str, deployment: str) -> tuple[str, str]:
        pair = (caller, deployment)
        if pair not in self._pairs:
            if len(self._pairs) >= _MOST_PAIRS:
                return ("(other)", "(other)")
            self._pairs.add(pair)
        return pair


def _histogram(name: str, meaning: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, meaning, buckets=_SECONDS, registry=registry)


class _RelayCollector(Collector):
    """Asks for the relays' status when the metrics are asked for."""

    def __init__(self, relays: Callable[[], list[RelayStatus]]) -> None:
        self._relays = relays

    def collect(self) -> Iterable[Metric]:
        yield from _families(self._relays())


_JOURNAL = ("records_written", "bytes_written", "waiting_records", "waiting_bytes", "content_shed", "records_lost")


def _families(relays: list[RelayStatus]) -> Iterator[GaugeMetricFamily]:
    fresh = {relay.name: relay.fresh for relay in relays}
    yield _family("up", "Whether the relay has said within seconds that it is well.", fresh)
    for name in sorted({name for relay in relays for name in relay.gauges}):
        yield _family(name, "As the relay says.", {relay.name: relay.gauges.get(name, 0) for relay in relays})
    journals = {relay.name: relay.journal for relay in relays if relay.journal is not None}
    for name in _JOURNAL:
        values = {relay: getattr(journal, name) for relay, journal in journals.items()}
        yield _family(f"journal_{name}", "Of the journal, in this run.", values)
    failing = {relay: journal.failing_since is not None for relay, journal in journals.items()}
    yield _family("journal_failing", "Whether its disk takes nothing.", failing)


def _family(name: str, meaning: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"tokenweir_relay_{name}", meaning, labels=["relay"])
    for relay, value in values.items():
        family.add_metric([relay], float(value))
    return family

"""What Prometheus is told: sums over the calls that were posted, and how relays and sinks are.

Labels are names that somebody chose (callers, deployments) and small closed sets. Anybody may ask for a deployment
that does not exist, so a name becomes a label only when a call to it was completed; the others, and those beyond
what is good for a metrics server, are one ``(other)``.
"""

import platform
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Info, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .. import __version__
from ..build import running_build
from ..delivery import SinkStatus
from ..jobs import JobsStatus
from ..records import CallRecord, TargetStatus, is_call
from .health import LedgerStatus, RelayStatus

__all__ = ["Metrics"]

T = TypeVar("T")

_Sums = defaultdict[tuple[str, ...], int]

# Azure Monitor and Prometheus servers both begin to suffer at some tens of thousands of series. A pair of caller
# and deployment is a dozen of them, a deployment's three histograms are fifty.
_MOST_PAIRS = 1000
_MOST_DEPLOYMENTS = 100

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_BOUNDS = [*map(floatToGoString, _SECONDS), "+Inf"]
_WHO = ("caller", "deployment")
_OTHER = "(other)"

# Each counter would have a second series that says when it began, which nothing here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The counters of one books process. They begin at 0 with it; ``rate()`` does not mind."""

    def __init__(
        self,
        relays: Callable[[], list[RelayStatus]],
        sinks: Callable[[], list[SinkStatus]],
        ledger: Callable[[], LedgerStatus] = LedgerStatus,
        jobs: Callable[[], JobsStatus] = JobsStatus,
    ) -> None:
        self._registry = CollectorRegistry()
        build = running_build()
        Info("tokenweir_build", "What runs here.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version(), "compiled": str(bool(build.compiled)).lower()}
        )
        self._deployments: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()
        self._calls = self._counter("tokenweir_calls", "Calls that have ended.", "outcome", "status")
        self._tokens = self._counter(
            "tokenweir_tokens", "Tokens used; cached is part of input, reasoning of output.", "kind", "source"
        )
        self._unreported = self._counter(
            "tokenweir_unreported_usage", "Calls whose usage was due and not reported, by why not.", "reason"
        )
        self._unmetered = self._counter(
            "tokenweir_unmetered_calls", "Calls whose usage was due and is not known at all, by why not.", "reason"
        )
        self._cost = self._counter("tokenweir_cost", "What calls cost by [[prices]], at least.", "currency")
        self._unpriced = self._counter(
            "tokenweir_unpriced_calls", "Calls with something that has no price, by why not.", "reason"
        )
        self._bytes = self._counter("tokenweir_body_bytes", "Body bytes from clients and to them.", "direction")
        self._latency = self._histogram("tokenweir_call_seconds", "From request to last byte.")
        self._first_token = self._histogram("tokenweir_first_token_seconds", "From request to first output.")
        self._gateway = self._histogram("tokenweir_gateway_seconds", "The gateway's own part of it.")
        self._registry.register(_RelayCollector(relays))
        self._registry.register(_LedgerCollector(ledger))
        self._registry.register(_SinkCollector(sinks))
        self._registry.register(_JobCollector(jobs))

    def observe(self, records: Iterable[CallRecord]) -> None:
        """Counts calls that were posted, once for all of them where they have the same names."""
        calls: _Sums = defaultdict(int)
        tokens: _Sums = defaultdict(int)
        unreported: _Sums = defaultdict(int)
        unmetered: _Sums = defaultdict(int)
        unpriced: _Sums = defaultdict(int)
        cost: dict[tuple[str, ...], float] = defaultdict(float)
        body_bytes: _Sums = defaultdict(int)
        for record in records:
            caller, deployment = self._who(record)
            usage, status = record.usage, record.status
            # Throttling is somebody's quota, the rest of 4xx somebody's mistake.
            family = "429" if status == 429 else f"{status // 100}xx" if status else "none"
            source = usage.source
            if usage.input_tokens:
                tokens[caller, deployment, "input", source] += usage.input_tokens
            if usage.cached_input_tokens:
                tokens[caller, deployment, "cached_input", source] += usage.cached_input_tokens
            if usage.output_tokens:
                tokens[caller, deployment, "output", source] += usage.output_tokens
            if usage.reasoning_tokens:
                tokens[caller, deployment, "reasoning", source] += usage.reasoning_tokens
            if usage.reason is not None and usage.reason != "later":
                unreported[caller, deployment, usage.reason] += 1
                if source == "none":
                    unmetered[caller, deployment, usage.reason] += 1
            if record.cost is not None:
                cost[caller, deployment, record.currency or ""] += float(record.cost)
            if record.cost_reason is not None:
                unpriced[caller, deployment, record.cost_reason] += 1
            body_bytes[caller, deployment, "in"] += record.bytes_in
            body_bytes[caller, deployment, "out"] += record.bytes_out
            if not is_call(record):
                continue
            calls[caller, deployment, record.outcome, family] += 1
            self._latency.add(deployment, record.latency_ms)
            self._gateway.add(deployment, record.gateway_ms)
            if record.first_token_ms is not None:
                self._first_token.add(deployment, record.first_token_ms)
        for counter, sums in (
            (self._calls, calls),
            (self._tokens, tokens),
            (self._unreported, unreported),
            (self._unmetered, unmetered),
            (self._unpriced, unpriced),
            (self._bytes, body_bytes),
        ):
            for labels, amount in sums.items():
                counter.labels(*labels).inc(amount)
        for labels, money in cost.items():
            self._cost.labels(*labels).inc(money)

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)

    def _who(self, record: CallRecord) -> tuple[str, str]:
        """The caller and the deployment, as far as they have become labels."""
        deployment = record.deployment or "(none)"
        if record.outcome == "completed":
            _admit(deployment, self._deployments, _MOST_DEPLOYMENTS)
        if record.deployment is not None and deployment not in self._deployments:
            deployment = _OTHER
        pair = (record.caller or "(unknown)", deployment)
        return pair if _admit(pair, self._pairs, _MOST_PAIRS) else (_OTHER, _OTHER)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, [*_WHO, *labels], registry=self._registry)

    def _histogram(self, name: str, meaning: str) -> "_Durations":
        histogram = _Durations(name, meaning)
        self._registry.register(histogram)
        return histogram


class _Durations(Collector):
    """A histogram by deployment. The library's own takes a lock for each of a call's durations, twice."""

    def __init__(self, name: str, meaning: str) -> None:
        self._name = name
        self._meaning = meaning
        self._counts: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, deployment: str, milliseconds: float) -> None:
        counts = self._counts.get(deployment)
        if counts is None:
            counts = self._counts[deployment] = [0] * (len(_SECONDS) + 1)
            self._seconds[deployment] = 0.0
        seconds = milliseconds / 1000
        counts[bisect_left(_SECONDS, seconds)] += 1
        self._seconds[deployment] += seconds

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._meaning, labels=["deployment"])
        for deployment, counts in list(self._counts.items()):
            buckets = zip(_BOUNDS, accumulate(counts), strict=True)
            family.add_metric([deployment], list(buckets), self._seconds[deployment])
        yield family


def _admit(name: T, known: set[T], most: int) -> bool:
    if name not in known and len(known) < most:
        known.add(name)
    return name in known


class _RelayCollector(Collector):
    """Asks for the relays' status when the metrics are asked for."""

    def __init__(self, relays: Callable[[], list[RelayStatus]]) -> None:
        self._relays = relays

    def collect(self) -> Iterable[Metric]:
        yield from _families(self._relays())


class _LedgerCollector(Collector):
    def __init__(self, ledger: Callable[[], LedgerStatus]) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        status = self._ledger()
        failing = status.failing_since is not None
        yield GaugeMetricFamily("tokenweir_ledger_failing", "Whether the ledger takes nothing.", float(failing))
        archive = status.archive_trouble is not None
        yield GaugeMetricFamily("tokenweir_archive_failing", "Whether passed segments cannot go.", float(archive))
        yield CounterMetricFamily("tokenweir_ledger_errors", "Times that it took nothing, in this run.", status.errors)


class _JobCollector(Collector):
    def __init__(self, jobs: Callable[[], JobsStatus]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterable[Metric]:
        status = self._jobs()
        count = GaugeMetricFamily("tokenweir_jobs_open", "Jobs whose usage is not known yet.", labels=["kind"])
        for kind, number in status.open.items():
            count.add_metric([kind], number)
        yield count
        oldest = "The age of the oldest job whose usage is not known yet."
        yield GaugeMetricFamily("tokenweir_jobs_oldest_seconds", oldest, status.oldest_seconds)
        given_up = "Jobs of the last months whose usage could not be learnt."
        yield GaugeMetricFamily("tokenweir_jobs_given_up", given_up, float(status.given_up))


_JOURNAL_COUNTERS = ("records_written", "bytes_written", "content_shed", "records_lost")
_JOURNAL_GAUGES = ("waiting_records", "waiting_bytes")
_RELAY_COUNTERS = frozenset(
    {
        "buffers_full",
        "clock_jumps",
        "connections_closed",
        "connections_refused",
        "limit_refusals",
        "record_fields_changed",
        "upstream_refusals",
    }
)
"""Which of the numbers that relays tell only grow, in their run."""


def _families(relays: list[RelayStatus]) -> Iterator[Metric]:
    yield _gauge("up", "Whether the relay has said within seconds that it is well.", {r.name: r.fresh for r in relays})
    for name in sorted({name for relay in relays for name in relay.gauges}):
        make = _counter if name in _RELAY_COUNTERS else _gauge
        yield make(name, "As the relay says.", {relay.name: relay.gauges.get(name, 0) for relay in relays})
    lags = {relay.name: relay.lag_bytes for relay in relays if relay.lag_bytes is not None}
    yield _gauge("lag_bytes", "How much of its journal is not in the ledger yet.", lags)
    ages = {one.name: one.oldest_unposted_seconds for one in relays if one.oldest_unposted_seconds is not None}
    yield _gauge("oldest_unposted_seconds", "How long ago the oldest call ended that is not in the ledger yet.", ages)
    journals = {relay.name: relay.journal for relay in relays if relay.journal is not None}
    for name in _JOURNAL_COUNTERS:
        values = {relay: getattr(journal, name) for relay, journal in journals.items()}
        yield _counter(f"journal_{name}", "Of the journal, in this run.", values)
    for name in _JOURNAL_GAUGES:
        values = {relay: getattr(journal, name) for relay, journal in journals.items()}
        yield _gauge(f"journal_{name}", "Of the journal.", values)
    missing = {relay.name: relay.records_missing for relay in relays}
    yield _counter("journal_records_missing", "Numbered and not in the journal, at most; over all runs.", missing)
    cut = {relay.name: relay.segments_cut for relay in relays}
    yield _counter("journal_segments_cut", "Segments of the journal found empty, short or gone.", cut)
    behind = {relay.name: relay.ledger_gap.missing if relay.ledger_gap is not None else 0 for relay in relays}
    yield _gauge("ledger_missing_records", "Posted once, and in neither ledger nor journal: an old ledger.", behind)
    failing = {relay: journal.failing_since is not None for relay, journal in journals.items()}
    yield _gauge("journal_failing", "Whether its disk takes nothing.", failing)
    read_only = {relay.name: relay.is_read_only for relay in relays}
    yield _gauge("journal_read_only", "Whether its file system is mounted so.", read_only)
    yield _gauge("journal_size_bytes", "Segments on disk.", {relay.name: relay.journal_size_bytes for relay in relays})
    free = {relay.name: relay.journal_free_bytes for relay in relays}
    yield _gauge("journal_free_bytes", "What the journal's disk has left.", free)
    errors = CounterMetricFamily(
        "tokenweir_upstream_errors",
        "Requests that got no good answer, also where another target answered the call.",
        labels=["relay", "upstream", "kind"],
    )
    for relay, journal in journals.items():
        for upstream, kinds in journal.upstream_errors.items():
            for kind, count in kinds.items():
                errors.add_metric([relay, upstream, kind], count)
    yield errors
    for name, (meaning, make, value) in _OF_TARGETS.items():
        family = make(f"tokenweir_target_{name}", meaning, labels=["relay", "deployment", "upstream", "target"])
        for relay, journal in journals.items():
            for target in journal.targets:
                family.add_metric([relay, target.deployment, target.upstream, target.target], float(value(target)))
        yield family


_OF_TARGETS: dict[str, tuple[str, type[GaugeMetricFamily | CounterMetricFamily], Callable[[TargetStatus], float]]] = {
    "open": ("Whether its breaker keeps calls away.", GaugeMetricFamily, lambda one: one.breaker != "closed"),
    "weight": ("Its share among targets of its priority; 0: drained.", GaugeMetricFamily, lambda one: one.weight),
    "calls": ("Calls whose turn came there, in this run.", CounterMetricFamily, lambda one: one.calls),
    "failovers": ("Of these, those that went on to another target.", CounterMetricFamily, lambda one: one.failovers),
    "spillovers": (
        "Calls that came there as no target of a lower priority took them.",
        CounterMetricFamily,
        lambda one: one.spillovers,
    ),
    "trips": ("Times that its breaker was opened.", CounterMetricFamily, lambda one: one.trips),
}


def _gauge(name: str, meaning: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"tokenweir_relay_{name}", meaning, labels=["relay"])
    for relay, value in values.items():
        family.add_metric([relay], float(value))
    return family


def _counter(name: str, meaning: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"tokenweir_relay_{name}", meaning, labels=["relay"])
    for relay, value in values.items():
        family.add_metric([relay], float(value))
    return family


_SINK_COUNTERS: dict[str, tuple[str, Callable[[SinkStatus], float]]] = {
    "events_sent": ("Events that the other side has confirmed.", lambda sink: sink.sent),
    "events_dead": ("Events that can never be sent and are in the dead letters.", lambda sink: sink.dead),
    "retries": ("Times that something had to be tried again.", lambda sink: sink.retries),
}
_SINK_GAUGES: dict[str, tuple[str, Callable[[SinkStatus], float]]] = {
    "failing": ("Whether nothing can be sent.", lambda sink: sink.failing_since is not None),
    "oldest_unsent_seconds": (
        "How long ago the oldest call ended that is not sent yet.",
        lambda sink: sink.oldest_unsent_seconds,
    ),
    "behind_bytes": ("How much of the journals is not sent yet.", lambda sink: sink.behind_bytes),
    "last_sent_timestamp_seconds": (
        "When something was sent last; 0 before.",
        lambda sink: sink.last_sent_at.timestamp() if sink.last_sent_at else 0,
    ),
}


class _SinkCollector(Collector):
    def __init__(self, sinks: Callable[[], list[SinkStatus]]) -> None:
        self._sinks = sinks

    def collect(self) -> Iterable[Metric]:
        sinks = self._sinks()
        for name, (meaning, value) in _SINK_COUNTERS.items():
            counter = CounterMetricFamily(f"tokenweir_sink_{name}", meaning, labels=["sink"])
            for sink in sinks:
                counter.add_metric([sink.name], value(sink))
            yield counter
        for name, (meaning, value) in _SINK_GAUGES.items():
            gauge = GaugeMetricFamily(f"tokenweir_sink_{name}", meaning, labels=["sink"])
            for sink in sinks:
                gauge.add_metric([sink.name], value(sink))
            yield gauge

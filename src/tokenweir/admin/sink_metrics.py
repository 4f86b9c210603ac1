"""What Prometheus is told about sinks, asked for when it asks."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..delivery import SinkStatus

__all__ = ["SinkCollector"]

_COUNTERS: dict[str, tuple[str, Callable[[SinkStatus], float]]] = {
    "events_sent": ("Events that the other side has confirmed.", lambda sink: sink.sent),
    "events_dead": ("Events that can never be sent and are in the dead letters.", lambda sink: sink.dead),
    "retries": ("Times that something had to be tried again.", lambda sink: sink.retries),
}
_GAUGES: dict[str, tuple[str, Callable[[SinkStatus], float]]] = {
    "failing": ("Whether nothing can be sent.", lambda sink: sink.failing_since is not None),
    "behind_bytes": ("How much of the journals is not sent yet.", lambda sink: sink.behind_bytes),
    "last_sent_timestamp_seconds": (
        "When something was sent last; 0 before.",
        lambda sink: sink.last_sent_at.timestamp() if sink.last_sent_at else 0,
    ),
}


class SinkCollector(Collector):
    def __init__(self, sinks: Callable[[], list[SinkStatus]]) -> None:
        self._sinks = sinks

    def collect(self) -> Iterable[Metric]:
        sinks = self._sinks()
        for name, (meaning, value) in _COUNTERS.items():
            counter = CounterMetricFamily(f"tokenweir_sink_{name}", meaning, labels=["sink"])
            for sink in sinks:
                counter.add_metric([sink.name], value(sink))
            yield counter
        for name, (meaning, value) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"tokenweir_sink_{name}", meaning, labels=["sink"])
            for sink in sinks:
                gauge.add_metric([sink.name], value(sink))
            yield gauge

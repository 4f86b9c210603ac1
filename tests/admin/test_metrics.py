"""What Prometheus is told: every posted call once, under a bounded number of names."""

import platform
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tokenweir import __version__
from tokenweir.admin import LedgerStatus, Metrics
from tokenweir.build import running_build
from tokenweir.delivery import SinkStatus
from tokenweir.records import CallRecord, TargetStatus, from_fields

DONE: dict[str, Any] = {"caller": "ada", "deployment": "gpt-4o", "status": 200}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(lambda: [], lambda: [])


def a_call(**fields: Any) -> CallRecord:
    return from_fields(call_id="1", started_at=datetime(2026, 3, 1, tzinfo=UTC), **fields)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[str]], float]:
    """Name and label values → value."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, *labels: str) -> float:
    return samples(metrics)[name, frozenset(labels)]


def series(metrics: Metrics) -> int:
    return len(samples(metrics))


def test_calls_are_counted_by_who_and_how_they_ended(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.observe([a_call(**DONE)])
    metrics.observe([a_call(**DONE | {"status": 429}, outcome="upstream_error")])
    metrics.observe([a_call(caller="ada", deployment="gpt-4o", outcome="client_gone")])
    assert value(metrics, "tokenweir_calls_total", "ada", "gpt-4o", "completed", "2xx") == 3
    assert value(metrics, "tokenweir_calls_total", "ada", "gpt-4o", "upstream_error", "429") == 1
    assert value(metrics, "tokenweir_calls_total", "ada", "gpt-4o", "client_gone", "none") == 1


def test_the_build_is_named(metrics: Metrics) -> None:
    compiled = str(bool(running_build().compiled)).lower()
    assert value(metrics, "tokenweir_build_info", __version__, platform.python_version(), compiled) == 1


def test_tokens_are_counted_by_kind_and_source(metrics: Metrics) -> None:
    used = {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 7, "reasoning_tokens": 3}
    metrics.observe([a_call(**DONE, usage_source="reported", **used)])
    metrics.observe([a_call(**DONE, usage_source="estimated", output_tokens=5)])
    for kind, count in {"input": 10, "cached_input": 4, "output": 7, "reasoning": 3}.items():
        assert value(metrics, "tokenweir_tokens_total", "ada", "gpt-4o", kind, "reported") == count
    assert value(metrics, "tokenweir_tokens_total", "ada", "gpt-4o", "output", "estimated") == 5


def test_bytes_are_counted_both_ways(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.observe([a_call(**DONE, bytes_in=100, bytes_out=900)])
    assert value(metrics, "tokenweir_body_bytes_total", "ada", "gpt-4o", "in") == 200
    assert value(metrics, "tokenweir_body_bytes_total", "ada", "gpt-4o", "out") == 1800


def test_times_are_distributed_in_seconds(metrics: Metrics) -> None:
    metrics.observe([a_call(**DONE, latency_ms=700.0, gateway_ms=0.2, first_token_ms=80.0)])
    metrics.observe([a_call(**DONE, latency_ms=300.0, gateway_ms=0.2)])
    assert value(metrics, "tokenweir_call_seconds_sum", "gpt-4o") == pytest.approx(1.0)
    assert value(metrics, "tokenweir_call_seconds_bucket", "gpt-4o", "0.5") == 1
    assert value(metrics, "tokenweir_call_seconds_bucket", "gpt-4o", "+Inf") == 2
    assert value(metrics, "tokenweir_first_token_seconds_count", "gpt-4o") == 1
    assert value(metrics, "tokenweir_first_token_seconds_sum", "gpt-4o") == pytest.approx(0.08)
    assert value(metrics, "tokenweir_gateway_seconds_sum", "gpt-4o") == pytest.approx(0.0004)


def test_sessions_and_jobs_are_neither_calls_nor_latencies(metrics: Metrics) -> None:
    metrics.observe([a_call(**DONE, operation="realtime", latency_ms=700.0)])
    metrics.observe([a_call(**DONE, operation="session", latency_ms=3_600_000.0, bytes_in=70)])
    metrics.observe([a_call(**DONE, operation="job", input_tokens=9, usage_source="reported")])
    assert value(metrics, "tokenweir_calls_total", "ada", "gpt-4o", "completed", "2xx") == 1
    assert value(metrics, "tokenweir_call_seconds_count", "gpt-4o") == 1
    assert value(metrics, "tokenweir_body_bytes_total", "ada", "gpt-4o", "in") == 70
    assert value(metrics, "tokenweir_tokens_total", "ada", "gpt-4o", "input", "reported") == 9


def test_a_deployment_that_never_answered_gets_no_label(metrics: Metrics) -> None:
    for number in range(50):
        metrics.observe([a_call(caller="ada", deployment=f"guess-{number}", status=404, outcome="upstream_error")])
    assert value(metrics, "tokenweir_calls_total", "ada", "(other)", "upstream_error", "4xx") == 50
    metrics.observe([a_call(caller="ada", deployment="guess-7", status=200)])
    assert value(metrics, "tokenweir_calls_total", "ada", "guess-7", "completed", "2xx") == 1


def test_a_call_without_names_is_counted_too(metrics: Metrics) -> None:
    metrics.observe([a_call(status=401, outcome="refused")])
    assert value(metrics, "tokenweir_calls_total", "(unknown)", "(none)", "refused", "4xx") == 1


def test_the_number_of_series_is_bounded(metrics: Metrics) -> None:
    for number in range(1500):
        metrics.observe([a_call(caller="ada", deployment=f"deployment-{number}", status=200)])
    by_deployment = series(metrics)
    for number in range(1500):
        metrics.observe([a_call(caller=f"caller-{number}", deployment="deployment-1", status=200)])
    full = series(metrics)
    for number in range(1500):
        metrics.observe([a_call(caller=f"more-{number}", deployment=f"more-{number}", status=200)])
    # The one who comes too late is still counted, under one name for all of them.
    assert series(metrics) <= full + 4
    assert by_deployment < 8_000
    counted = [count for (name, _), count in samples(metrics).items() if name == "tokenweir_calls_total"]
    assert sum(counted) == 4500


def test_relays_say_how_they_are(gateway: Any, make_relay: Any) -> None:
    gateway.relays = [
        make_relay("relay-0", lag_bytes=2048, waiting_records=9),
        make_relay("relay-1", age=None, failing_since=datetime(2026, 3, 1, tzinfo=UTC)),
    ]
    answer = gateway.ask("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    metrics = gateway.metrics
    assert value(metrics, "tokenweir_relay_up", "relay-0") == 1
    assert value(metrics, "tokenweir_relay_up", "relay-1") == 0
    assert value(metrics, "tokenweir_relay_active_calls", "relay-0") == 2
    assert value(metrics, "tokenweir_relay_open_connections", "relay-0") == 5
    assert value(metrics, "tokenweir_relay_journal_waiting_records", "relay-0") == 9
    assert value(metrics, "tokenweir_relay_journal_failing", "relay-0") == 0
    assert value(metrics, "tokenweir_relay_journal_failing", "relay-1") == 1
    assert value(metrics, "tokenweir_relay_lag_bytes", "relay-0") == 2048
    assert ("tokenweir_relay_lag_bytes", frozenset({"relay-1"})) not in samples(metrics)


def test_sinks_say_how_they_are(gateway: Any) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    gateway.sinks = [
        SinkStatus(name="hub", kind="event_hubs", sent=7, dead=1, retries=3, behind_bytes=99, last_sent_at=noon),
        SinkStatus(name="hook", kind="webhook", failing_since=noon, last_error="no route"),
    ]
    metrics = gateway.metrics
    assert value(metrics, "tokenweir_sink_events_sent_total", "hub") == 7
    assert value(metrics, "tokenweir_sink_events_dead_total", "hub") == 1
    assert value(metrics, "tokenweir_sink_retries_total", "hub") == 3
    assert value(metrics, "tokenweir_sink_behind_bytes", "hub") == 99
    assert value(metrics, "tokenweir_sink_last_sent_timestamp_seconds", "hub") == noon.timestamp()
    assert value(metrics, "tokenweir_sink_failing", "hub") == 0
    assert value(metrics, "tokenweir_sink_failing", "hook") == 1
    assert value(metrics, "tokenweir_sink_last_sent_timestamp_seconds", "hook") == 0
    assert gateway.ask("/api/sinks").json()[1]["last_error"] == "no route"


def test_cost_and_what_has_none_are_counted(metrics: Metrics) -> None:
    metrics.observe([a_call(**DONE, cost=Decimal("0.25"), currency="EUR")])
    metrics.observe([a_call(**DONE, cost=Decimal("0.5"), currency="EUR")])
    metrics.observe([a_call(**DONE, cost_reason="no_price")])
    metrics.observe([a_call(**DONE, usage_source="none", usage_reason="not_metered")])
    assert value(metrics, "tokenweir_cost_total", "ada", "gpt-4o", "EUR") == 0.75
    assert value(metrics, "tokenweir_unpriced_calls_total", "ada", "gpt-4o", "no_price") == 1
    assert value(metrics, "tokenweir_unmetered_calls_total", "ada", "gpt-4o", "not_metered") == 1


def test_what_only_grows_is_a_counter_and_no_series_tells_when_it_began(make_relay: Any) -> None:
    relay = make_relay(upstream_errors={"sweden": {"429": 3, "upstream_unreachable": 1}})
    metrics = Metrics(lambda: [relay], lambda: [], lambda: LedgerStatus(datetime(2026, 3, 1, tzinfo=UTC), 7))
    metrics.observe([a_call(**DONE)])
    text = metrics.exposition().decode()
    assert "_created" not in text
    kinds = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    assert {name.endswith("_total") for name, kind in kinds.items() if kind == "counter"} == {True}
    assert not [name for name, kind in kinds.items() if kind == "gauge" and name.endswith("_total")]
    assert value(metrics, "tokenweir_upstream_errors_total", "relay-0", "sweden", "429") == 3
    assert value(metrics, "tokenweir_relay_journal_records_written_total", "relay-0") == 7
    assert (value(metrics, "tokenweir_ledger_failing"), value(metrics, "tokenweir_ledger_errors_total")) == (1, 7)


def test_targets_are_told_by_deployment_and_target(make_relay: Any) -> None:
    told = TargetStatus("gpt", "sweden", "gpt-ptu", 1, 2.0, "half-open", "429", 1.5, 9, 3, 2, 4)
    metrics = Metrics(lambda: [make_relay(targets=[told])], lambda: [])
    wanted = {"open": 1, "weight": 2, "calls_total": 9, "failovers_total": 3, "spillovers_total": 2, "trips_total": 4}
    for name, count in wanted.items():
        assert value(metrics, f"tokenweir_target_{name}", "relay-0", "gpt", "sweden", "gpt-ptu") == count

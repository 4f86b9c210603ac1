"""A call is told step by step: each decision with its reason, whether or not there is a trace."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.call_records import STARTED, a_call, any_record
from tokenweir.records import CallRecord, Trace, TracedAttempt, TracedTarget, flat
from tokenweir.traces import Gap, longest_gaps, record_of_row, steps_of, trace_entries, why_no_trace

PTU, GLOBAL, FAR = TracedTarget("sweden", "gpt", "ptu"), TracedTarget("france", "gpt", "global"), TracedTarget("japan")


def messages(source: str, record: CallRecord) -> list[str]:
    return [step.message for step in steps_of(record) if step.source == source]


def traced(*attempts: TracedAttempt, targets: tuple[TracedTarget, ...] = (PTU, GLOBAL), **fields: Any) -> CallRecord:
    trace = Trace(["failed"], body_ms=0.4, targets=list(targets), attempts=list(attempts))
    return a_call(**{"attempts": len(attempts), "trace": trace} | fields)


def test_a_call_that_went_well_is_told_from_its_record_alone() -> None:
    record = a_call(bytes_in=1204, bytes_out=3000, attempts=1, gateway_ms=0.2)
    told = [(step.section, step.source, step.at_ms, step.message) for step in steps_of(record)]
    assert told == [
        ("inbound", "accept", 0.0, f"POST {record.path}, api-version 2024-10-21, 1,204 bytes"),
        ("inbound", "admit", 0.0, "team-a, by key k-1"),
        ("inbound", "choose", 0.0, "gpt → sweden"),
        ("backend", "connect", 0.2, "one attempt"),
        ("outbound", "forward", 120.9, "the first byte of 200 OK from Sweden Central"),
        ("outbound", "forward", 120.9, "3,000 bytes passed on"),
        ("outbound", "settle", 200.456, "completed; 9 tokens in, 3 out, as the upstream reported; ended by stop"),
    ]


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (TracedAttempt(0, 0.5, sent_ms=0.6, answered_ms=9.0, status=429), "next, as sweden had no room (429)"),
        (TracedAttempt(0, 0.5, sent_ms=0.6, answered_ms=9.0, status=503), "next, as sweden answered 503"),
        (TracedAttempt(0, 0.5, error="upstream_unreachable"), "next, as sweden could not be reached"),
        (TracedAttempt(0, 0.5, sent_ms=0.6, error="upstream_broken"), "next, as sweden went away without an answer"),
        (TracedAttempt(0, 0.5, error="credential_unavailable"), "the gateway had no credential for it"),
    ],
)
def test_another_target_is_asked_because_of_what_became_of_the_one_before(before: TracedAttempt, why: str) -> None:
    record = traced(before, TracedAttempt(1, 9.5, connected_ms=12.0, sent_ms=12.1, status=200))
    first, second = messages("connect", record)
    assert first.startswith("sweden (gpt, ptu): the first choice; ")
    assert why in second
    assert "connected in 2.5 ms, answered 200 after 108.8 ms" in second


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (TracedAttempt(0, 0.5, sent_ms=0.6, error="upstream_broken"), "once more on a new connection"),
        (TracedAttempt(0, 0.5, sent_ms=0.6, answered_ms=9.0, status=400), "once more without stream_options"),
    ],
)
def test_the_same_target_is_asked_again_for_two_reasons(before: TracedAttempt, why: str) -> None:
    record = traced(before, TracedAttempt(0, 9.5, connected_ms=12.0, sent_ms=12.1, status=200), targets=(PTU,))
    first, second = messages("connect", record)
    assert "the only choice; on an idle connection" in first
    assert why in second


@pytest.mark.parametrize(
    ("last", "fields", "why"),
    [
        ({"status": 200}, {}, "sweden had answered"),
        ({"status": 404}, {"status": 404}, "404 is an answer to the request itself"),
        ({"status": 503}, {"status": 503}, "could not be sent again"),
        ({"error": "upstream_timeout"}, {"outcome": "timed_out"}, "may be at work"),
        ({"error": "invalid_json"}, {"outcome": "refused"}, "the body is at fault"),
        ({}, {"outcome": "client_gone", "status": None}, "the client had left"),
        ({}, {"outcome": "aborted", "status": None}, "the gateway was stopping"),
    ],
)
def test_why_others_were_not_asked_is_told(last: dict[str, Any], fields: dict[str, Any], why: str) -> None:
    record = traced(TracedAttempt(0, 0.5, sent_ms=0.6, **last), targets=(PTU, GLOBAL, FAR), **fields)
    (told,) = [message for message in messages("choose", record) if "not asked" in message]
    assert told.startswith("not asked: france (gpt, global) and japan; ")
    assert why in told


def test_where_all_were_asked_nothing_is_said_of_others() -> None:
    busy = TracedAttempt(0, 0.5, sent_ms=0.6, answered_ms=9.0, status=429)
    record = traced(busy, TracedAttempt(1, 9.5, sent_ms=9.6, status=200))
    assert len(messages("choose", record)) == 1


AWAY = TracedTarget("japan", "gpt", "ptu", 1, 1.0, "429", 6540.0)
DRAINED = TracedTarget("korea", "gpt", None, 1, 0.0)
SPARE = TracedTarget("france", "gpt", "global", 2, 3.0)
LAST = TracedTarget("spain", "gpt", None, 3, 1.0)


def test_why_each_target_was_taken_or_not_is_told() -> None:
    limits = [("x-ratelimit-remaining-tokens", "900")]
    answered = TracedAttempt(2, 0.5, sent_ms=0.6, status=200, headers=limits, before=[(limits[0][0], "1000")])
    record = traced(answered, targets=(AWAY, DRAINED, SPARE, LAST))
    chosen, unasked = messages("choose", record)
    assert chosen == (
        "gpt has 4 targets: japan (gpt, ptu), priority 1, left alone after 429 for another 6.5 s; "
        "korea (gpt), drained; france (gpt, global), priority 2, weight 3; spain (gpt), priority 3"
    )
    (attempt,) = messages("connect", record)
    assert "france (gpt, global): the first choice of those that take calls" in attempt
    assert attempt.endswith("900 tokens left there, 1000 tokens before")
    assert unasked == "not asked: spain (gpt); france had answered"


def test_where_no_target_takes_calls_each_is_told() -> None:
    record = traced(targets=(AWAY, DRAINED), status=503, error_code="no_target_available", attempts=0)
    (chosen,) = messages("choose", record)
    assert chosen.endswith("left alone after 429 for another 6.5 s; korea (gpt), drained")
    assert messages("connect", record) == []


def test_what_is_left_of_an_upstreams_limits_is_told() -> None:
    headers = [("X-RateLimit-Remaining-Tokens", "12"), ("x-ratelimit-remaining-requests", "3"), ("x-other", "4")]
    record = traced(TracedAttempt(0, 0.5, sent_ms=0.6, status=200, headers=headers))
    assert messages("connect", record)[0].endswith("12 tokens and 3 requests left there")


@pytest.mark.parametrize(
    ("fields", "source", "told"),
    [
        ({"error_code": "malformed_request", "method": "", "path": ""}, "accept", "what came was not taken"),
        ({"error_code": "invalid_api_key", "caller": None}, "admit", "the key is none that this gateway knows"),
        ({"error_code": "journal_unavailable"}, "admit", "team-a, by key k-1, refused (journal_unavailable)"),
        ({"error_code": "DeploymentNotFound"}, "choose", "gpt is no deployment of this gateway"),
    ],
)
def test_a_refusal_is_told_where_it_happened_and_nothing_after_it(
    fields: dict[str, Any], source: str, told: str
) -> None:
    usual = {"outcome": "refused", "status": 400, "backend": None, "first_byte_ms": None, "usage_source": "none"}
    record = a_call(**usual | {"trace": Trace(["failed"])} | fields)
    steps = [step.source for step in steps_of(record)]
    assert told in messages(source, record)[0]
    assert steps[steps.index(source) + 1 :] == ["forward", "settle"]


def test_pauses_come_longest_first() -> None:
    assert longest_gaps([(1.0, 5), (4.0, 5), (4.5, 5), (10.0, 5)], 2) == [Gap(4.5, 5.5), Gap(1.0, 3.0)]
    assert longest_gaps([(1.0, 5)], 2) == []


def test_entries_have_the_times_of_net() -> None:
    entries = trace_entries(a_call(latency_ms=3_723_004.567))
    settled = entries["outbound"][-1]
    assert settled["elapsed"] == "01:02:03.0045670"
    assert settled["timestamp"] == f"{STARTED + timedelta(milliseconds=3_723_004.567):%Y-%m-%dT%H:%M:%S.%f}0Z"


def test_why_there_is_no_trace_depends_on_how_the_call_went() -> None:
    assert "[tracing] sample" in why_no_trace(a_call())
    assert "[tracing] failed" in why_no_trace(a_call(status=429))


def test_a_row_of_the_ledger_or_of_its_json_is_a_record_again() -> None:
    record = traced(TracedAttempt(0, 0.5, sent_ms=0.6, status=200))
    assert record_of_row({"call_id": "c", "started_at": STARTED, "cost": None, "trace": None}).cost is None
    assert record_of_row(msgspec.to_builtins(flat(record))) == record


_moments = st.floats(0, 1e7)
_attempts = st.builds(
    TracedAttempt,
    target=st.integers(0, 1),
    began_ms=_moments,
    connected_ms=st.none() | _moments,
    sent_ms=st.none() | _moments,
    answered_ms=st.none() | _moments,
    status=st.none() | st.integers(100, 999),
    error=st.none() | st.sampled_from(["upstream_unreachable", "upstream_broken", "of the future"]),
)


@given(
    any_record(),
    st.lists(_attempts, max_size=4),
    st.lists(st.tuples(_moments, st.integers(0, 9)), max_size=4),
    st.sampled_from(["completed", "refused", "client_gone", "aborted", "timed_out", "upstream_error"]),
)
def test_whatever_happened_can_be_told(record: CallRecord, attempts: Any, arrivals: Any, outcome: Any) -> None:
    trace = Trace(["slow"], targets=[PTU, GLOBAL], attempts=attempts, arrivals=arrivals)
    for one in (trace, None):
        entries = trace_entries(msgspec.structs.replace(record, trace=one, outcome=outcome))
        assert entries["outbound"][-1]["source"] == "settle"
        assert msgspec.json.encode(entries)

"""Calls as events of Application Insights: none twice, none lost, and what the service's answers mean."""

import asyncio
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings as told_hypothesis, strategies as st

from support.call_records import a_call, any_record
from support.clocks import JumpingClock
from support.identity import serving_identity
from support.ingestion import (
    INSTRUMENTATION_KEY,
    Answer,
    Ingestion,
    Request,
    accepted,
    serving_ingestion,
    some_of,
)
from support.journals import NOW, write_journal
from support.servers import closed_port, tls_pair
from tokenweir.delivery import Denied, Rejected, Throttled, Unavailable
from tokenweir.delivery.sinks import ApplicationInsightsConnection, SinkSettings
from tokenweir.delivery.sinks.application_insights import custom_event_of
from tokenweir.delivery.sinks.application_insights.custom_event import InsightsEvent, fit_custom_event
from tokenweir.delivery.sinks.application_insights.sink import CONNECTION_STRING_VARIABLE, ApplicationInsightsSink
from tokenweir.ledger import open_ledger
from tokenweir.ledger.duckdb.sandbox import DuckDBSandbox
from tokenweir.ledger.limits import Limits
from tokenweir.ledger.queries import first_rows
from tokenweir.records import CUSTOM_EVENT_PROPERTIES, CallRecord, Duration, SystemClock

from ..conftest import Run

pytestmark = pytest.mark.anyio

QUERIES = Path(__file__).parents[3] / "queries"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}  # as the books run


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    with serving_ingestion() as running:
        yield running


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts back what the sink sets for the whole process, and asks no proxy for what is on this machine."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@asynccontextmanager
async def open_sink(
    connection_string: str, clock: JumpingClock | None = None, **settings: Any
) -> AsyncIterator[ApplicationInsightsSink]:
    variables = {CONNECTION_STRING_VARIABLE: connection_string}
    sink = ApplicationInsightsSink(ApplicationInsightsConnection(**settings), variables, clock or JumpingClock(NOW))
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


def calls(count: int, **fields: Any) -> list[CallRecord]:
    return [a_call(**({"call_id": f"call-{number}"} | fields)) for number in range(1, count + 1)]


def events(records: list[CallRecord]) -> list[InsightsEvent]:
    settings = SinkSettings("insights", "application_insights", ApplicationInsightsConnection())
    return [event for record in records for event in fit_custom_event(record, settings, 64_000)]


# --- what arrives ---


async def test_calls_arrive_as_events_of_their_time_in_one_request(ingestion: Ingestion) -> None:
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events([*calls(2), *calls(1, call_id="refused", usage_source="none", status=429)]))

    [request] = ingestion.requests
    assert request.call_ids == ["call-1", "call-2", "refused"]
    assert [event["name"] for event in ingestion.events] == [
        *["Azure OpenAI Tokens"] * 2,
        "Azure OpenAI Calls",
    ]
    assert {event["time"] for event in ingestion.events} == {"2026-11-22T12:00:00.000250Z"}
    item = ingestion.taken[0]
    assert (item["name"], item["data"]["baseType"]) == ("Microsoft.ApplicationInsights.Event", "EventData")
    assert ingestion.events[0]["measurements"] == {}


@pytest.mark.parametrize(
    ("days", "time"),
    [
        (1.9, "2026-11-22T12:00:00.000250Z"),
        (3, "2026-11-25T12:00:00Z"),
        (-1, "2026-11-21T12:00:00Z"),
    ],
)
async def test_after_an_outage_of_days_calls_arrive_as_of_now_and_say_when_they_were(
    ingestion: Ingestion, days: float, time: str
) -> None:
    clock = JumpingClock(NOW)
    clock.jump(days * 86_400)
    async with open_sink(ingestion.connection_string, clock) as sink:
        await sink.send(events(calls(1)))
    [event] = ingestion.events
    assert event["time"] == time
    assert event["properties"]["Timestamp"] == "2026-11-22T12:00:00.000250Z"


async def test_a_group_that_waits_through_an_outage_is_of_its_last_try(ingestion: Ingestion) -> None:
    clock, waiting = JumpingClock(NOW), events(calls(1))
    async with open_sink(ingestion.connection_string, clock) as sink:
        ingestion.answer = lambda request: some_of(request, (0, 503, "Busy"))
        with pytest.raises(Throttled):
            await sink.send(waiting)
        clock.jump(3 * 86_400)
        ingestion.answer = accepted
        await sink.send(waiting)
    assert [event["time"] for event in ingestion.events] == ["2026-11-25T12:00:00Z"]


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ({"notes": "v" * 9000}, {"tokenweir_left_out": "notes"}),
        ({"notes": "ü" * 5000, "more": '"' * 4000}, {"more": '"' * 4000, "tokenweir_left_out": "notes"}),
        ({f"name_{number}" * 20: "v" * 200 for number in range(40)}, None),
    ],
)
async def test_tags_that_are_longer_than_a_property_are_left_out_by_name(
    ingestion: Ingestion, tags: dict[str, str], kept: dict[str, str] | None
) -> None:
    record = a_call(tags={**tags, "cost_centre": "4711"}, error_code="e" * 9000)
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events([record]))

    [event] = ingestion.events
    shown = msgspec.json.decode(event["properties"]["Tags"], type=dict[str, str])
    assert shown["cost_centre"] == "4711"
    assert kept is None or shown == {**kept, "cost_centre": "4711"}
    assert "tokenweir_left_out" in shown
    assert event["properties"]["ErrorCode"] == "e" * 8191 + "…"


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=4000), max_size=12))
def test_tags_are_json_of_at_most_a_propertys_length(tags: dict[str, str]) -> None:
    text = custom_event_of(a_call(tags=tags)).properties.get("Tags", "{}")
    assert len(text) <= 8192
    shown = msgspec.json.decode(text, type=dict[str, str])
    assert shown == tags or {**tags, **shown} == {**tags, "tokenweir_left_out": shown["tokenweir_left_out"]}


async def test_no_prompt_and_no_answer_leaves(ingestion: Ingestion) -> None:
    record = a_call(request_body='{"messages": "SECRET"}', response_body="SECRET", usage={"said": "SECRET"})
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events([record]))

    assert "SECRET" not in repr(ingestion.requests)


async def test_an_event_stands_beneath_its_callers_span_and_says_what_sent_it(ingestion: Ingestion) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    environ = {CONNECTION_STRING_VARIABLE: ingestion.connection_string, "OTEL_SERVICE_NAME": "gate"}
    sink = ApplicationInsightsSink(ApplicationInsightsConnection(), environ)
    await sink.open()
    await sink.send(events(calls(1, traceparent=trace) + calls(1, call_id="b", traceparent="none")))
    await sink.close()

    beneath, alone = (item["tags"] for item in ingestion.taken)
    assert beneath["ai.operation.id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert beneath["ai.operation.parentId"] == "00f067aa0ba902b7"
    assert set(alone["ai.operation.id"]) == {"0"}
    assert beneath["ai.cloud.role"] == "gate"


async def test_opentelemetrys_variables_drop_and_shorten_nothing(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "1")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2")
    unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events(calls(3, traceparent=unsampled)))

    assert ingestion.call_ids == ["call-1", "call-2", "call-3"]
    assert ingestion.events[0]["properties"]["Model"] == "gpt-4o-2024-11-20"


async def test_nothing_else_is_asked_for_and_no_thread_is_left(ingestion: Ingestion) -> None:
    before = set(threading.enumerate())
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events(calls(1)))
        assert len(ingestion.requests) == 1
        assert ingestion.others == []
        started = {thread.name for thread in set(threading.enumerate()) - before}
    # The loop's own, for what blocks, and the server's.
    assert [name for name in started if not re.match(r"uvloop_|asyncio_|Thread-\d+ \(process_request", name)] == []


async def test_many_events_go_in_requests_of_half_a_megabyte(ingestion: Ingestion) -> None:
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events(calls(1_000)))

    assert ingestion.call_ids == [f"call-{number}" for number in range(1, 1_001)]
    assert 2 <= len(ingestion.requests) <= 5


async def test_a_call_that_came_twice_is_one_event(ingestion: Ingestion) -> None:
    async with open_sink(ingestion.connection_string) as sink:
        await sink.send(events(calls(2) + calls(2)))

    assert ingestion.call_ids == ["call-1", "call-2"]


# --- the same as the ledger's view ---


def stripped(properties: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in properties.items() if text is not None}


@told_hypothesis(max_examples=10)
@given(st.lists(any_record(), min_size=1, max_size=30))
def test_an_event_says_what_the_ledgers_view_says(records: list[CallRecord]) -> None:
    records = [msgspec.structs.replace(one, call_id=f"{number:02}") for number, one in enumerate(records)]
    ledger = open_ledger("duckdb::memory:")
    ledger.post(records, "relay-1", "1")
    viewed = ledger.query_sql("""SELECT * FROM "customEvents" ORDER BY "customDimensions" ->> 'CallId'""").rows
    ledger.close()
    for event, (moment, name, seen) in zip(events(records), viewed, strict=True):
        sent = msgspec.json.decode(event.letter()["event"])
        for properties in (sent["properties"], seen):  # two ways to write a control character
            if properties.get("Tags"):
                properties["Tags"] = msgspec.json.decode(properties["Tags"])
        assert stripped(sent["properties"]) == stripped(seen)
        assert list(seen) == list(CUSTOM_EVENT_PROPERTIES)
        assert [one for one in seen if one in sent["properties"]] == list(sent["properties"])
        assert (sent["name"], seen["Timestamp"]) == (name, moment)


def mixed_calls() -> list[CallRecord]:
    return [
        a_call(
            call_id=f"call-{number:03}",
            key_id=("8f14e45fceea167a", "c9f0f895fb98ab91", None)[number % 3],
            api=("chat_completions", "embeddings", "responses", "other")[number % 4],
            stream=number % 2 == 0,
            usage_source=("reported", "estimated", "none")[number % 7 % 3],
            status=429 if number % 7 % 3 == 2 else 200,
            input_tokens=100 + number,
            output_tokens=number,
            total_tokens=100 + 2 * number,
            latency_ms=number * 12.25,
            started_at=SystemClock().now() - timedelta(hours=number),  # queries ask about the last days
        )
        for number in range(60)
    ]


def test_every_query_says_the_same_of_what_arrived_as_of_the_ledger(ingestion: Ingestion) -> None:
    records = mixed_calls()

    async def send() -> None:
        async with open_sink(ingestion.connection_string) as sink:
            await sink.send(events(records))

    asyncio.run(send())
    ledger = open_ledger("duckdb::memory:")
    ledger.post(records, "relay-1", "1")
    queries = {path.stem: path.read_text() for path in QUERIES.glob("*.kql") if "customEvents" in path.read_text()}
    expected = {name: sorted(map(repr, ledger.query_kql(kql).rows)) for name, kql in queries.items()}
    viewed = ledger.query_sql('SELECT * FROM "customEvents"').rows
    ledger.close()

    arrived = {event["properties"]["CallId"]: (event["name"], event["properties"]) for event in ingestion.events}
    assert arrived == {seen["CallId"]: (name, stripped(seen)) for _, name, seen in viewed}
    rows = {name: _asked(ingestion, kql) for name, kql in queries.items()}
    assert {name: sorted(map(repr, found)) for name, found in rows.items()} == expected
    counted = [one for one in records if one.usage.source != "none"]
    assert sum(row[3] for row in rows["all-apps-tokens-count"]) == sum(one.usage.total_tokens for one in counted)
    assert len(rows["tokens-count-per-app"]) == sum(one.key_id == "8f14e45fceea167a" for one in counted)
    assert len([name for name, found in rows.items() if found]) >= 10


def _asked(ingestion: Ingestion, kql: str) -> list[list[Any]]:
    """Asks what arrived, in a table like Application Insights' own."""
    with duckdb.connect(":memory:") as connection:
        connection.execute('CREATE TABLE "customEvents" ("timestamp" TIMESTAMP, name VARCHAR, "customDimensions" JSON)')
        for event in ingestion.events:
            row = [event["time"], event["name"], msgspec.json.encode(event["properties"]).decode()]
            connection.execute('INSERT INTO "customEvents" VALUES (?, ?, ?)', row)
        return first_rows(DuckDBSandbox(lambda: closing(connection.cursor())).kql(kql), Limits()).rows


# --- what is answered ---


async def test_of_a_partial_success_only_what_was_not_taken_is_sent_again(ingestion: Ingestion) -> None:
    days: list[Callable[[Request], Answer]] = [
        lambda request: some_of(request, (1, 500, "Oh"), (2, 429, "Too many"), headers=(("Retry-After", "7"),)),
        lambda request: some_of(request, (0, 503, "Oh")),
        *[accepted] * 3,
    ]
    given_answers = iter(days)
    ingestion.answer = lambda request: next(given_answers)(request)
    sent = events(calls(4))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Throttled, match="takes 2 of 4 events another time") as raised:
            await sink.send(sent)
        assert raised.value.retry_after == 7
        with pytest.raises(Throttled, match="takes 1 of 2"):
            await sink.send(sent)
        await sink.open()
        await sink.send(events(calls(1, call_id="between")))
        await sink.send(sent)
        await sink.send(events(calls(1, call_id="next")))

    assert [request.call_ids for request in ingestion.requests] == [
        ["call-1", "call-2", "call-3", "call-4"],
        ["call-2", "call-3"],
        ["between"],
        ["call-2"],
        ["next"],
    ]
    assert sorted(ingestion.call_ids) == ["between", "call-1", "call-2", "call-3", "call-4", "next"]


async def test_events_that_are_never_taken_are_named_and_all_others_are_there(ingestion: Ingestion) -> None:
    too_old = "103: Field 'time' on type 'Envelope' is older than the allowed min date"
    ingestion.answer = lambda request: some_of(request, (1, 400, too_old), (2, 200, "Telemetry sampled out."))
    sent = events(calls(3))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Rejected) as raised:
            await sink.send(sent)

    assert raised.value.events == (sent[1], sent[2])
    assert "is not taken (400): 103: Field 'time'" in raised.value.reason
    assert "turn off ingestion sampling" in raised.value.reason
    assert ingestion.call_ids == ["call-1"]


async def test_an_error_without_an_index_may_be_of_any_event(ingestion: Ingestion) -> None:
    ingestion.answer = lambda request: Answer(206, (0,), ((None, 400, "Who knows"), (1, 400, "Bad")))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Rejected) as raised:
            await sink.send(events(calls(2)))
    assert len(raised.value.events) == 2


@pytest.mark.parametrize("status", [400, 413])
async def test_an_event_that_spoils_a_request_is_found_by_halves(ingestion: Ingestion, status: int) -> None:
    def answer(request: Request) -> Answer:
        return Answer(status) if "call-5" in request.call_ids else accepted(request)

    ingestion.answer = answer
    sent = events(calls(7))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Rejected, match=f"answers {status}") as raised:
            await sink.send(sent)
    assert raised.value.events == (sent[4],)
    assert sorted(ingestion.call_ids) == [f"call-{number}" for number in (1, 2, 3, 4, 6, 7)]


async def test_where_all_are_named_no_halves_are_tried(ingestion: Ingestion) -> None:
    ingestion.answer = lambda request: some_of(request, (0, 400, "Old"), (1, 400, "Old"))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Rejected, match=r"is not taken \(400\): Old"):
            await sink.send(events(calls(2)))
    assert len(ingestion.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, Denied, "set `managed_identity = true`"),
        (402, Throttled, "quota"),
        (403, Denied, "Monitoring Metrics Publisher"),
        (404, Denied, "copy the connection string"),
        (408, Unavailable, "server error"),
        (429, Throttled, "busy"),
        (439, Throttled, "daily cap"),
        (500, Unavailable, "server error"),
        (503, Unavailable, "server error"),
        (307, Denied, "another host"),
        (418, Denied, "answers 418"),
    ],
)
async def test_other_answers_are_an_outage_or_a_persons_business(
    ingestion: Ingestion, status: int, kind: type[Exception], said: str
) -> None:
    ingestion.answer = lambda request: Answer(status)
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(kind, match=said) as raised:
            await sink.send(events(calls(2)))
    assert type(raised.value) is kind
    assert len(ingestion.requests) == 1, "nothing is tried again inside"


@pytest.mark.parametrize("status", [429, 503])
async def test_who_says_how_long_to_wait_is_believed(ingestion: Ingestion, status: int) -> None:
    ingestion.answer = lambda request: Answer(status, headers=(("Retry-After", "30"),))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Throttled) as raised:
            await sink.send(events(calls(1)))
    assert raised.value.retry_after == 30


async def test_an_answer_that_is_no_json_takes_nothing(ingestion: Ingestion) -> None:
    ingestion.answer = lambda request: Answer(503, body=b"<html>")
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Unavailable):
            await sink.send(events(calls(1)))


async def test_a_redirect_is_followed_and_remembered(ingestion: Ingestion) -> None:
    with serving_ingestion() as other:
        ingestion.answer = lambda request: Answer(307, headers=(("Location", f"{other.url}/v2.1/track"),))
        async with open_sink(ingestion.connection_string) as sink:
            await sink.send(events(calls(1)))
            await sink.send(events(calls(1, call_id="call-2")))
        assert other.call_ids == ["call-1", "call-2"]
    assert len(ingestion.requests) == 1


async def test_a_redirect_to_somebody_else_is_not_followed(ingestion: Ingestion) -> None:
    ingestion.answer = lambda request: Answer(308, headers=(("Location", "http://localhost:9/v2.1/track"),))
    async with open_sink(ingestion.connection_string) as sink:
        with pytest.raises(Denied, match="another host"):
            await sink.send(events(calls(1)))


async def test_an_unknown_resource_is_a_persons_business(ingestion: Ingestion) -> None:
    other = ingestion.connection_string.replace("1111", "9999")
    async with open_sink(other) as sink:
        with pytest.raises(Denied, match="does not know this resource"):
            await sink.send(events(calls(2)))
    assert len(ingestion.requests) == 1


async def test_who_hangs_is_given_up_and_nobody_listening_is_an_outage(ingestion: Ingestion) -> None:
    ingestion.answer = lambda request: Answer(never_comes=True)
    async with open_sink(ingestion.connection_string, timeout=Duration(0.05)) as sink:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sink.send(events(calls(1)))
    gone = ingestion.connection_string.replace(str(ingestion.port), str(closed_port()))
    async with open_sink(gone) as sink:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ cannot be reached \(ServiceRequestError\)"):
            await sink.send(events(calls(1)))
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sink.reach()


# --- signing in, looking, opening ---


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Ingestion]:
    """Tokens are sent over TLS only."""
    tls, authority = tls_pair("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving_ingestion(tls) as running:
        yield running


@pytest.fixture
def trust(tmp_path: Path) -> dict[str, Any]:
    return {"ca_bundle": str(tmp_path / "ca.pem")}


async def test_the_machines_identity_signs_in(
    secure: Ingestion, trust: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_identity(SystemClock(), monkeypatch) as identity:
        async with open_sink(secure.connection_string, managed_identity=True, client_id="mine", **trust) as sink:
            await sink.send(events(calls(1)))
            await sink.reach()
        [(_, _, asked)] = identity.requests
        assert (asked["resource"], asked["client_id"]) == (["https://monitor.azure.com/"], ["mine"])
        assert secure.requests[0].headers["authorization"] == "Bearer token-1"
        identity.is_ill = True
        async with open_sink(secure.connection_string, managed_identity=True, **trust) as sink:
            with pytest.raises(Denied, match="no identity to sign in with"):
                await sink.send(events(calls(1, call_id="later")))
            with pytest.raises(Denied, match="no identity to sign in with"):
                await sink.reach()
    assert secure.call_ids == ["call-1"]


async def test_a_certificate_that_nobody_trusts_is_a_persons_business(secure: Ingestion) -> None:
    async with open_sink(secure.connection_string) as sink:
        with pytest.raises(Denied, match="is not trusted: name its authority as `ca_bundle`"):
            await sink.send(events(calls(1)))


async def test_a_look_sends_no_event(ingestion: Ingestion) -> None:
    async with open_sink(ingestion.connection_string) as sink:
        await sink.reach()
    assert ingestion.requests == []
    assert [method for method, _ in ingestion.others] == ["GET"]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "the environment variable APPLICATIONINSIGHTS_CONNECTION_STRING is not set"),
        ({CONNECTION_STRING_VARIABLE: "secret"}, "holds no connection string of Application Insights; copy it"),
        ({CONNECTION_STRING_VARIABLE: "InstrumentationKey=secret"}, "holds no connection string"),
    ],
)
async def test_what_is_missing_is_said_by_opening(environ: dict[str, str], said: str) -> None:
    sink = ApplicationInsightsSink(ApplicationInsightsConnection(), environ)
    with pytest.raises(Denied, match=said) as raised:
        await sink.open()
    await sink.close()
    assert "secret" not in str(raised.value)


async def test_without_the_packages_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tokenweir.delivery.sinks.application_insights.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry.exporter", None)
    sink = ApplicationInsightsSink(ApplicationInsightsConnection(), {})
    with pytest.raises(Denied, match=r"pip install 'tokenweir\[insights\]'"):
        await sink.open()
    await sink.close()


async def test_neither_key_nor_token_nor_event_is_logged(
    secure: Ingestion, trust: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    with serving_identity(SystemClock(), monkeypatch) as identity:
        identity.token = "SECRET-TOKEN"
        async with open_sink(secure.connection_string, managed_identity=True, **trust) as sink:
            secure.answer = lambda request: some_of(request, (0, 400, "Old"))
            with pytest.raises(Rejected):
                await sink.send(events(calls(2, tags={"for": "SECRET-TAG"})))
            assert INSTRUMENTATION_KEY not in repr(sink)
    assert "SECRET" not in caplog.text and INSTRUMENTATION_KEY not in caplog.text


# --- with the pump ---


def test_a_bad_day_costs_no_event_and_counts_none_twice(
    tmp_path: Path, ingestion: Ingestion, letters: Callable[[], list[dict[str, Any]]]
) -> None:
    write_journal(tmp_path / "journal/relay-0", calls(5))
    days: list[Callable[[Request], Answer]] = [
        lambda request: Answer(503),
        lambda request: some_of(request, (1, 429, "Busy"), headers=(("Retry-After", "30"),)),
        lambda request: some_of(request, (0, 400, "Old")),
    ]
    given_answers = iter(days)
    ingestion.answer = lambda request: next(given_answers)(request)
    settings = SinkSettings("insights", "application_insights", ApplicationInsightsConnection())
    sink = settings.new_sink({CONNECTION_STRING_VARIABLE: ingestion.connection_string})
    run = Run(tmp_path, sink, settings).to_its_end()

    assert ingestion.call_ids == ["call-1", "call-3", "call-4", "call-5"]
    [letter] = letters()
    assert letter["call_id"] == "call-2"
    assert msgspec.json.decode(letter["event"])["properties"]["CallId"] == "call-2"
    assert run.pauses == [0.5, 30.0]
    assert (run.outlet.sent, run.outlet.dead) == (4, 1)

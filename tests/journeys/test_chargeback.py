"""Recorded traffic the whole way of the chargeback solution: logged as API Management does, through a hub and the
function to Application Insights, and there the two queries that people have. Their sums are the recordings' own usage.
"""

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import duckdb
import duckdb_kql
import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from support.amqp.emulator import EventHubsEmulator, running_event_hubs
from support.apim_events import LoggedCall, logged_call, our_event, todays_event
from support.function_apps import load_function_app
from support.ingestion import Ingestion, serving_ingestion
from support.replay import Recording

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT.parent / "shared/recorded"
ENDPOINTS = {"chat/completions", "completions", "embeddings", "responses"}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    with serving_ingestion() as running:
        yield running


@pytest.fixture
def hubs() -> Iterator[EventHubsEmulator]:
    with running_event_hubs({"llm": 2}) as running:
        yield running


@pytest.fixture
def function_app(tmp_path: Path, ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As the platform loads it, with no other configuration than its settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", ingestion.connection_string)
    monkeypatch.setenv("TOKENWEIR_INTAKE__DEAD_LETTERS", str(tmp_path / "dead.jsonl"))
    return load_function_app("meter")


async def through_the_hub(hubs: EventHubsEmulator, function_app: ModuleType, bodies: list[bytes]) -> None:
    """Sends with the official SDK as API Management does, one event at a time and without a key; receives with it as
    the Functions host does, and calls the function with each batch."""
    connection = hubs.connection_string("llm")
    async with EventHubProducerClient.from_connection_string(connection) as producer:
        for body in bodies:
            await producer.send_event(EventData(body))
    (function,) = function_app.app.get_functions()
    meter = function.get_user_function()
    left, all_came = len(bodies), asyncio.Event()

    async def on_batch(_: Any, batch: list[EventData]) -> None:
        nonlocal left
        if batch:
            await meter(
                [
                    func.EventHubEvent(body=one.body_as_str().encode(), sequence_number=one.sequence_number)
                    for one in batch
                ]
            )
            left -= len(batch)
        if left == 0:
            all_came.set()

    async with EventHubConsumerClient.from_connection_string(connection, "$Default") as consumer:
        receiving = asyncio.ensure_future(
            consumer.receive_batch(on_batch, max_batch_size=200, max_wait_time=1, starting_position="-1")
        )
        waiting = asyncio.ensure_future(all_came.wait())
        await asyncio.wait({receiving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (receiving, waiting):
            task.cancel()
        await asyncio.gather(receiving, waiting, return_exceptions=True)
    await function_app.hosted.close()
    assert left == 0


def asked(ingestion: Ingestion, query: str, app: str = "") -> list[dict[str, Any]]:
    """The rows of one of the queries, over what arrived. ``app`` stands where the query wants one put."""
    with duckdb.connect() as database:
        database.execute(
            'CREATE TABLE "customEvents" ("timestamp" TIMESTAMP, name VARCHAR, "customDimensions" VARCHAR)'
        )
        database.executemany(
            'INSERT INTO "customEvents" VALUES (?, ?, ?)',
            [(event["time"], event["name"], json.dumps(event["properties"])) for event in ingestion.events],
        )
        kql = (ROOT / f"queries/{query}.kql").read_text().replace("8f14e45fceea167a", app)
        found = duckdb_kql.query(database, kql)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def summed(rows: list[dict[str, Any]]) -> Counter[str]:
    """Their tokens. A cell may be JSON, as the queries leave it: ``"10"``."""
    names = ("PromptTokens", "CompletionTokens", "TotalTokens")
    return Counter({name: sum(int(str(row[name]).strip('"')) for row in rows) for name in names})


def recordings(*, with_usage: bool) -> list[Recording]:
    if not RECORDED.is_dir():
        pytest.skip("SKIPPED LOUDLY: ../shared/recorded is not here, so no real traffic goes through the chargeback")
    entries = map(json.loads, (RECORDED / "index.jsonl").read_text().splitlines())
    return [
        Recording(RECORDED, entry)
        for entry in entries
        if entry["endpoint"] in ENDPOINTS and entry["status"] == 200 and bool(entry["has_usage"]) is with_usage
        if not with_usage or entry["usage"]["total_tokens"]  # one has zeros beside its text, which is estimated
    ]


def team(recording: Recording) -> str:
    return recording.name.partition("/")[0]


def key_of(team: str) -> str:
    return hashlib.md5(team.encode()).hexdigest()


def logged(recording: Recording, number: int) -> LoggedCall:
    """Each project is a team with a subscription of its own."""
    name = team(recording)
    return logged_call(
        recording,
        subscription_key=key_of(name),
        subscription_id=name,
        request_id=f"00000000-0000-7000-8000-{number:012}",
    )


def used(recording: Recording) -> Counter[str]:
    usage = recording.entry["usage"]
    prompt = usage.get("prompt_tokens", usage.get("input_tokens")) or 0
    completion = usage.get("completion_tokens", usage.get("output_tokens")) or 0
    total = usage.get("total_tokens", prompt + completion)
    return Counter(PromptTokens=prompt, CompletionTokens=completion, TotalTokens=total)


@pytest.mark.parametrize("one_in", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("event_of", [todays_event, our_event])
async def test_the_sums_of_todays_queries_are_the_usage_that_was_recorded(
    hubs: EventHubsEmulator,
    function_app: ModuleType,
    ingestion: Ingestion,
    event_of: Callable[[LoggedCall], str],
    one_in: int,
) -> None:
    traffic = recordings(with_usage=True)[::one_in]
    assert len(traffic) > 800 / one_in
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for recording in traffic:
        expected[hashlib.sha256(key_of(team(recording)).encode()).hexdigest()].update(used(recording))
    bodies = [event_of(logged(recording, number)).encode() for number, recording in enumerate(traffic)]

    await through_the_hub(hubs, function_app, bodies)

    assert len(ingestion.events) == len(traffic)
    sums = {row["SubscriptionKey"]: summed([row]) for row in asked(ingestion, "all-apps-tokens-count")}
    assert sums == {f"{key[:8]}XXXX": tokens for key, tokens in expected.items()}
    for key, tokens in expected.items():
        assert summed(asked(ingestion, "tokens-count-per-app", app=key)) == tokens
    assert {event["properties"]["UsageSource"] for event in ingestion.events} == {"reported"}


async def test_streams_without_usage_are_counted_and_say_so(
    hubs: EventHubsEmulator, function_app: ModuleType, ingestion: Ingestion
) -> None:
    traffic = [recording for recording in recordings(with_usage=False) if recording.body and recording.request_body]
    assert traffic
    bodies = [our_event(logged(recording, number)).encode() for number, recording in enumerate(traffic)]
    await through_the_hub(hubs, function_app, bodies)
    told = [event["properties"] for event in ingestion.events]
    assert len(told) == len(traffic)
    assert {properties["UsageSource"] for properties in told} <= {"estimated", "none"}
    assert all(int(properties["PromptTokens"]) > 0 for properties in told if properties["UsageSource"] == "estimated")


async def test_a_batch_loses_its_bad_events_and_no_other(
    hubs: EventHubsEmulator, function_app: ModuleType, ingestion: Ingestion, tmp_path: Path
) -> None:
    answer = json.dumps({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})
    good = [
        our_event(
            LoggedCall(request='{"messages": []}', response=answer, request_id=f"00000000-0000-7000-8000-{n:012}")
        )
        for n in range(40)
    ]
    bad = ["", "odd", "[]", "{}", '{"eventTime": "yesterday", "request": "{}"}', '{"eventTime": null}']
    bodies = [body.encode() for pair in zip(good, bad * 7, strict=False) for body in pair]
    bodies += [good[0].encode()] * 3  # delivered again
    await through_the_hub(hubs, function_app, bodies)
    assert {event["properties"]["TokenInfoId"] for event in ingestion.events} == {
        f"00000000-0000-7000-8000-{n:012}" for n in range(40)
    }
    letters = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert len(letters) == 40
    assert {letter["body"] for letter in letters} == set(bad)
    assert all(letter["reason"] for letter in letters)

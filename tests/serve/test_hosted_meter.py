"""The meter where a host hands over the messages: everything is sent or set aside, or the batch comes again."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.apim_events import LoggedCall, our_event
from support.azurite import azurite_by_identity
from support.clocks import JumpingClock
from support.ingestion import accepted, serving_ingestion, some_of
from support.postgres import PostgresServer
from support.servers import closed_port
from tokenweir.cli.commands import app
from tokenweir.config import load
from tokenweir.delivery import BrokerMessage, DeliveryError
from tokenweir.delivery.letter_blobs import LetterBlobs
from tokenweir.errors import ConfigError
from tokenweir.policy import add_key
from tokenweir.serve.hosted_meter import HostedMeter
from tokenweir.serve.shared_keys import open_shared_keys

pytestmark = pytest.mark.anyio

ANSWER = json.dumps(
    {"model": "gpt-4o-2024-11-20", "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
)
NO_TIME = (
    "it has no eventTime, so API Management's policy did not write it; let log-to-eventhub write the members that "
    "docs/guides/apim-events.md lists"
)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    path = tmp_path / "meter.toml"
    path.write_text(
        f'[intake]\nformat = "apim"\ndead_letters = "{tmp_path}/dead.jsonl"\n'
        f'[[sinks]]\nname = "lines"\nkind = "file"\nconnection = {{ path = "{tmp_path}/sent/lines.jsonl" }}\n'
    )
    return path


@pytest.fixture
def meter(configured: Path) -> Iterator[HostedMeter]:
    yield HostedMeter(lambda: load(configured, {}, checked=False).config)


def event(number: int, **members: Any) -> BrokerMessage:
    request_id = f"00000000-0000-7000-8000-{number:012}"
    call = LoggedCall(request='{"messages": []}', response=ANSWER, request_id=request_id, **members)
    return BrokerMessage(body=our_event(call).encode(), place=f"sequence number {number}")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_bad_event_is_set_aside_alone_and_without_its_key(meter: HostedMeter, tmp_path: Path) -> None:
    odd = BrokerMessage(body=b'{"appSubscriptionKey": "%b", "water": 1}' % KEY.encode(), place="sequence number 2")
    await meter.take("hub", [event(1), odd, event(3), BrokerMessage(body=b"not JSON", place="sequence number 4")])
    await meter.close()
    sent = lines(tmp_path / "sent/lines.jsonl")
    assert [record["call_id"] for record in sent] == [f"00000000-0000-7000-8000-{n:012}" for n in (1, 3)]
    assert [record["total_tokens"] for record in sent] == [12, 12]
    dead = lines(tmp_path / "dead.jsonl")
    assert [(letter["place"], letter["reason"]) for letter in dead] == [
        ("sequence number 2", NO_TIME),
        ("sequence number 4", "it is no JSON, nor the beginning of any"),
    ]
    assert KEY not in json.dumps(dead) + json.dumps(sent)


async def test_shared_keys_tell_whose_a_call_was_and_a_new_one_is_known_after_a_minute(
    configured: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_url()
    with configured.open("a") as file:
        file.write(f'[server]\nshared_keys = "{url}"\n')
    clock = JumpingClock(datetime(2026, 3, 10, tzinfo=UTC))
    meter = HostedMeter(lambda: load(configured, {}, checked=False).config, clock=clock)
    await meter.take("hub", [event(1)])
    store = open_shared_keys(url)
    assert store is not None
    with closing(store):
        key, _ = add_key(store, "ada", {}, clock)
    clock.jump(30)
    await meter.take("hub", [event(2, subscription_key=key, subscription_id=None)])
    clock.jump(31)
    await meter.take("hub", [event(3, subscription_key=key, subscription_id=None)])
    await meter.close()
    callers = [record["caller"] for record in lines(tmp_path / "sent/lines.jsonl")]
    assert callers[0] == "team-a"
    assert len(str(callers[1])) == 64  # the key's hash: whose it is was not known yet
    assert callers[2] == "ada"


async def test_a_sink_that_fails_gives_the_batch_back_and_the_next_try_succeeds(
    meter: HostedMeter, tmp_path: Path
) -> None:
    (tmp_path / "sent").write_text("a file where the folder should be")
    with pytest.raises(DeliveryError):
        await meter.take("hub", [event(1)])
    (tmp_path / "sent").unlink()
    await meter.take("hub", [event(1)])
    await meter.close()
    assert len(lines(tmp_path / "sent/lines.jsonl")) == 1


async def test_dead_letters_that_find_no_place_give_the_batch_back(meter: HostedMeter, tmp_path: Path) -> None:
    (tmp_path / "dead.jsonl").mkdir()
    with pytest.raises(DeliveryError, match="takes no dead letters"):
        await meter.take("hub", [BrokerMessage(body=b"odd", place="sequence number 1")])


async def test_what_a_sink_refuses_is_in_the_container_and_is_sent_again_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with serving_ingestion() as ingestion, azurite_by_identity(tmp_path, monkeypatch, is_trusted=True) as azurite:
        monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", ingestion.connection_string)
        monkeypatch.setenv("TOKENWEIR_INTAKE__DEAD_LETTERS", f"{azurite.url}/{azurite.make_container()}")
        meter = HostedMeter()
        ingestion.answer = lambda request: some_of(request, (0, 400, "103: Field 'x' is odd"))
        await meter.take("hub", [event(1), event(2)])
        await meter.close()
        ingestion.answer = accepted

        def command(*arguments: str) -> tuple[int, str]:
            at = ("--at", os.environ["TOKENWEIR_INTAKE__DEAD_LETTERS"])
            code = app(["dead-letters", *arguments, *at], standalone_mode=False)
            return code or 0, capsys.readouterr().out

        assert "application-insights" in (await asyncio.to_thread(command, "list", "--format", "csv"))[1]
        assert (await asyncio.to_thread(command, "send", "application-insights"))[1] == "1 sent\n"
        assert (await asyncio.to_thread(command, "send", "application-insights"))[1] == "0 sent\n"
    assert sorted(ingestion.call_ids) == [f"00000000-0000-7000-8000-{n:012}" for n in (1, 2)]


async def test_a_sink_that_has_a_batch_does_not_get_it_again_when_another_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    (tmp_path / "sent").write_text("a file where the folder should be")
    kinds = {"application_insights": {}, "file": {"path": f"{tmp_path}/sent/lines.jsonl"}}
    sinks = [{"name": kind, "kind": kind, "connection": connection} for kind, connection in kinds.items()]
    monkeypatch.setenv("TOKENWEIR_SINKS", json.dumps(sinks))
    with serving_ingestion() as ingestion:
        monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", ingestion.connection_string)
        meter = HostedMeter()
        for _ in range(2):
            with pytest.raises(DeliveryError):
                await meter.take("hub", [event(1), event(2)])
        (tmp_path / "sent").unlink()
        await meter.take("hub", [event(3)])
        await meter.take("hub", [event(1), event(2)])
        await meter.close()
    ids = [f"00000000-0000-7000-8000-{n:012}" for n in (1, 2, 3)]
    assert ingestion.call_ids == ids
    assert sorted(str(line["call_id"]) for line in lines(tmp_path / "sent/lines.jsonl")) == ids


async def test_an_outage_that_outlasts_the_hub_fills_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    clock = JumpingClock(datetime(2026, 11, 22, 12, 10, tzinfo=UTC))
    with azurite_by_identity(tmp_path, monkeypatch, is_trusted=True) as azurite:
        closed = f"http://127.0.0.1:{closed_port()}"
        key = "11111111-2222-3333-4444-555555555555"
        monkeypatch.setenv(
            "APPLICATIONINSIGHTS_CONNECTION_STRING", f"InstrumentationKey={key};IngestionEndpoint={closed}"
        )
        container = f"{azurite.url}/{azurite.make_container()}"
        monkeypatch.setenv("TOKENWEIR_INTAKE__DEAD_LETTERS", container)
        meter = HostedMeter(clock=clock)
        with pytest.raises(DeliveryError, match="cannot be reached"):
            await meter.take("hub", [event(1)])
        clock.jump(13 * 3600)
        await meter.take("hub", [event(1)])
        await meter.close()
        with closing(LetterBlobs(container, clock, folder="sinks/application-insights/")) as letters:
            [line] = [json.loads(line) for line in letters.waiting()]
    assert line["call_id"] == "00000000-0000-7000-8000-000000000001"
    assert "could not be sent for 12:00:00" in line["reason"]


async def test_without_a_sink_it_says_what_to_set() -> None:
    meter = HostedMeter(lambda: load(None, {}, checked=False).config)
    with pytest.raises(ConfigError, match="APPLICATIONINSIGHTS_CONNECTION_STRING"):
        await meter.take("hub", [event(1)])


async def test_the_variable_of_application_insights_is_a_sink_and_prices_hold_there_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the sink sets some of it
    prices = [{"model": "gpt-4o*", "currency": "EUR", "input": "2", "output": "8"}]
    monkeypatch.setenv("TOKENWEIR_PRICES", json.dumps(prices))
    with serving_ingestion() as ingestion:
        monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", ingestion.connection_string)
        meter = HostedMeter()
        ingestion.answer = lambda request: some_of(request, (0, 503, "Busy"))
        with pytest.raises(DeliveryError):
            await meter.take("hub", [event(1), event(2)])
        ingestion.answer = accepted
        await meter.take("hub", [event(3)])
        await meter.take("hub", [event(1), event(2)])
        await meter.close()
    assert sorted(ingestion.call_ids) == [f"00000000-0000-7000-8000-{n:012}" for n in (1, 2, 3)]
    assert {one["properties"]["Cost"] for one in ingestion.events} == {"0.000042000000"}
    assert {one["properties"]["ApiOperation"] for one in ingestion.events} == {"ChatCompletion"}

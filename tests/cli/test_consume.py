"""The command: from a topic into the ledger, and what it says when it cannot."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.amqp.emulator import running_event_hubs
from support.apim_events import LoggedCall, todays_event
from support.consumers import ConsumerProcess, intake_config
from support.engines import PostgresEngine
from support.kafka_broker import running_broker
from support.postgres import PostgresServer
from tokenweir.records import flat, from_fields, new_call_id

Tokenweir = Callable[..., Any]


def test_records_come_by_a_topic_until_sigterm(tmp_path: Path, postgres: PostgresServer) -> None:
    records = [from_fields(call_id=new_call_id(), started_at=datetime.now(UTC), total_tokens=n) for n in range(1000)]
    engine = PostgresEngine(postgres)
    with running_broker() as broker:
        topic = asyncio.run(broker.new_topic())
        config = intake_config(tmp_path, broker, topic, engine.url)
        asyncio.run(broker.send(topic, [(0, msgspec.json.encode(flat(record)), {}) for record in records]))
        consumer = ConsumerProcess(config)
        ledger = engine.open()
        while not ledger.calls(1):
            pass
        said = consumer.stop()
        assert f"so far {ledger.usage([])[0]['calls']} new records, 0 that were known, 0 dead letters" in said

        second = ConsumerProcess(config)
        while ledger.usage([])[0]["calls"] < 1000:
            pass
        second.stop()
    assert ledger.usage([])[0]["total_tokens"] == sum(range(1000))
    assert ledger.position(f"kafka/{topic}/0") == "1000"
    ledger.close()


def test_the_doctor_takes_a_consumers_configuration_for_what_it_is(
    tokenweir: Tokenweir, here: Path, postgres: PostgresServer
) -> None:
    with running_broker() as broker:
        topic = asyncio.run(broker.new_topic(2))
        asyncio.run(broker.send(topic, [(0, b"{}", {}), (1, b"{}", {}), (1, b"{}", {})]))
        config = intake_config(here, broker, topic, PostgresEngine(postgres).url)
        ran = tokenweir("doctor", "--config", str(config))
        assert ran.exit_code == 0, ran.out
        # How many is as this broker counts: of messages that came together, one.
        assert "2 partitions, " in ran.out and " messages that the group has not done" in ran.out
        assert "ledger: PostgreSQL at" in ran.out
        assert "set [intake] admin" in ran.out
        checked = tokenweir("config", "check", "--config", str(config))
        assert "The configuration is good." in checked.out
    for about_gateways in ("upstream", "data port", "anonymous", "journal"):
        assert about_gateways not in ran.out
    assert tokenweir("serve", "--config", str(config)).exit_code == 2  # which needs an upstream all the same


def test_the_doctor_names_what_a_consumer_lacks(tokenweir: Tokenweir, here: Path, monkeypatch: Any) -> None:
    (here / "dead.jsonl").write_text("{}\n{}\n")
    Path("consume.toml").write_text(
        f'[ledger]\nurl = "duckdb:{here}/ledger.duckdb"\n'
        '[intake]\nconnection_string_env = "HUB"\ndead_letters = "dead.jsonl"\n'
    )
    with running_event_hubs({"llm": 1}) as hubs:
        monkeypatch.setenv("HUB", hubs.connection_string("llm"))
        ran = tokenweir("doctor", "--config", "consume.toml")
        assert "group $Default: 1 partitions" in ran.out
        assert "2 messages could not be read and are in" in ran.out
        monkeypatch.setenv("HUB", hubs.connection_string("others"))
        ran = tokenweir("doctor", "--config", "consume.toml")
        assert ran.exit_code == 1
        assert "correct that in [intake], or at the broker" in ran.out


def test_events_come_by_a_hub_of_which_the_ledger_keeps_how_far_it_was_read(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    engine = PostgresEngine(postgres)
    config = tmp_path / "consume.toml"
    config.write_text(f'[ledger]\nurl = "{engine.url}"\n[intake]\nconnection_string_env = "HUB"\n')
    ledger = engine.open()
    with running_event_hubs({"llm": 1}) as hubs:
        environ = {"HUB": hubs.connection_string("llm")}
        for start, stop in ((0, 60), (60, 100)):
            for number in range(start, stop):
                record = from_fields(call_id=new_call_id(), started_at=datetime.now(UTC), total_tokens=number)
                hubs.put("llm", "0", msgspec.json.encode(flat(record)), {"shape": "tokenweir"})
            consumer = ConsumerProcess(config, environ)
            while not (usage := ledger.usage([])) or usage[0]["calls"] < stop:
                pass
            assert f"so far {stop - start} new records, 0 that were known, 0 dead letters" in consumer.stop()
    assert ledger.usage([])[0]["total_tokens"] == sum(range(100))
    ledger.close()


def test_what_api_management_logs_to_a_hub_is_metered_once_and_a_bad_event_is_set_aside(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    engine = PostgresEngine(postgres)
    config, dead = tmp_path / "consume.toml", tmp_path / "dead.jsonl"
    intake = f'[intake]\nconnection_string_env = "HUB"\ndead_letters = "{dead}"\n'
    config.write_text(f'[ledger]\nurl = "{engine.url}"\n{intake}')
    answer = {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    call = LoggedCall(request='{"messages":[]}', response=json.dumps(answer))
    moments = [call.ended_at + timedelta(seconds=number) for number in range(20)]
    events = [todays_event(dataclasses.replace(call, ended_at=moment)) for moment in moments]
    ledger = engine.open()
    with running_event_hubs({"llm": 1}) as hubs:
        for event in [*events[:10], '{"appSubscriptionKey": "secret", "eventTime": 7}', *events]:
            hubs.put("llm", "0", event.encode())
        consumer = ConsumerProcess(config, {"HUB": hubs.connection_string("llm")}, "--format", "apim")
        while not (usage := ledger.usage([])) or usage[0]["calls"] < 20:
            pass
        assert "so far 20 new records, 10 that were known, 1 dead letters" in consumer.stop()
    assert ledger.usage([])[0]["total_tokens"] == 20 * 9
    assert "eventTime" in dead.read_text() and "secret" not in dead.read_text()
    ledger.close()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "[intake] either `connection_string_env` is needed"),
        ('[intake]\nkind = "kafka"\n', "[intake] `servers` and `topic` are needed"),
        ('[intake]\nkind = "kafka"\nservers = "b"\ntopics = "t"\n', "did you mean `topic`?"),
        ('[intake]\nkind = "kafka"\nservers = "b"\ntopic = "t"\n[ledger]\nurl = "none"\n', "no ledger is kept here"),
    ],
)
def test_what_is_missing_is_said_at_once(tokenweir: Tokenweir, here: Path, table: str, said: str) -> None:
    (here / "tokenweir.toml").write_text(table)
    ran = tokenweir("consume")
    assert ran.exit_code == 2
    assert said in ran.err
    assert not list(here.glob("tokenweir-data*"))

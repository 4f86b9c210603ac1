"""What the doctor says about sinks, against real ones on loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.amqp.emulator import EventHubsEmulator, running_event_hubs
from support.call_records import a_call
from support.ingestion import serving_ingestion
from support.journals import write_journal
from support.kafka_broker import running_broker
from support.otlp_collector import Answer, running_collector
from support.servers import closed_port
from tokenweir.cli.checkup.sinks import check_sinks
from tokenweir.config import Config, load
from tokenweir.journal import save_cursor


@pytest.fixture
def hubs() -> Iterator[EventHubsEmulator]:
    with running_event_hubs() as emulator:
        yield emulator


def findings(minimal: Path, sinks: str, environ: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    """Status, what was seen, and the fix."""
    minimal.write_text(minimal.read_text() + sinks)
    config = load(None, {**os.environ, **(environ or {})}).config
    return [(one.status, one.what, one.fix or "") for one in check_sinks(config, environ or {})]


def sink(kind: str, connection: str, more: str = "") -> str:
    return f'[[sinks]]\nname = "out"\nkind = "{kind}"\nconnection = {{ {connection} }}\n{more}\n'


def test_a_file_needs_a_place_that_can_be_written(minimal: Path, here: Path) -> None:
    [(status, what, _)] = findings(minimal, sink("file", 'path = "events/calls.jsonl"'))

    assert (status, what.partition(" can be")[0]) == ("ok", 'sink "out": events')
    assert not (here / "events").exists()

    (here / "events").touch()
    [(status, what, _)] = findings(minimal, "")
    assert status == "bad"
    assert "is a file, not a directory: move it away, or change connection.path" in what


def test_a_hub_is_connected_to_and_nothing_is_sent(minimal: Path, hubs: EventHubsEmulator) -> None:
    environ = {"HUB": hubs.connection_string("llm")}
    [(status, what, _)] = findings(minimal, sink("event_hubs", 'connection_string_env = "HUB"'), environ)

    assert status == "ok"
    assert what.startswith('sink "out": connected; an event may have 1,0')
    assert hubs.deliveries == 0


def test_a_wrong_key_is_said_with_its_fix_and_not_shown(minimal: Path, hubs: EventHubsEmulator) -> None:
    environ = {"HUB": hubs.connection_string("llm", key="d3Jvbmcga2V5")}
    [(status, what, fix)] = findings(minimal, sink("event_hubs", 'connection_string_env = "HUB"'), environ)

    assert status == "bad"
    assert "key" in what and "d3Jvbmcga2V5" not in what + fix
    assert "the journals keep everything until then" in fix


def test_a_broker_is_connected_to(minimal: Path) -> None:
    with running_broker() as broker:
        text = sink("kafka", f'servers = "{broker.servers}", topic = "llm", tls = false')
        [(status, what, _)] = findings(minimal, text)

    assert (status, what) == ("ok", 'sink "out": connected; an event may have 1,000,000 bytes, shape tokenweir')


def test_nobody_at_a_webhooks_address_is_said_with_the_way_to_check(minimal: Path) -> None:
    [(status, what, fix)] = findings(minimal, sink("webhook", f'url = "http://127.0.0.1:{closed_port()}/x"'))

    assert status == "bad"
    assert "cannot be reached" in what and "firewall" in fix


def test_a_collector_is_asked_without_a_span(minimal: Path) -> None:
    with running_collector() as collector:
        text = sink("otlp", f'url = "{collector.url}"')
        [(status, what, _)] = findings(minimal, text)
        collector.answer = lambda export: Answer("401 No")
        [(refused, why, fix)] = findings(minimal, "")

    assert (status, what) == ("ok", 'sink "out": a request without spans is answered as it should be')
    assert refused == "bad" and "does not accept us (401): check `headers_env`" in why
    assert "the journals keep everything" in fix
    assert collector.spans == []


def test_application_insights_is_asked_without_an_event(minimal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the sink sets some of it
    with serving_ingestion() as ingestion:
        environ = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string}
        [(status, what, _)] = findings(minimal, sink("application_insights", ""), environ)
    [(gone, why, fix)] = findings(minimal, "", environ)

    assert (status, gone) == ("ok", "bad")
    assert what.startswith('sink "out": somebody answers there')
    assert "cannot be reached" in why and "firewall" in fix
    assert ingestion.requests == []


def test_a_backlog_and_dead_letters_are_worth_knowing(minimal: Path, here: Path) -> None:
    records = [a_call(request_body="x" * 100_000) for _ in range(30)]
    write_journal(here / "tokenweir-data/journal/relay-0", records)
    (here / "dead.jsonl").write_text("{}\n{}\n")
    told = findings(minimal, sink("file", 'path = "calls.jsonl"', 'dead_letters = "dead.jsonl"'))

    assert [(status, what) for status, what, _ in told[1:]] == [
        ("warn", 'sink "out": 3 MB of the journals are not sent yet'),
        ("warn", 'sink "out": 2 events could never be sent and are in dead.jsonl'),
    ]


def test_a_cursor_without_a_sink_is_found_because_it_holds_up_the_journal(minimal: Path, here: Path) -> None:
    directory = here / "tokenweir-data/journal/relay-0"
    write_journal(directory, [a_call()])
    for name in ("ledger", "sink-out", "sink-old"):
        save_cursor(directory, name, "00000000000000000001:16")
    told = findings(minimal, sink("file", 'path = "calls.jsonl"'))

    [(_, what, fix)] = [one for one in told if one[0] == "warn"]
    assert what == 'sink "old" is not configured, and the journals keep everything for it'
    assert fix.endswith("or delete tokenweir-data/journal/*/cursors/sink-old")


def test_without_sinks_there_is_nothing_to_say() -> None:
    assert list(check_sinks(Config(), {})) == []

"""A kind of sink that nobody foresaw: one class and one line in the table, and everything else knows it."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.call_records import a_call
from support.journals import write_journal
from support.servers import until
from tokenweir.admin.metrics import Metrics
from tokenweir.cli.checkup.sinks import check_sinks
from tokenweir.config import examine, load
from tokenweir.config.dump import write
from tokenweir.config.reference import settings_reference
from tokenweir.delivery import Denied, Rejected
from tokenweir.delivery.dead_letters import DeadLetter
from tokenweir.delivery.shipping import Shipping
from tokenweir.delivery.sinks import KINDS, Sink, SinkConnection, SinkSettings
from tokenweir.delivery.sinks.base import EventFormat, Problems, variable
from tokenweir.records import CallRecord, SystemClock

HEARD: list[str] = []
"""What has arrived at the other side."""


# --- what somebody writes who adds a kind ---


class Postcard:
    """An event of its own type, which is no JSON."""

    def __init__(self, record: CallRecord) -> None:
        self.call_id = record.call_id
        self.properties = {"call_id": record.call_id}
        self.words = f"{record.caller} used {record.usage.total_tokens} tokens"
        self.size = len(self.words)

    def letter(self) -> dict[str, Any]:
        return {"event": self.words}


def postcard_again(letter: DeadLetter) -> Postcard:
    raise ValueError("a postcard is written by hand")


def fit_postcard(record: CallRecord, settings: SinkSettings, limit: int) -> list[Postcard]:
    card = Postcard(record)
    if card.size > limit:
        raise Rejected("more than a postcard holds", [card])
    return [card]


class PigeonConnection(SinkConnection, frozen=True):
    """Kind ``pigeon``: cards that are carried to a loft."""

    events = EventFormat((), fit_postcard, postcard_again)

    loft: str
    """Where the pigeon flies to."""
    ring_env: str
    """The environment variable that holds the number of its ring."""

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "PigeonSink":
        return PigeonSink(self, environ)

    def check(self) -> Problems:
        if not self.loft:
            yield "loft", "is empty; name a loft"

    def packages(self) -> Iterator[tuple[str, str, str]]:
        yield "kind", "pigeon", "asyncio"

    async def found_by(self, sink: "PigeonSink", settings: SinkSettings) -> str:
        return f"ring {sink.ring} is in its cage"


class PigeonSink:
    max_event_size = 30

    def __init__(self, connection: PigeonConnection, environ: Mapping[str, str]) -> None:
        self._connection = connection
        self._environ = environ

    async def open(self) -> None:
        self.ring = variable(self._environ, self._connection.ring_env)
        if self.ring == "0":
            raise Denied("there is no ring 0: look at its leg")

    async def send(self, events: Sequence[Postcard]) -> None:
        HEARD.extend(f"{self._connection.loft}: {event.words}" for event in events)

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "pigeon", PigeonConnection)
    HEARD.clear()


# --- what it is worth ---

SINK = '[[sinks]]\nname = "out"\nkind = "pigeon"\nconnection = { loft = "Genoa", ring_env = "RING" }\n'
RING = {"RING": "1848"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tokenweir.toml"
    path.write_text(SINK)
    return path


def test_records_are_shipped_from_the_journal_by_what_the_file_says(config: Path, tmp_path: Path) -> None:
    [sink] = load(config, RING, checked=False).config.sinks
    _: Sink[Postcard] = PigeonSink(PigeonConnection("Genoa", "RING"), RING)
    write_journal(tmp_path / "journal" / "relay-0", [a_call(), a_call(call_id="long", caller="x" * 40)])
    shipping = Shipping(tmp_path / "journal", [sink], RING, SystemClock())

    async def ship_all() -> None:
        shipping.start()
        await until(lambda: not any(status.behind_bytes for status in shipping.statuses()))
        await shipping.stop()

    asyncio.run(ship_all())
    [status] = shipping.statuses()
    assert HEARD == ["Genoa: team-a used 12 tokens"]
    assert (status.kind, status.sent, status.dead) == ("pigeon", 1, 1)
    dead = (tmp_path / "tokenweir-data/dead-letters/out.jsonl").read_text()
    assert "more than a postcard holds" in dead and f"{'x' * 40} used 12 tokens" in dead
    assert b'tokenweir_sink_events_sent_total{sink="out"} 1.0' in Metrics(list, shipping.statuses).exposition()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SINK.replace("Genoa", ""), "connection.loft: is empty; name a loft"),
        (SINK.replace("loft =", "lofd ="), "connection.lofd: did you mean `loft`?"),
        (SINK.replace("}", ", topic = 't' }"), 'connection.topic: belongs to kind "kafka", and this one is "pigeon"'),
        (SINK.replace("RING", "BELL"), "connection.ring_env: the environment variable BELL is not set"),
        (SINK + "cloud_events = true", 'cloud_events: belongs to kind "event_hubs" and'),
        (SINK.replace('"pigeon"', '"dove"'), "kind: expected one of"),
    ],
)
def test_what_is_wrong_with_it_is_said(config: Path, text: str, problem: str) -> None:
    config.write_text(text)
    assert any(f'[[sinks]] "out" {problem}' in one for one in examine(config, RING).problems)


def test_the_doctor_the_reference_and_the_shown_configuration_know_it(config: Path) -> None:
    loaded = load(config, RING, checked=False)
    assert [(one.status, one.what) for one in check_sinks(loaded.config, RING)] == [
        ("ok", 'sink "out": ring 1848 is in its cage')
    ]
    assert [one.status for one in check_sinks(loaded.config, {"RING": "0"})] == ["bad"]
    page = settings_reference()
    assert re.search(
        r"`\[\[sinks\]\] connection` of kind `pigeon`\n.*?\| `loft` .*Where the pigeon flies to", page, re.S
    )
    assert 'connection = { loft = "Genoa", ring_env = "RING" }' in [line.text for line in write(loaded, defaults=False)]

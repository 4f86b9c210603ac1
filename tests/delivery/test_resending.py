"""Dead letters that are sent again: each once, whatever happens meanwhile, and none is lost."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.azurite import azurite_by_identity
from support.call_records import a_call
from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.delivery import BrokerMessage, Outlet, Pricer, Rejected, Unavailable, once
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadEvents, DeadLetter, DeadMessages, LetterStore
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.resending import resend_events, resend_messages
from tokenweir.delivery.sinks import JsonEvent, OtlpConnection, SinkSettings, WebhookConnection
from tokenweir.delivery.sinks.formats.fitting import JSON_EVENTS
from tokenweir.delivery.sinks.otlp.sink import fit_spans, spans_event
from tokenweir.delivery.sources import WholeRecords
from tokenweir.ledger import open_ledger
from tokenweir.records import flat
from tokenweir.serve.consuming import LedgerDestination

pytestmark = pytest.mark.anyio

SETTINGS = SinkSettings("hub", "webhook", WebhookConnection(url="http://there"))


@pytest.fixture(params=["file", "blobs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LetterStore]:
    if request.param == "file":
        yield LetterFile(tmp_path / "dead" / "hub.jsonl")
        return
    from tokenweir.delivery.letter_blobs import LetterBlobs

    with azurite_by_identity(tmp_path, monkeypatch) as azurite:
        url = f"{azurite.url}/{azurite.make_container()}"
        with closing(LetterBlobs(url, JumpingClock(NOW), folder="sinks/hub/", ca_bundle=azurite.ca_bundle)) as blobs:
            yield blobs


class ScriptedSink:
    """Takes what it is given but the ids in ``refuses``; ``fails`` is what it says next, once each."""

    max_event_size = 100_000

    def __init__(self) -> None:
        self.taken: list[JsonEvent] = []
        self.refuses: set[str] = set()
        self.fails: list[Exception] = []

    async def open(self) -> None: ...

    async def send(self, events: Sequence[JsonEvent]) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.taken += [event for event in events if event.call_id not in self.refuses]
        if refused := [event for event in events if event.call_id in self.refuses]:
            raise Rejected("still no", refused)

    async def close(self) -> None: ...


@pytest.fixture
def sink() -> ScriptedSink:
    return ScriptedSink()


@pytest.fixture
def outlet(store: LetterStore, sink: ScriptedSink) -> Outlet:
    return Outlet(SETTINGS, sink, DeadEvents(store, "hub", JumpingClock(NOW)), JumpingClock(NOW))


def buried(store: LetterStore, count: int, first: int = 0) -> list[JsonEvent]:
    events = [
        JsonEvent(body=b'{"n": %d}' % number, key="team", call_id=f"call-{number}", properties={"seq": str(number)})
        for number in range(first, first + count)
    ]
    DeadEvents(store, "hub", JumpingClock(NOW)).bury(Rejected("no", events))
    return events


def waiting(store: LetterStore) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.waiting()]


async def test_all_letters_are_sent_once_as_they_were_and_are_gone(
    store: LetterStore, outlet: Outlet, sink: ScriptedSink
) -> None:
    events = buried(store, 450)
    odd = JsonEvent(body=b"\xc3", call_id="part", properties={"part": "1", "parts": "2"}, content_type="a/b")
    DeadEvents(store, "hub", JumpingClock(NOW)).bury(Rejected("no", [odd]))
    result = await resend_events(store, JSON_EVENTS, outlet, once)
    assert (result.sent, result.refused, result.unreadable) == (451, 0, 0)
    assert sink.taken == [*events, odd]
    assert waiting(store) == []
    assert (await resend_events(store, JSON_EVENTS, outlet, once)).sent == 0


async def test_a_sending_that_fails_half_way_goes_on_where_it_was(
    store: LetterStore, outlet: Outlet, sink: ScriptedSink
) -> None:
    events = buried(store, 300)

    async def only_the_first(action: Callable[[], Any]) -> Any:
        if sink.taken:
            raise Unavailable("cut off")
        return await action()

    with pytest.raises(Unavailable):
        await resend_events(store, JSON_EVENTS, outlet, only_the_first)
    assert len(sink.taken) == 200
    later = buried(store, 1, first=300)
    assert len(waiting(store)) == 101
    await resend_events(store, JSON_EVENTS, outlet, once)
    assert sink.taken == [*events, *later]
    assert waiting(store) == []


async def test_what_is_refused_again_and_what_is_no_letter_stay(
    store: LetterStore, outlet: Outlet, sink: ScriptedSink
) -> None:
    buried(store, 3)
    store.append([b"no JSON"])
    sink.refuses = {"call-1"}
    result = await resend_events(store, JSON_EVENTS, outlet, once)
    assert (result.sent, result.refused, result.unreadable) == (2, 1, 1)
    left = list(store.waiting())
    assert b"no JSON\n" in left or b"no JSON" in left
    [letter] = [json.loads(line) for line in left if line.startswith(b"{")]
    assert (letter["call_id"], letter["reason"], letter["key"]) == ("call-1", "still no", "team")
    sink.refuses = set()
    assert (await resend_events(store, JSON_EVENTS, outlet, once)).sent == 1


async def test_two_at_once_are_one(store: LetterStore, outlet: Outlet, sink: ScriptedSink) -> None:
    buried(store, 1)
    with store.claim(), pytest.raises(Unavailable, match="being sent by another process"):
        await resend_events(store, JSON_EVENTS, outlet, once)
    assert (await resend_events(store, JSON_EVENTS, outlet, once)).sent == 1


async def test_letters_that_come_meanwhile_are_kept_for_the_next_time(
    store: LetterStore, outlet: Outlet, sink: ScriptedSink
) -> None:
    buried(store, 1)
    coming = [7]

    async def while_another_comes(action: Callable[[], Any]) -> Any:
        while coming:
            buried(store, 1, first=coming.pop())
        return await action()

    await resend_events(store, JSON_EVENTS, outlet, while_another_comes)
    assert [letter["call_id"] for letter in waiting(store)] == ["call-7"]
    await resend_events(store, JSON_EVENTS, outlet, once)
    assert sorted(event.call_id for event in sink.taken) == ["call-0", "call-7"]


async def test_messages_that_can_be_read_now_are_posted_and_the_others_stay(store: LetterStore, tmp_path: Path) -> None:
    clock = JumpingClock(NOW)
    messages = DeadMessages(store, clock)
    good = msgspec.json.encode(flat(a_call(call_id="good")))
    half = {"call_id": "half", "part": "1", "parts": "2", "shape": "tokenweir"}
    messages.bury(
        [
            DeadMessage("hub/0", BrokerMessage(body=good, place="offset 1"), "an older version did not know it"),
            DeadMessage("hub/0", BrokerMessage(body=b"\xff", place="offset 2"), "odd"),
            DeadMessage("hub/0", BrokerMessage(body=good, properties=half, place="offset 3"), "its other part is gone"),
        ]
    )
    ledger = open_ledger(f"duckdb:{tmp_path}/ledger.duckdb")
    with closing(ledger):
        ledger.post([], "hub/0", "170")
        destination = LedgerDestination(ledger, messages, clock)
        result = await resend_messages(messages, WholeRecords(), Pricer(), [destination], once)
        assert (result.sent, result.refused) == (1, 2)
        assert [row["call_id"] for row in ledger.calls()] == ["good"]
        assert ledger.position("hub/0") == "170"
    assert sorted((letter["place"], letter["reason"]) for letter in waiting(store)) == [
        ("offset 2", "it is no record: JSON is malformed: invalid character (byte 0)"),
        ("offset 3", "only 1 of its 2 parts came"),
    ]


def test_spans_are_sent_again_as_they_were_encoded() -> None:
    settings = SinkSettings("otlp", "otlp", OtlpConnection())
    [event] = fit_spans(a_call(), settings, 100_000)
    members = msgspec.json.decode(msgspec.json.encode({"time": NOW, "call_id": "c"} | event.letter()), type=DeadLetter)
    assert spans_event(members).encoded == event.encoded
    with pytest.raises(ValueError, match="by hand"):
        spans_event(DeadLetter(NOW, event="{}"))

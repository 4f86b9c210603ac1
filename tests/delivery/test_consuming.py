"""From messages to a ledger: nothing is done before it is kept, and whatever goes wrong is tried again."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tokenweir.delivery import FREE, BrokerMessage, Delivery, Denied, MessageBatch, Pricer, Unavailable
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadMessages
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.sources import MessageRecords
from tokenweir.ledger import Ledger, LedgerError, open_ledger
from tokenweir.pricing import Price, PriceSettings
from tokenweir.records import CallRecord, SystemClock, flat, from_fields, new_call_id
from tokenweir.serve.consuming import LedgerDestination

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


def record(**fields: object) -> CallRecord:
    return from_fields(call_id=new_call_id(), started_at=datetime(2026, 3, 1, tzinfo=UTC), **fields)


def message(record: CallRecord, part: int = 1, parts: int = 1) -> BrokerMessage:
    data = msgspec.json.encode(flat(record))
    size = -(-len(data) // parts)
    properties = {"call_id": record.call_id, "shape": "tokenweir"}
    if parts > 1:
        properties |= {"part": str(part), "parts": str(parts)}
    return BrokerMessage(body=data[size * (part - 1) : size * part], properties=properties, place=f"offset {part}")


def batch(position: int, *messages: BrokerMessage, source: str = "hub/0") -> MessageBatch:
    return MessageBatch(partition=source, position=str(position), messages=list(messages))


class ScriptedSource:
    """Gives batches, or fails, as its script says; stops the consumer when there is no more."""

    def __init__(self, *script: MessageBatch | Exception) -> None:
        self.script = list(script)
        self.done_at: list[str] = []
        self.delivery: Delivery | None = None
        self.is_closed = False
        self.loses_connection_when_done = False

    async def batches(self) -> AsyncIterator[MessageBatch]:
        while self.script:
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            yield step
        assert self.delivery is not None
        self.delivery.stop()
        await asyncio.Event().wait()

    async def done(self, partition: str, position: str) -> None:
        if self.loses_connection_when_done:
            raise Unavailable("gone")
        self.done_at.append(f"{partition} {position}")

    async def probe(self) -> str:
        return "scripted"

    def behind(self) -> dict[str, int]:
        return {}

    async def close(self) -> None:
        self.is_closed = True


class Faulty:
    """A ledger that refuses the first posts, and notes what was done before each."""

    def __init__(self, ledger: Ledger, source: ScriptedSource, failures: int) -> None:
        self._ledger = ledger
        self._source = source
        self._failures = failures
        self.done_before: list[list[str]] = []

    def post(self, records: list[CallRecord], source: str, position: str | None) -> int:
        self.done_before.append(list(self._source.done_at))
        if self._failures:
            self._failures -= 1
            raise LedgerError("it is away")
        return self._ledger.post(records, source, position)

    def call(self, call_id: str) -> object:
        return self._ledger.call(call_id)


class Stopping(Faulty):
    """It is time to stop while a batch is posted."""

    def post(self, records: list[CallRecord], source: str, position: str | None) -> int:
        assert self._source.delivery is not None
        self._source.delivery.stop()
        return super().post(records, source, position)


class FullDisk(DeadMessages):
    """Takes nothing at the first two tries."""

    tries = 0

    def bury(self, letters: Sequence[DeadMessage]) -> None:
        self.tries += 1
        if self.tries < 3:
            raise OSError(28, "No space left on device")
        super().bury(letters)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(f"duckdb:{tmp_path}/ledger.duckdb")
    yield ledger
    ledger.close()


@pytest.fixture
def letters(tmp_path: Path) -> DeadMessages:
    return DeadMessages(LetterFile(tmp_path / "dead.jsonl"), CLOCK)


async def consume(
    source: ScriptedSource, ledger: object, letters: DeadMessages, price: Pricer = FREE
) -> LedgerDestination:
    """What has come to the end of the script. It does not wait between its tries."""
    destination = LedgerDestination(ledger, letters, CLOCK)  # type: ignore[arg-type]
    records = MessageRecords(source, price=price)
    source.delivery = Delivery("consume", records, [destination], CLOCK, pause=lambda seconds: asyncio.sleep(0))
    await source.delivery.run()
    assert source.is_closed
    return destination


async def test_records_are_in_the_ledger_before_their_batch_is_done(ledger: Ledger, letters: DeadMessages) -> None:
    first, second = record(total_tokens=1), record(total_tokens=2)
    source = ScriptedSource(batch(1, message(first)), batch(3, message(second), message(first)))
    watched = Faulty(ledger, source, failures=0)
    consumer = await consume(source, watched, letters)
    assert watched.done_before == [[], ["hub/0 1"]]
    assert source.done_at == ["hub/0 1", "hub/0 3"]
    assert {call["call_id"] for call in ledger.calls()} == {first.call_id, second.call_id}
    assert ledger.position("hub/0") == "3"
    assert (consumer.new, consumer.known, consumer.dead) == (2, 1, 0)


async def test_a_ledger_that_is_away_is_waited_for(
    ledger: Ledger, letters: DeadMessages, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(batch(1, message(record())), batch(2, message(record())))
    watched = Faulty(ledger, source, failures=5)
    await consume(source, watched, letters)
    assert watched.done_before == [[]] * 6 + [["hub/0 1"]]
    assert len(ledger.calls()) == 2
    assert caplog.text.count("consume: it is away; will retry") == 1


async def test_a_stop_while_the_ledger_is_away_gives_the_batch_back(ledger: Ledger, letters: DeadMessages) -> None:
    source = ScriptedSource(batch(1, message(record())))

    await consume(source, Stopping(ledger, source, failures=1), letters)
    assert source.done_at == []
    assert ledger.calls() == []


async def test_a_batch_under_way_is_finished_when_it_is_time_to_stop(ledger: Ledger, letters: DeadMessages) -> None:
    source = ScriptedSource(batch(1, message(record())), batch(2, message(record())))

    await consume(source, Stopping(ledger, source, failures=0), letters)
    assert source.done_at == ["hub/0 1"]
    assert len(ledger.calls()) == 1


@pytest.mark.parametrize("error", [Unavailable("gone"), Denied("wrong key")])
async def test_a_source_that_fails_is_begun_anew(
    ledger: Ledger, letters: DeadMessages, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(batch(1, message(record())), Unavailable("gone"), batch(2, message(record())))
    await consume(source, ledger, letters)
    assert len(ledger.calls()) == 2
    assert "consume: gone; will retry" in caplog.text


async def test_half_a_record_from_before_an_outage_is_not_waited_for(ledger: Ledger, letters: DeadMessages) -> None:
    split = record()
    halves = [message(split, part, 2) for part in (1, 2)]
    source = ScriptedSource(batch(1, halves[0]), Unavailable("gone"), batch(2, *halves))
    await consume(source, ledger, letters)
    assert source.done_at == ["hub/0 2"]
    assert len(ledger.calls()) == 1


async def test_that_done_could_not_be_saved_stops_nothing(ledger: Ledger, letters: DeadMessages) -> None:
    source = ScriptedSource(batch(1, message(record())), batch(2, message(record())))
    source.loses_connection_when_done = True
    await consume(source, ledger, letters)
    assert len(ledger.calls()) == 2


async def test_what_cannot_be_read_is_kept_with_its_reason_before_it_is_done(
    ledger: Ledger, letters: DeadMessages, caplog: pytest.LogCaptureFixture
) -> None:
    odd = BrokerMessage(body=b"a secret that is no JSON", place="offset 7")
    source = ScriptedSource(batch(2, odd, message(record())))
    consumer = await consume(source, Faulty(ledger, source, failures=0), letters)
    [line] = [json.loads(line) for line in letters.store.waiting()]
    assert (line["source"], line["place"], line["body"]) == ("hub/0", "offset 7", "a secret that is no JSON")
    assert "it is no record" in line["reason"]
    assert "hub/0, offset 7 is kept in" in caplog.text
    assert "secret" not in caplog.text
    assert (consumer.new, consumer.dead) == (1, 1)


async def test_a_disk_that_takes_no_dead_letter_holds_up_its_batch(
    ledger: Ledger, letters: DeadMessages, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(batch(1, BrokerMessage(body=b"odd", place="here"), message(record())))
    disk = FullDisk(letters.store, CLOCK)
    await consume(source, ledger, disk)
    assert disk.tries == 3
    assert caplog.text.count("No space left on device; will retry") == 1
    assert source.done_at == ["hub/0 1"]
    assert len(list(letters.store.waiting())) == len(ledger.calls()) == 1


async def test_positions_of_all_partitions_that_a_record_settles_are_kept(
    ledger: Ledger, letters: DeadMessages
) -> None:
    split = record()
    halves = [message(split, part, 2) for part in (1, 2)]
    source = ScriptedSource(batch(1, halves[0]), batch(5, halves[1], source="hub/1"))
    await consume(source, ledger, letters)
    assert (ledger.position("hub/0"), ledger.position("hub/1")) == ("1", "5")
    assert sorted(source.done_at) == ["hub/0 1", "hub/1 5"]


async def test_a_lost_part_of_a_call_that_is_in_the_ledger_is_no_dead_letter(
    ledger: Ledger, letters: DeadMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenweir.delivery.sources.messages.Reassembler.__init__.__defaults__", (1,))
    known, lost = record(), record()
    ledger.post([known], "elsewhere", "1")
    source = ScriptedSource(batch(1, message(known, 1, 2)), batch(2, message(lost, 1, 2)))
    consumer = await consume(source, ledger, letters)
    [line] = [json.loads(line) for line in letters.store.waiting()]
    assert line["properties"]["call_id"] == lost.call_id
    assert consumer.dead == 1


async def test_records_that_come_without_a_cost_get_one(ledger: Ledger, letters: DeadMessages) -> None:
    used = {"usage_source": "reported", "response_model": "gpt-4o", "input_tokens": 1_000, "total_tokens": 1_000}
    free, charged = record(**used), record(**used, cost=Decimal(7), currency="USD")
    source = ScriptedSource(batch(1, message(free), message(charged)))
    await consume(source, ledger, letters, Pricer([PriceSettings("gpt-4o*", "EUR", Price("2.5"), Price(10))]))
    costs = {call["call_id"]: (call["cost"], call["currency"], call["price_id"]) for call in ledger.calls()}
    assert costs == {
        free.call_id: (Decimal("0.0025"), "EUR", "gpt-4o*"),
        charged.call_id: (Decimal(7), "USD", None),
    }

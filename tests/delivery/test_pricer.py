"""Records get their cost on every way out of the journal, and a model without a price is said once."""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from support.call_records import a_call
from support.clocks import JumpingClock
from support.journals import NOW, write_journal
from support.servers import until
from tokenweir.delivery import FREE, Pricer
from tokenweir.delivery.shipping import Shippers, Shipping
from tokenweir.delivery.sinks import FileConnection, SinkSettings
from tokenweir.delivery.sources.memory import MemoryLog
from tokenweir.journal import JournalSettings
from tokenweir.ledger import open_ledger
from tokenweir.pricing import Price, PriceSettings
from tokenweir.records import from_fields
from tokenweir.serve.books import Books

CLOCK = JumpingClock(NOW)
ROWS = [PriceSettings("gpt-4o*", "EUR", Price("2.5"), Price(10))]
CALLS = [
    a_call(call_id="priced", input_tokens=1_000, output_tokens=100),
    a_call(call_id="priced before", cost=Decimal(7), currency="USD"),
    a_call(call_id="unknown", response_model="o3", requested_model="o3", deployment="reasoner"),
    a_call(call_id="refused", usage_source="none"),
]
COSTS = {"priced": "0.0035", "priced before": "7", "unknown": None, "refused": None}


def file_sink(tmp_path: Path) -> SinkSettings:
    return SinkSettings(name="file", kind="file", connection=FileConnection(path=str(tmp_path / "events.jsonl")))


def sent(tmp_path: Path) -> dict[str, str | None]:
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    return {event["call_id"]: event.get("cost") for event in map(msgspec.json.decode, lines)}


def test_ledger_and_sinks_have_the_same_cost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "journal"
    write_journal(root / "relay-0", [*CALLS, *(msgspec.structs.replace(CALLS[2], call_id=one) for one in "ab")])
    ledger = open_ledger("duckdb::memory:")
    price = Pricer(ROWS)
    shipping = Shipping(root, [file_sink(tmp_path)], {}, CLOCK, price)
    books = Books(root, ledger, CLOCK, shipping, price)
    assert books.catch_up() == 6

    async def ship_all() -> None:
        shipping.start()
        await until(lambda: not any(status.behind_bytes for status in shipping.statuses()))
        await shipping.stop()

    asyncio.run(ship_all())
    costs = COSTS | {"a": None, "b": None}
    kept = {call["call_id"]: call["cost"] for call in ledger.calls()}
    ledger.close()
    assert kept == {name: text and Decimal(text) for name, text in costs.items()}
    assert sent(tmp_path) == costs
    assert caplog.text.count("no [[prices]] fit model 'o3'") == 1


def test_what_only_waits_in_memory_is_priced_too(tmp_path: Path) -> None:
    log = MemoryLog([True], JournalSettings(), price=Pricer(ROWS))
    for call in CALLS:
        log.append(call)

    async def ship_all() -> None:
        shippers = Shippers([file_sink(tmp_path)], log.sources, {}, CLOCK)
        shippers.start()
        await until(lambda: log.sources[0].done_until == len(CALLS))
        await shippers.stop()

    asyncio.run(ship_all())
    assert sent(tmp_path) == COSTS


def test_without_prices_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    call = from_fields(call_id="c", started_at=CLOCK.now(), usage_source="reported")
    assert FREE(call) is call
    assert caplog.text == ""


def test_names_without_end_are_not_all_said(caplog: pytest.LogCaptureFixture) -> None:
    price = Pricer(ROWS)
    for number in range(1_100):
        price(a_call(response_model=f"m-{number}", requested_model=None))
    assert caplog.text.count("no [[prices]] fit model") == 1_000

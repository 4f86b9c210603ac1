"""`tokenweir import` fills a ledger from what is there, each call once, whatever is read how often."""

import asyncio
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.clocks import JumpingClock
from support.engines import ENGINES, Engine, new_engine
from support.journals import write_journal
from support.servers import until
from tokenweir.delivery.shipping import Shipping
from tokenweir.delivery.sinks import FileConnection, SinkSettings
from tokenweir.ledger import open_ledger
from tokenweir.records import CallRecord, flat

from .test_books import RECORDS, books, gateway

__all__ = ["books"]

Tokenweir = Callable[..., Any]

MORE = [msgspec.structs.replace(record, call_id=f"more-{record.seq}", cost=None, currency=None) for record in RECORDS]


def write_lines(path: Path, records: Sequence[CallRecord]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(flat(record)) + b"\n" for record in records))


def in_ledger(tokenweir: Tokenweir) -> list[str]:
    return sorted(row["call_id"] for row in msgspec.json.decode(tokenweir("calls", "--format", "json").out))


EVERYTHING = sorted(record.call_id for record in [*RECORDS, *MORE])


def test_segments_are_taken_once_priced_and_with_their_bodies(tokenweir: Tokenweir, books: Path) -> None:
    write_journal(books / "old/host/relay-0", MORE[:3], segment_size=1)
    write_journal(books / "old/host/relay-1", MORE[3:])
    with open(books / "tokenweir.toml", "a") as config:
        config.write('[[prices]]\nmodel = "*"\ninput = "1"\noutput = "2"\ncurrency = "EUR"\n')
    ran = tokenweir("import", "old")
    assert (ran.exit_code, ran.out) == (0, "old: 5 records read, 5 new, 0 were there\n")
    assert tokenweir("import", "old").out == "old: 5 records read, 0 new, 5 were there\n"
    assert in_ledger(tokenweir) == EVERYTHING
    record = msgspec.json.decode(tokenweir("call", "more-2", "--format", "json").out)
    assert record["request_body"] == '{"prompt": "hello"}'
    assert record["cost"] == "0.002014"


def test_what_a_file_sink_wrote_is_taken_and_what_is_no_record_is_told(tokenweir: Tokenweir, books: Path) -> None:
    (books / "events").mkdir()
    write_lines(books / "events/calls.jsonl", MORE[:3])
    write_lines(books / "events/calls.jsonl.1", MORE[2:])
    with open(books / "events/calls.jsonl", "ab") as file:
        file.write(b'{"call_id": "x"}\n\n{"call_id": "cut')
    ran = tokenweir("import", "events")
    assert ran.exit_code == 1
    assert ran.out == "2 files beside events/calls.jsonl: 6 records read, 5 new, 1 were there, 1 could not be read\n"
    assert "events/calls.jsonl, line 4: it is no record" in ran.err
    assert in_ledger(tokenweir) == EVERYTHING


def test_the_events_of_a_real_file_sink_are_whole_records(tokenweir: Tokenweir, books: Path) -> None:
    path = books / "sink.jsonl"
    sink = SinkSettings(name="file", kind="file", connection=FileConnection(path=str(path)))

    async def ship() -> None:
        shipping = Shipping(books / "old", [sink], os.environ, JumpingClock())
        shipping.start()
        await until(lambda: not any(status.behind_bytes for status in shipping.statuses()))
        await shipping.stop()

    write_journal(books / "old/relay-0", MORE)
    asyncio.run(ship())
    assert tokenweir("import", "sink.jsonl").out == "sink.jsonl: 5 records read, 5 new, 0 were there\n"


@pytest.fixture(params=ENGINES)
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    (tmp_path / "other").mkdir()
    return new_engine(request, tmp_path / "other")


def test_another_ledger_is_taken_over_whole(tokenweir: Tokenweir, books: Path, other: Engine) -> None:
    ledger = other.open()
    ledger.post(MORE, "relay", None)
    told = [ledger.call(record.call_id) for record in MORE]
    ledger.close()
    ran = tokenweir("import", other.url)
    assert "5 records read, 5 new, 0 were there" in ran.out
    assert in_ledger(tokenweir) == EVERYTHING
    mine = open_ledger(f"duckdb:{books / 'tokenweir-data/ledger.duckdb'}")
    assert [mine.call(record.call_id) for record in MORE] == told
    mine.close()


def test_a_running_gateway_takes_them(tokenweir: Tokenweir, books: Path) -> None:
    write_journal(books / "old/relay-0", MORE)
    with gateway(books):
        assert tokenweir("import", "old").out == "old: 5 records read, 5 new, 0 were there\n"
        assert in_ledger(tokenweir) == EVERYTHING


def test_without_a_place_it_is_the_archive(tokenweir: Tokenweir, books: Path) -> None:
    ran = tokenweir("import")
    assert ran.exit_code == 2
    assert "no journal.archive is set" in ran.err
    write_journal(books / "kept/relay-0", MORE)
    text = (books / "tokenweir.toml").read_text()
    (books / "tokenweir.toml").write_text(f'{text}\n[journal]\narchive = "kept"\n')
    assert "5 new" in tokenweir("import").out


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("nowhere", "there is nothing at nowhere"),
        ("empty", "holds neither segments"),
        ("duckdb:nowhere.duckdb", "there is no ledger at nowhere.duckdb"),
        ("duckdb:tokenweir-data/ledger.duckdb", "that is the ledger itself"),
        ("mysql://x/y", "is no ledger this version knows"),
    ],
)
def test_a_place_with_nothing_to_import_is_said(tokenweir: Tokenweir, books: Path, place: str, why: str) -> None:
    (books / "empty").mkdir()
    ran = tokenweir("import", place)
    assert ran.exit_code == 2
    assert why in ran.err


def test_money_of_an_import_stays_as_it_was(tokenweir: Tokenweir, books: Path) -> None:
    [record] = [msgspec.structs.replace(MORE[0], cost=Decimal("1.23"), currency="USD", price_id="list")]
    write_lines(books / "calls.jsonl", [record])
    tokenweir("import", "calls.jsonl")
    told = msgspec.json.decode(tokenweir("call", record.call_id, "--format", "json").out)
    assert (told["cost"], told["currency"], told["price_id"]) == ("1.23", "USD", "list")

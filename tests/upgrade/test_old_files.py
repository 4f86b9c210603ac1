"""What earlier versions have left on disk is read by this one, to the last field; `make_fixtures.py` has written it.

Where a format changes, these tests stay as they are and the fixtures of the older versions stay beside the newer ones.
Only where a name of the code has moved may a test follow it. A field of a record is compared by the name of its column
in the ledger, which is what queries and the admin port use.
"""

import json
import tarfile
from collections.abc import Mapping
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.config import Config, load
from tokenweir.delivery import BrokerMessage, MessageBatch, Rejected
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadEvents, DeadMessages
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.shipping import Shipping
from tokenweir.delivery.sinks import JsonEvent
from tokenweir.delivery.sources import Reassembler
from tokenweir.journal import (
    Journal,
    JournalReader,
    JournalSettings,
    cursor_names,
    journal_name,
    load_cursor,
    read_missing,
    read_status,
)
from tokenweir.ledger import Ledger, open_ledger
from tokenweir.policy import add_key, hash_key, read_keys, revoke_key
from tokenweir.records import CallRecord
from tokenweir.serve.books import Books

FIXTURES = sorted((Path(__file__).parent / "fixtures").iterdir())
CLOCK = JumpingClock(NOW)
# What the configurations name; a connection string has to look like one.
ENVIRON = {
    "FIXTURE_SECRET": "fixture-secret",
    "FIXTURE_SIGNING": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "FIXTURE_URL": "http://collector.example:4318/v1/traces",
    "FIXTURE_HEADERS": "a=b",
    "FIXTURE_INSIGHTS": "InstrumentationKey=00000000-0000-0000-0000-000000000001",
    "FIXTURE_HUB": "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=c2s=;EntityPath=calls",
}


class Old(NamedTuple):
    """An installation of an earlier version."""

    home: Path
    expected: dict[str, Any]

    @property
    def journal(self) -> Path:
        return self.home / "tokenweir-data" / "journal"

    @property
    def ledger(self) -> Path:
        return self.home / "tokenweir-data" / "ledger.duckdb"


@pytest.fixture(params=FIXTURES, ids=lambda place: place.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    with tarfile.open(request.param / "files.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    return Old(tmp_path, json.loads((request.param / "expected.json").read_text()))


def holds(ledger: Ledger, rows: list[dict[str, Any]]) -> None:
    """The ledger has these calls and no others, with all that is said of them."""
    assert {call["call_id"] for call in ledger.calls(1000)} == {row["call_id"] for row in rows}
    for row in rows:
        call = ledger.call(row["call_id"])
        assert call is not None
        found = msgspec.to_builtins(call)
        assert {name: found.get(name) for name in row} == row


def posted(records: list[CallRecord]) -> Ledger:
    ledger = open_ledger("duckdb::memory:")
    assert ledger.post(records, "test", None) == len(records)
    return ledger


def all_of(reader: JournalReader) -> list[CallRecord]:
    batches = takewhile(lambda batch: batch.records, iter(reader.read, None))
    return [record for batch in batches for record in batch.records]


def test_every_field_of_every_record_in_a_journal_is_read(old: Old) -> None:
    for name, rows in old.expected["calls"].items():
        reader = JournalReader(old.journal / name)
        records = all_of(reader)
        assert [record.call_id for record in records] == [row["call_id"] for row in rows]
        holds(posted(records), rows)
        assert (reader.damaged_stretches, reader.cut_segments) == (0, {})


def test_a_cursor_stands_where_it_stood(old: Old) -> None:
    rows = old.expected["calls"]["relay-0"]
    directory = old.journal / "relay-0"
    assert sorted(cursor_names(directory)) == ["ledger", "sink-calls"]
    for name, done in (("ledger", 4), ("sink-calls", 2)):
        records = all_of(JournalReader(directory, load_cursor(directory, name)))
        assert [record.call_id for record in records] == [row["call_id"] for row in rows[done:]]


def test_what_a_journal_says_beside_its_records_is_read(old: Old) -> None:
    assert journal_name(old.journal) == "gateway-0123456789ab"
    status = read_status(old.journal / "relay-0")
    assert status is not None
    assert (status.records_written, status.running, status.gauges) == (8, False, {"relay_open_calls": 3})
    missing = [(one.replica, one.first, one.last, one.reason) for one in read_missing(old.journal / "relay-0")]
    assert missing == [
        ("gateway-relay-0-000000000000", 7, 9, "told"),
        (None, 5, 5, "was cut to 20 bytes"),
    ]


def test_a_relay_goes_on_in_the_directory_of_one_that_was_killed(old: Old) -> None:
    directory = old.journal / "relay-1"
    rows = old.expected["calls"]["relay-1"]
    journal = Journal.open(directory, JournalSettings(), CLOCK)
    journal.append(CallRecord(call_id="new", started_at=CLOCK.now(), replica=journal.replica, seq=journal.next_seq()))
    assert journal.close() == 0
    reader = JournalReader(directory)
    assert [record.call_id for record in all_of(reader)] == [*(row["call_id"] for row in rows), "new"]
    assert reader.damaged_stretches == 0
    [missing] = read_missing(directory)
    assert (missing.replica, missing.first) == (rows[-1]["replica"], len(rows) + 1)


def test_a_ledger_has_what_it_had(old: Old) -> None:
    ledger = open_ledger(f"duckdb:{old.ledger}")
    rows = old.expected["calls"]["relay-0"][:4]
    holds(ledger, rows)
    costs = {row["currency"]: (row["calls"], row["cost"]) for row in ledger.usage([])}
    assert costs == {"EUR": (1, Decimal("0.012345678901")), None: (3, None)}
    assert ledger.query_sql("select count(*) from customEvents").rows == [[4]]
    ledger.close()


def test_books_go_on_where_the_old_ones_stood(old: Old) -> None:
    ledger = open_ledger(f"duckdb:{old.ledger}")
    books = Books(old.journal, ledger, CLOCK, Shipping(old.journal, [], {}, CLOCK))
    rows = [row for rows in old.expected["calls"].values() for row in rows]
    assert books.catch_up() == len(rows) - 4
    holds(ledger, rows)
    assert books.catch_up() == 0
    ledger.close()


def test_keys_are_valid_or_revoked_as_before(old: Old) -> None:
    path = old.home / "tokenweir-data" / "keys.json"
    keys = old.expected["keys"]
    known = set(keys["stored"][0])

    def read() -> list[dict[str, Any]]:
        return [{name: getattr(stored, name) for name in known} for stored in read_keys(path)]

    assert msgspec.to_builtins(read()) == keys["stored"]
    new, stored = add_key(path, "team-c", {}, CLOCK)
    revoke_key(path, stored.key_id, CLOCK)
    assert msgspec.to_builtins(read())[:-1] == keys["stored"]
    revoked = {key.sha256: key.is_revoked for key in read_keys(path)}
    assert revoked == {hash_key(keys["valid"]): False, hash_key(keys["revoked"]): True, hash_key(new): True}


@pytest.mark.parametrize("name", ["tokenweir.toml", "consumer.toml"])
def test_every_setting_means_what_it_meant(old: Old, name: str) -> None:
    loaded = load(old.home / name, ENVIRON)
    assert said_by(loaded.config, old.expected["settings"][name], old.home) == old.expected["settings"][name]


def said_by(config: Config, expected: Any, home: Path) -> Any:
    """As much of the configuration as is expected; paths from the file's directory on."""

    def cut_to(value: Any, wanted: Any) -> Any:
        match wanted:
            case dict():
                found = value.items() if isinstance(value, Mapping) else None
                names = wanted if found is None else value
                return {key: cut_to(value[key] if found else getattr(value, key), wanted.get(key)) for key in names}
            case list():
                return [cut_to(one, other) for one, other in zip(value, wanted, strict=True)]
            case str():
                text = value.isoformat() if hasattr(value, "isoformat") else str(value)
                return text.replace(f"{home}/", "")
        return value

    return cut_to(config, expected)


def test_events_under_way_are_understood_by_a_consumer(old: Old) -> None:
    events = json.loads((old.home / "events.json").read_text())
    messages = [BrokerMessage(body=one["body"].encode(), properties=one["properties"], place="") for one in events]
    taken = Reassembler().take(MessageBatch(partition="hub/0", position="9", messages=messages))
    assert (taken.dead, len(taken.settled)) == ([], 1)
    rows = old.expected["consumed"]
    for record, row in zip(taken.records, rows, strict=True):
        holds(posted([record]), [row])


def test_dead_letters_are_kept_and_more_come_behind_them(old: Old) -> None:
    letters = old.home / "tokenweir-data" / "dead-letters"
    before = {path.name: path.read_bytes().splitlines() for path in letters.iterdir()}
    event = JsonEvent(body=b"{}", call_id="new", properties={})
    DeadEvents(LetterFile(letters / "calls.jsonl"), "calls", CLOCK).bury(Rejected("new", [event]))
    message = BrokerMessage(body=b"new", place="offset 3")
    DeadMessages(LetterFile(letters / "intake.jsonl"), CLOCK).bury([DeadMessage("hub/0", message, "new")])
    for name, lines in before.items():
        *kept, new = (letters / name).read_bytes().splitlines()
        assert kept == lines
        assert set(json.loads(new)) == set(json.loads(lines[0]))
        assert json.loads(new)["reason"] == "new"
